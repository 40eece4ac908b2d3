// Keeps std::bad_alloc, the one exception that the standard library raises in code built without
// exceptions, from crossing the C API. What was half built when memory ran out is leaked: frames
// built without exceptions have no clean-up.
//
// Threads: any. Cost: a call; nothing else unless memory runs out.
#ifndef OMBUS_ENGINE_MEMORY_GUARD_H_
#define OMBUS_ENGINE_MEMORY_GUARD_H_

#include <type_traits>

namespace ombus::engine {

// Runs work(context). False if memory ran out in it.
[[nodiscard]] bool RunGuarded(void (*work)(void*), void* context) noexcept;

template <typename F>
[[nodiscard]] bool RunGuarded(F&& work) {
  return RunGuarded([](void* context) { (*static_cast<std::remove_reference_t<F>*>(context))(); },
                    &work);
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_MEMORY_GUARD_H_

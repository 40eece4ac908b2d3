// Keeps std::bad_alloc, the one exception that the standard library raises in our code, from
// crossing the C API. The library is built so that frames clean up on its way: what was half built
// is given back, locks and descriptors too. Nothing else in it catches, and nothing throws
// (tests/lint).
//
// Threads: any. Cost: nothing, unless memory runs out.
#ifndef OMBUS_ENGINE_MEMORY_GUARD_H_
#define OMBUS_ENGINE_MEMORY_GUARD_H_

#include <new>

namespace ombus::engine {

// Runs work(). False if memory ran out in it.
template <typename F>
[[nodiscard]] inline bool RunGuarded(F&& work) noexcept {
  try {
    work();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// For an object that cannot go on from where memory ran out half-way: nothing is run any more after
// that, and its owner can only destroy it.
class MemoryFailStop {
 public:
  template <typename F>
  [[nodiscard]] bool Run(F&& work) noexcept {
    if (failed_) [[unlikely]]
      return false;
    failed_ = !RunGuarded(work);
    return !failed_;
  }

 private:
  bool failed_ = false;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_MEMORY_GUARD_H_

// The one source of the library that is built with exceptions.
#include "engine/memory_guard.h"

#include <new>

namespace ombus::engine {

bool RunGuarded(void (*work)(void*), void* context) noexcept {
  try {
    work(context);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace ombus::engine

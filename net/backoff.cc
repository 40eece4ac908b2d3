#include "net/backoff.h"

#include <algorithm>

namespace ombus::net {

uint64_t BackoffMs(uint32_t failures, uint64_t base_ms, uint64_t max_ms, uint64_t random) {
  uint64_t delay = std::min(base_ms, max_ms);
  for (uint32_t i = 0; i < failures && delay < max_ms; ++i) {
    delay = delay > max_ms / 2 ? max_ms : delay * 2;
  }
  const uint64_t half = delay / 2;
  return delay - half + random % (half + 1);
}

}  // namespace ombus::net

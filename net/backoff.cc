#include "net/backoff.h"

#include <algorithm>

namespace ombus::net {

uint64_t NextRandom(uint64_t* state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

uint64_t BackoffMs(uint32_t failures, uint64_t base_ms, uint64_t max_ms, uint64_t random) {
  uint64_t delay = std::min(base_ms, max_ms);
  for (uint32_t i = 0; i < failures && delay < max_ms; ++i) {
    delay = delay > max_ms / 2 ? max_ms : delay * 2;
  }
  const uint64_t half = delay / 2;
  return delay - half + random % (half + 1);
}

}  // namespace ombus::net

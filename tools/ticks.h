// Ticks: the cheapest clock there is that two cores agree on, for latencies of a hundred
// nanoseconds. Calibrate against NowNs over the run.
#ifndef OMBUS_TOOLS_TICKS_H_
#define OMBUS_TOOLS_TICKS_H_

#include <cstdint>

#include "tools/cpu.h"

namespace ombus::tools {

inline uint64_t Ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return NowNs();
#endif
}

// How long a tick is, from a few milliseconds of looking.
inline double NsPerTick() {
  constexpr uint64_t kLookNs = 2'000'000;
  const uint64_t start_ns = NowNs(), start = Ticks();
  uint64_t ns = 0;
  while ((ns = NowNs() - start_ns) < kLookNs) {
  }
  return static_cast<double>(ns) / static_cast<double>(Ticks() - start);
}

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_TICKS_H_

// NowNs: the monotonic clock in nanoseconds. For slow paths only: the hot path reads no clock.
#ifndef OMBUS_RING_CLOCK_H_
#define OMBUS_RING_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace ombus {

inline uint64_t NowNs() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// One step of a spin: tells the core that it waits.
inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace ombus

#endif  // OMBUS_RING_CLOCK_H_

// The relay's clock: monotonic nanoseconds, read once per turn, and option values in them.
//
// Threads: any.
#ifndef OMBUS_ENGINE_RELAY_CLOCK_H_
#define OMBUS_ENGINE_RELAY_CLOCK_H_

#include <cstdint>

#include "ring/clock.h"  // NowNs

namespace ombus::engine {

// "For ever" stays for ever.
inline constexpr uint64_t MillisToNs(uint64_t millis) {
  return millis > ~uint64_t{0} / 1'000'000 ? ~uint64_t{0} : millis * 1'000'000;
}

inline constexpr uint64_t AddNs(uint64_t time_ns, uint64_t span_ns) {
  return span_ns > ~uint64_t{0} - time_ns ? ~uint64_t{0} : time_ns + span_ns;
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_RELAY_CLOCK_H_

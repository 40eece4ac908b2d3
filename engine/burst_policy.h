// BurstPolicy: how many records one turn of the relay reads at most. A turn costs about 3 µs per
// send and 8 ns per frame, so large bursts carry more; small ones let the first record of a burst
// leave sooner. The burst doubles while turns come back full (the ring holds more than we took) and
// halves when less than half was there: no timer, no tuning.
//
// Pure: no clock, no I/O. Threads: a value, one thread at a time.
#ifndef OMBUS_ENGINE_BURST_POLICY_H_
#define OMBUS_ENGINE_BURST_POLICY_H_

#include <algorithm>
#include <cstdint>

#include "ombus/status.h"

namespace ombus::engine {

inline constexpr uint32_t kBurstLimit = 65536;  // beyond it a turn is no longer short

class BurstPolicy {
 public:
  // 1 <= min <= max <= kBurstLimit, or a message that says so.
  static Status Check(uint32_t min, uint32_t max);

  BurstPolicy(uint32_t min, uint32_t max) : min_(min), max_(max), burst_(min) {}

  uint32_t burst() const { return burst_; }

  // Tells how a turn went that was allowed to read burst() records.
  void OnTurn(uint64_t records) {
    if (records >= burst_) {
      burst_ = std::min(burst_ * 2, max_);
    } else if (records < burst_ / 2) {
      burst_ = std::max(burst_ / 2, min_);
    }
  }

 private:
  uint32_t min_;
  uint32_t max_;
  uint32_t burst_;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_BURST_POLICY_H_

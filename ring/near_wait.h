// NearWait: for how long a consumer that has caught up with its producer lets it get ahead, and
// when it had better not. A policy and no more: it counts steps of a spin, whose length its owner
// knows.
//
// The wait must outlast the way of a cache line to the other core and back, or else the consumer
// takes each line away while it is being written; but that way takes from 0.1 to 0.5 µs, by where
// the two cores are, which in a virtual machine changes by the minute. What it takes shows in what
// a wait brings: so that is what the wait follows.
//
// Threads: its consumer's.
#ifndef OMBUS_RING_NEAR_WAIT_H_
#define OMBUS_RING_NEAR_WAIT_H_

#include <algorithm>
#include <cstdint>

namespace ombus {

class NearWait {
 public:
  struct Limits {
    // Shorter waits follow a producer at its heels, longer ones gain nothing more.
    uint32_t steps_min = 0, steps_max = 0;
    // Fewer records than these are soon read: wait longer. More are too many to wait for.
    uint32_t gain_small = 0, gain_large = 0;
    // Where a record takes longer than that to come, its producer is slow or has paused: the wait
    // was not worth it, and the records that are there should not lie.
    uint32_t steps_per_slow_record = 0;
  };

  NearWait() = default;  // never waits
  NearWait(const Limits& limits, uint32_t steps) : limits_(limits), steps_(steps) {}

  // How many steps to wait now. 0: not at all.
  uint32_t Steps() {
    if (to_skip_ == 0) return steps_;
    --to_skip_;
    return 0;
  }

  // The wait brought so many records.
  void Gained(uint64_t records) {
    const bool slow = records * limits_.steps_per_slow_record < steps_;
    futile_ = slow ? std::min(futile_ + 1, kFutileMax) : 0;
    if (futile_ > kFutileFree) to_skip_ = 1u << (futile_ - kFutileFree);
    if (records == 0) return;  // nor does that tell how long to wait: batches come all at once
    if (slow || records > limits_.gain_large) {
      steps_ = std::max(steps_ / 2, limits_.steps_min);
    } else if (records < limits_.gain_small) {
      steps_ = std::min(steps_ * 2, limits_.steps_max);
    }
  }

 private:
  // After so many waits in a row that were not worth it (the producer is this very thread, say),
  // ever more of them are left out: up to 4096.
  static constexpr uint32_t kFutileFree = 2, kFutileMax = kFutileFree + 12;

  Limits limits_;
  uint32_t steps_ = 0;
  uint32_t futile_ = 0;   // waits in a row
  uint32_t to_skip_ = 0;  // because of them
};

// With limits that fit this processor and a ring of so many slots, on which `near_records` are near
// to head. Takes some microseconds.
NearWait NearWaitFor(uint32_t near_records, uint32_t capacity);

}  // namespace ombus

#endif  // OMBUS_RING_NEAR_WAIT_H_

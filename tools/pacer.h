// Pacer: an open-loop schedule. Record n is due at start + n/rate, whatever became of those before
// it: who falls behind catches up in batches and never stretches the schedule.
#ifndef OMBUS_TOOLS_PACER_H_
#define OMBUS_TOOLS_PACER_H_

#include <algorithm>
#include <cstdint>

namespace ombus::tools {

class Pacer {
 public:
  Pacer(uint64_t start_ns, uint64_t rate) : start_ns_(start_ns), rate_(rate) {}

  static uint64_t OffsetNs(uint64_t n, uint64_t rate) {
    // In two steps, so that nothing overflows: rate is at most 1e9.
    return n / rate * kNsPerSecond + n % rate * kNsPerSecond / rate;
  }

  // How many of `wanted` records are due at now_ns when `sent` went before. All, without a rate.
  uint64_t Due(uint64_t now_ns, uint64_t sent, uint64_t wanted) const {
    if (rate_ == 0) return wanted;
    if (now_ns < start_ns_) return 0;
    const uint64_t elapsed_ns = now_ns - start_ns_;
    const uint64_t due =
        elapsed_ns / kNsPerSecond * rate_ + elapsed_ns % kNsPerSecond * rate_ / kNsPerSecond + 1;
    return due <= sent ? 0 : std::min(wanted, due - sent);
  }
  uint64_t DueAtNs(uint64_t sent) const { return start_ns_ + OffsetNs(sent, rate_); }

 private:
  static constexpr uint64_t kNsPerSecond = 1'000'000'000;

  uint64_t start_ns_;
  uint64_t rate_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_PACER_H_

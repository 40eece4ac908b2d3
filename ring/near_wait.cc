#include "ring/near_wait.h"

#include "ring/clock.h"

namespace ombus {
namespace {

// docs/decisions/let-the-producer-get-ahead.md has the figures behind these.
constexpr uint64_t kFirstNs = 400, kNsMin = 100, kNsMax = 4000;
constexpr uint64_t kSlowRecordNs = 200;
constexpr uint32_t kGainLarge = 512;

// How long a step takes here, from 10 to 150 cycles by processor. The best of some tries, since one
// during which the thread was taken off its core tells nothing.
double StepNs() {
  constexpr int kTries = 4, kSteps = 16;
  uint64_t best_ns = ~uint64_t{0};
  for (int i = 0; i < kTries; ++i) {
    const uint64_t start_ns = NowNs();
    for (int step = 0; step < kSteps; ++step) CpuRelax();
    best_ns = std::min(best_ns, NowNs() - start_ns);
  }
  return static_cast<double>(std::max<uint64_t>(best_ns, 1)) / kSteps;
}

}  // namespace

NearWait NearWaitFor(uint32_t near_records, uint32_t capacity) {
  const double step_ns = StepNs();
  const auto steps = [step_ns](uint64_t ns) {
    return static_cast<uint32_t>(std::clamp(static_cast<double>(ns) / step_ns, 1.0, 1e4));
  };
  return NearWait({.steps_min = steps(kNsMin),
                   .steps_max = steps(kNsMax),
                   .gain_small = near_records,
                   .gain_large = std::min(kGainLarge, capacity / 2),  // the ring must not fill
                   .steps_per_slow_record = steps(kSlowRecordNs)},
                  steps(kFirstNs));
}

}  // namespace ombus

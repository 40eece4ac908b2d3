#include "engine/idle_policy.h"

#include <algorithm>

namespace ombus::engine {

IdleStep IdlePolicy::OnIdle(uint64_t idle_ns) {
  if (strategy_ == IdleStrategy::kBusy || idle_ns < spin_ns_) return {IdleAction::kSpin, 0};
  if (strategy_ == IdleStrategy::kSleep) return {IdleAction::kSleepWoken, kSleepWokenMaxNs};
  return BackOff(idle_ns - spin_ns_);
}

IdleStep IdlePolicy::BackOff(uint64_t after_spin_ns) {
  if (after_spin_ns < kPausePhaseNs) return {IdleAction::kPause, 0};
  if (after_spin_ns < kPausePhaseNs + kYieldPhaseNs) return {IdleAction::kYield, 0};
  const uint64_t sleep_ns = sleep_ns_;
  sleep_ns_ = std::min(sleep_ns_ * 2, kSleepStepMaxNs);
  return {IdleAction::kSleepFor, sleep_ns};
}

}  // namespace ombus::engine

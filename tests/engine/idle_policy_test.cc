#include "engine/idle_policy.h"

#include <gtest/gtest.h>

namespace ombus::engine {
namespace {

constexpr uint64_t kSpinNs = 50'000;
constexpr uint64_t kLongNs = 10'000'000'000;

TEST(IdlePolicyTest, BusyNeverGivesUpTheCore) {
  IdlePolicy policy(IdleStrategy::kBusy, 0);
  EXPECT_EQ(policy.OnIdle(0).action, IdleAction::kSpin);
  EXPECT_EQ(policy.OnIdle(kLongNs).action, IdleAction::kSpin);
}

TEST(IdlePolicyTest, SleepSpinsFirstAndThenWaitsToBeWokenWithABound) {
  IdlePolicy policy(IdleStrategy::kSleep, kSpinNs);
  EXPECT_EQ(policy.OnIdle(kSpinNs - 1).action, IdleAction::kSpin);
  const IdleStep step = policy.OnIdle(kSpinNs);
  EXPECT_EQ(step.action, IdleAction::kSleepWoken);
  EXPECT_EQ(step.sleep_ns, kSleepWokenMaxNs);
}

TEST(IdlePolicyTest, BackoffSpinsPausesYieldsAndThenSleeps) {
  IdlePolicy policy(IdleStrategy::kBackoff, kSpinNs);
  EXPECT_EQ(policy.OnIdle(0).action, IdleAction::kSpin);
  EXPECT_EQ(policy.OnIdle(kSpinNs).action, IdleAction::kPause);
  EXPECT_EQ(policy.OnIdle(kSpinNs + kPausePhaseNs).action, IdleAction::kYield);
  EXPECT_EQ(policy.OnIdle(kSpinNs + kPausePhaseNs + kYieldPhaseNs).action, IdleAction::kSleepFor);
}

TEST(IdlePolicyTest, BackoffSleepsTwiceAsLongEachTimeUpToItsBound) {
  IdlePolicy policy(IdleStrategy::kBackoff, kSpinNs);
  uint64_t expected_ns = kSleepStepMinNs;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(policy.OnIdle(kLongNs).sleep_ns, expected_ns);
    expected_ns = std::min(expected_ns * 2, kSleepStepMaxNs);
  }
}

TEST(IdlePolicyTest, ABusyTurnMakesTheNextSleepShortAgain) {
  IdlePolicy policy(IdleStrategy::kBackoff, kSpinNs);
  for (int i = 0; i < 5; ++i) policy.OnIdle(kLongNs);
  policy.OnBusy();
  EXPECT_EQ(policy.OnIdle(kLongNs).sleep_ns, kSleepStepMinNs);
}

TEST(IdlePolicyTest, WithoutSpinTimeTheFirstIdleTurnSleeps) {
  IdlePolicy policy(IdleStrategy::kSleep, 0);
  EXPECT_EQ(policy.OnIdle(0).action, IdleAction::kSleepWoken);
}

}  // namespace
}  // namespace ombus::engine

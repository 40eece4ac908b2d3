#include "engine/retry_policy.h"

#include <gtest/gtest.h>

namespace ombus::engine {
namespace {

TEST(RetryPolicyTest, TheFirstAttemptIsDueAtOnce) {
  const RetryPolicy policy(10, 100);
  EXPECT_TRUE(policy.due(0));
  EXPECT_EQ(policy.wait_ns(0), 0u);
}

TEST(RetryPolicyTest, EachFailureDoublesTheWaitUpToItsBound) {
  RetryPolicy policy(10, 50);
  uint64_t now_ns = 1000;
  for (const uint64_t expected_ns : {10u, 20u, 40u, 50u, 50u}) {
    policy.OnFailure(now_ns);
    EXPECT_EQ(policy.wait_ns(now_ns), expected_ns);
    EXPECT_FALSE(policy.due(now_ns + expected_ns - 1));
    EXPECT_TRUE(policy.due(now_ns + expected_ns));
    now_ns += expected_ns;
  }
}

TEST(RetryPolicyTest, SuccessMakesTheNextAttemptDueAtOnceAndTheWaitShortAgain) {
  RetryPolicy policy(10, 50);
  for (int i = 0; i < 4; ++i) policy.OnFailure(0);
  policy.OnSuccess();
  EXPECT_TRUE(policy.due(0));
  policy.OnFailure(0);
  EXPECT_EQ(policy.wait_ns(0), 10u);
}

}  // namespace
}  // namespace ombus::engine

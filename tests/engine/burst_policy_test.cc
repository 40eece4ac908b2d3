#include "engine/burst_policy.h"

#include <gtest/gtest.h>

namespace ombus::engine {
namespace {

TEST(BurstPolicyTest, StartsAtTheMinimum) { EXPECT_EQ(BurstPolicy(16, 256).burst(), 16u); }

TEST(BurstPolicyTest, DoublesWhileTurnsComeBackFullUpToTheMaximum) {
  BurstPolicy policy(16, 256);
  for (const uint32_t expected : {32u, 64u, 128u, 256u, 256u}) {
    policy.OnTurn(policy.burst());
    EXPECT_EQ(policy.burst(), expected);
  }
}

TEST(BurstPolicyTest, HalvesWhenLessThanHalfWasThereDownToTheMinimum) {
  BurstPolicy policy(16, 64);
  for (int i = 0; i < 3; ++i) policy.OnTurn(policy.burst());
  for (const uint32_t expected : {32u, 16u, 16u}) {
    policy.OnTurn(0);
    EXPECT_EQ(policy.burst(), expected);
  }
}

TEST(BurstPolicyTest, StaysWhenHalfOrMoreWasThere) {
  BurstPolicy policy(16, 256);
  policy.OnTurn(16);
  policy.OnTurn(16);
  policy.OnTurn(31);
  EXPECT_EQ(policy.burst(), 32u);
}

TEST(BurstPolicyTest, AMaximumThatIsNoMultipleOfTheMinimumIsReachedAndKept) {
  BurstPolicy policy(16, 100);
  for (int i = 0; i < 5; ++i) policy.OnTurn(policy.burst());
  EXPECT_EQ(policy.burst(), 100u);
}

TEST(BurstPolicyTest, EqualBoundsMakeAFixedBurst) {
  BurstPolicy policy(1, 1);
  policy.OnTurn(1);
  EXPECT_EQ(policy.burst(), 1u);
  policy.OnTurn(0);
  EXPECT_EQ(policy.burst(), 1u);
}

TEST(BurstPolicyTest, BoundsThatMakeNoSenseAreRefusedWithTheCure) {
  EXPECT_TRUE(BurstPolicy::Check(16, 256).ok());
  EXPECT_TRUE(BurstPolicy::Check(1, kBurstLimit).ok());
  for (const auto& [min, max] : {std::pair{0u, 16u}, {17u, 16u}, {1u, kBurstLimit + 1}}) {
    const Status status = BurstPolicy::Check(min, max);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("choose"), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace ombus::engine

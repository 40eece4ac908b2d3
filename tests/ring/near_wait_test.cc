#include "ring/near_wait.h"

#include <gtest/gtest.h>

namespace ombus {
namespace {

constexpr NearWait::Limits kLimits = {.steps_min = 4,
                                      .steps_max = 128,
                                      .gain_small = 32,
                                      .gain_large = 512,
                                      .steps_per_slow_record = 6};

TEST(NearWait, NeverWaitsUnlessToldHowLong) {
  NearWait wait;
  EXPECT_EQ(wait.Steps(), 0u);
}

TEST(NearWait, StaysWhereItBringsEnough) {
  NearWait wait(kLimits, 16);
  for (const uint64_t records : {32, 100, 512}) {
    wait.Gained(records);
    EXPECT_EQ(wait.Steps(), 16u) << records;
  }
}

TEST(NearWait, DoublesWhileItBringsLittleUpToItsLongest) {
  NearWait wait(kLimits, 16);
  for (const uint32_t steps : {32u, 64u, 128u, 128u}) {
    wait.Gained(31);
    EXPECT_EQ(wait.Steps(), steps);
  }
}

TEST(NearWait, HalvesWhileItBringsMuchDownToItsShortest) {
  NearWait wait(kLimits, 16);
  for (const uint32_t steps : {8u, 4u, 4u}) {
    wait.Gained(513);
    EXPECT_EQ(wait.Steps(), steps);
  }
}

TEST(NearWait, IsAsLongAsEverAfterItBroughtNothing) {
  NearWait wait(kLimits, 16);
  wait.Gained(0);
  EXPECT_EQ(wait.Steps(), 16u);
}

TEST(NearWait, ShrinksBehindASlowProducer) {
  NearWait wait(kLimits, 16);
  wait.Gained(3);  // 18 steps' worth: as fast as it must be
  EXPECT_EQ(wait.Steps(), 32u);
  wait.Gained(5);
  EXPECT_EQ(wait.Steps(), 16u);
  wait.Gained(2);
  EXPECT_EQ(wait.Steps(), 8u);
}

// How often it is left out after so many waits in vain.
uint32_t LeftOutAfter(int in_vain) {
  NearWait wait(kLimits, 16);
  for (int i = 0; i < in_vain; ++i) {
    while (wait.Steps() == 0) {
    }
    wait.Gained(0);
  }
  uint32_t left_out = 0;
  while (wait.Steps() == 0) ++left_out;
  return left_out;
}

TEST(NearWait, IsLeftOutEverMoreOftenWhileItIsInVain) {
  EXPECT_EQ(LeftOutAfter(2), 0u);
  EXPECT_EQ(LeftOutAfter(3), 2u);
  EXPECT_EQ(LeftOutAfter(4), 4u);
  EXPECT_EQ(LeftOutAfter(14), 4096u);
  EXPECT_EQ(LeftOutAfter(20), 4096u);
}

TEST(NearWait, IsLeftOutEverMoreOftenBehindAProducerSlowerThanItsShortest) {
  NearWait::Limits limits = kLimits;
  limits.steps_min = 16;
  NearWait wait(limits, 16);
  for (int i = 0; i < 3; ++i) wait.Gained(2);  // 12 steps' worth
  EXPECT_EQ(wait.Steps(), 0u);
}

TEST(NearWait, IsAsOftenAsEverOnceItBringsRecordsAgain) {
  NearWait wait(kLimits, 16);
  for (int i = 0; i < 5; ++i) {
    while (wait.Steps() == 0) {
    }
    wait.Gained(0);
  }
  while (wait.Steps() == 0) {
  }
  wait.Gained(40);
  EXPECT_EQ(wait.Steps(), 16u);
  wait.Gained(0);
  EXPECT_EQ(wait.Steps(), 16u);
}

// A damaged head: the count is whatever it says.
TEST(NearWait, StaysWithinItsLimitsWhateverItIsTold) {
  NearWait wait(kLimits, 16);
  for (const uint64_t records : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1}, uint64_t{1} << 62}) {
    wait.Gained(records);
    uint32_t steps = 0;
    while ((steps = wait.Steps()) == 0) {
    }
    EXPECT_GE(steps, kLimits.steps_min);
    EXPECT_LE(steps, kLimits.steps_max);
  }
}

}  // namespace
}  // namespace ombus

#include "ring/base/random.h"

#include <gtest/gtest.h>

namespace ombus {
namespace {

TEST(RandomTest, GivesThePublishedNumbersOfItsGenerator) {
  Random random(1234567);
  for (const uint64_t number :
       {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u}) {
    EXPECT_EQ(random.Next(), number);
  }
}

TEST(RandomTest, StaysBelowTheEndAndReachesIt) {
  Random random(1);
  bool seen[7] = {};
  for (int i = 0; i < 1000; ++i) {
    const uint64_t number = random.Below(7);
    ASSERT_LT(number, 7u);
    seen[number] = true;
  }
  for (const bool number : seen) EXPECT_TRUE(number);
}

}  // namespace
}  // namespace ombus

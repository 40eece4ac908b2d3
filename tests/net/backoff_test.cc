#include "net/backoff.h"

#include <gtest/gtest.h>

#include "ring/base/random.h"

namespace ombus::net {
namespace {

TEST(BackoffTest, DoublesUpToTheMaximumWithinItsJitter) {
  Random random(1);
  for (uint32_t failures = 0; failures < 100; ++failures) {
    const uint64_t full = failures < 6 ? 100ull << failures : 5000;
    for (int i = 0; i < 100; ++i) {
      const uint64_t delay = BackoffMs(failures, 100, 5000, random.Next());
      ASSERT_LE(delay, full);
      ASSERT_GE(delay, full / 2);
    }
  }
}

TEST(BackoffTest, BearsAnyValues) {
  EXPECT_EQ(BackoffMs(3, 0, 0, 12345), 0u);
  EXPECT_LE(BackoffMs(~0u, 1, ~uint64_t{0}, 7), ~uint64_t{0});
  EXPECT_LE(BackoffMs(5, 1000, 10, 7), 10u);
}

}  // namespace
}  // namespace ombus::net

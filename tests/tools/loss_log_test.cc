#include "tools/loss_log.h"

#include <gtest/gtest.h>

namespace ombus::tools {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(LossLog, SaysEachReasonOnceAnOutage) {
  LossLog log;
  EXPECT_EQ(log.Away("reset", 1 * kSecond), "connection lost: reset; trying again\n");
  EXPECT_EQ(log.Away("refused", 2 * kSecond), "connection lost: refused; trying again\n");
  EXPECT_EQ(log.Away("reset", 3 * kSecond), "");
  EXPECT_EQ(log.Away("refused", 60 * kSecond), "") << "still the same outage";
  EXPECT_EQ(log.Back("refused", "back", 61 * kSecond), "back\n");
  EXPECT_EQ(log.Away("refused", 62 * kSecond), "connection lost: refused; trying again\n");
}

TEST(LossLog, SaysWhyAnOutageWasThatNobodySaw) {
  LossLog log;
  EXPECT_EQ(log.Back("reset", "back", kSecond), "connection lost: reset; trying again\nback\n");
}

TEST(LossLog, CountsTheOutagesOfAConnectionThatComesAndGoes) {
  LossLog log;
  EXPECT_NE(log.Back("reset", "back", 1 * kSecond), "");
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(log.Away("reset", 2 * kSecond), "");
    EXPECT_EQ(log.Back("reset", "back", 3 * kSecond), "");
  }
  EXPECT_EQ(log.Away("reset", 4 * kSecond), "");
  EXPECT_NE(log.Away("reset", 11 * kSecond), "") << "away for long";
  EXPECT_EQ(log.Back("reset", "back", 12 * kSecond), "back (and 9 times more before that)\n");
}

TEST(LossLog, ForgetsReasonsThatAServerMakesUp) {
  LossLog log;
  for (int i = 0; i < 1000; ++i) EXPECT_NE(log.Away(std::to_string(i), kSecond), "");
}

}  // namespace
}  // namespace ombus::tools

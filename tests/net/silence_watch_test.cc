#include "net/silence_watch.h"

#include <gtest/gtest.h>

namespace ombus::net {
namespace {

constexpr uint64_t kLimit = 300;

TEST(SilenceWatchTest, IsOverdueWhenNothingWasHeardForTheLimit) {
  SilenceWatch watch;
  watch.Start(1000);
  EXPECT_EQ(watch.DueNs(1100, kLimit), 1300u);
  for (uint64_t now = 1000; now < 1300; now += 50) EXPECT_FALSE(watch.Overdue(now, kLimit));
  EXPECT_TRUE(watch.Overdue(1300, kLimit));
}

TEST(SilenceWatchTest, BeginsAnewWithEveryWord) {
  SilenceWatch watch;
  watch.Start(0);
  EXPECT_FALSE(watch.Overdue(250, kLimit));
  watch.Heard();
  EXPECT_EQ(watch.DueNs(260, kLimit), 560u);
  EXPECT_FALSE(watch.Overdue(310, kLimit));
  watch.ListensUntil(610);
  EXPECT_TRUE(watch.Overdue(610, kLimit));
}

TEST(SilenceWatchTest, IsNotSilentWhoIsHeardByTheLastLook) {
  SilenceWatch watch;
  watch.Start(0);
  watch.ListensUntil(300);
  ASSERT_TRUE(watch.Overdue(300, kLimit));
  watch.Heard();
  EXPECT_FALSE(watch.Overdue(301, kLimit));
}

TEST(SilenceWatchTest, AWaitAsLongAsTheLimitIsNoAbsence) {
  SilenceWatch watch;
  watch.Start(0);
  watch.ListensUntil(300);
  EXPECT_TRUE(watch.Overdue(310, kLimit));
}

TEST(SilenceWatchTest, ForgivesAnAbsenceOnceSoThatWordsUnderWayCanArrive) {
  SilenceWatch watch;
  watch.Start(0);
  watch.ListensUntil(100);
  EXPECT_FALSE(watch.Overdue(5000, kLimit)) << "nobody listened";
  EXPECT_FALSE(watch.Overdue(5099, kLimit));
  EXPECT_TRUE(watch.Overdue(5100, kLimit)) << "a third of the limit later";
}

TEST(SilenceWatchTest, WhoLooksSeldomNoticesSilenceAtTheSecondLook) {
  SilenceWatch watch;
  watch.Start(0);
  EXPECT_FALSE(watch.Overdue(10'000, kLimit));
  EXPECT_TRUE(watch.Overdue(20'000, kLimit));
  watch.Heard();
  EXPECT_FALSE(watch.Overdue(30'000, kLimit));
  EXPECT_FALSE(watch.Overdue(40'000, kLimit)) << "forgiven anew";
  EXPECT_TRUE(watch.Overdue(50'000, kLimit));
}

}  // namespace
}  // namespace ombus::net

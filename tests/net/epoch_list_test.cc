#include "net/epoch_list.h"

#include <gtest/gtest.h>

namespace ombus::net {
namespace {

TEST(EpochListTest, KnowsInWhichEpochAPositionLies) {
  EpochList list(7);
  list.Begin({.epoch = 8, .position = 100, .frame = 10, .last_wal_seq = 10});
  list.Begin({.epoch = 9, .position = 300, .frame = 20, .last_wal_seq = 5, .whole = false});
  EXPECT_EQ(list.count(), 3u);
  EXPECT_EQ(list.NumberAt(0), 0u);
  EXPECT_EQ(list.NumberAt(99), 0u);
  EXPECT_EQ(list.NumberAt(100), 1u);
  EXPECT_EQ(list.NumberAt(1000), 2u);
  EXPECT_EQ(list.Find(8), 1u);
  EXPECT_EQ(list.Find(0), 2u);
  EXPECT_FALSE(list.Find(77).has_value());
  EXPECT_FALSE(list.latest().whole);
}

TEST(EpochListTest, ReplacesAnEpochWithoutARecordAndKeepsThatItsBeginningIsMissing) {
  EpochList list(0);
  list.Begin({.epoch = 1, .position = 0});
  EXPECT_EQ(list.count(), 1u);
  list.Begin({.epoch = 2, .position = 50, .last_wal_seq = 9, .whole = false});
  list.Begin({.epoch = 3, .position = 50, .last_wal_seq = 9});
  EXPECT_EQ(list.count(), 2u);
  EXPECT_EQ(list.latest().epoch, 3u);
  EXPECT_EQ(list.latest().last_wal_seq, 9u);
  EXPECT_FALSE(list.latest().whole);
}

TEST(EpochListTest, KeepsItsNumbersWhenItForgets) {
  EpochList list(1);
  const uint64_t count = EpochList::kKept + 10;
  for (uint64_t i = 2; i <= count; ++i) list.Begin({.epoch = i, .position = i * 100});
  list.ForgetBefore(550);
  EXPECT_EQ(list.count(), count);
  EXPECT_FALSE(list.Find(4).has_value());
  EXPECT_EQ(list.Find(5), 4u);  // 550 lies in it
  EXPECT_EQ(list.NumberAt(0), 4u);
  EXPECT_EQ(list.NumberAt(700), 6u);
  EXPECT_EQ(list.at(6).epoch, 7u);
}

TEST(EpochListTest, KeepsTheLatestEpochsWhateverIsRetained) {
  EpochList list(1);
  const uint64_t count = EpochList::kKept + 10;
  for (uint64_t i = 2; i <= count; ++i) list.Begin({.epoch = i, .position = i * 100});
  list.ForgetBefore(count * 100);
  EXPECT_EQ(list.first(), 10u);
  EXPECT_EQ(list.Find(11), 10u);
}

}  // namespace
}  // namespace ombus::net

#include "engine/event_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ombus::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class EventDeskTest : public ::testing::Test {
 protected:
  std::vector<std::string> texts_;
  EventDesk desk_{[this](const ServerEvent& event) { texts_.push_back(event.text); }};
  RelayStats stats_;
};

TEST_F(EventDeskTest, WhatIsCountedIsToldOnceWithTheNumberThatIsNew) {
  stats_.records_lost = 5;
  desk_.TellCounts("/s", stats_);
  desk_.TellCounts("/s", stats_);
  EXPECT_THAT(texts_, ElementsAre(HasSubstr("5 records lost")));
  stats_.records_lost = 7;
  desk_.TellCounts("/s", stats_);
  EXPECT_THAT(texts_.back(), HasSubstr("2 records lost"));
}

TEST_F(EventDeskTest, ManyGapsMakeOneSentenceThatNamesTheLast) {
  stats_.gaps = 1000;
  desk_.OnGap(3, 7);
  desk_.OnGap(20, 30);
  desk_.TellCounts("/s", stats_);
  EXPECT_THAT(texts_, ElementsAre(HasSubstr("1000 gaps")));
  EXPECT_THAT(texts_[0], HasSubstr("20 to 29 are missing"));
}

TEST_F(EventDeskTest, DamagedAndOversizedRecordsAreToldWithTheStream) {
  stats_.corrupt_records = 1;
  stats_.records_too_large = 2;
  desk_.TellCounts("/s", stats_);
  EXPECT_THAT(texts_, ElementsAre(HasSubstr("\"/s\": 1 damaged"), HasSubstr("\"/s\": 2 records")));
}

TEST_F(EventDeskTest, NothingNewIsNotTold) {
  desk_.TellCounts("/s", stats_);
  EXPECT_THAT(texts_, IsEmpty());
}

TEST_F(EventDeskTest, ServersEventsArePassedOnInOrder) {
  desk_.TellAll({{ServerEvent::Kind::kClientJoined, "a"}, {ServerEvent::Kind::kClientLeft, "b"}});
  EXPECT_THAT(texts_, ElementsAre("a", "b"));
}

TEST(EventDeskWithoutListenerTest, TellsNobodyAndDoesNotFail) {
  EventDesk desk(nullptr);
  desk.Tell("x");
  RelayStats stats;
  stats.gaps = 1;
  desk.TellCounts("/s", stats);
}

}  // namespace
}  // namespace ombus::engine

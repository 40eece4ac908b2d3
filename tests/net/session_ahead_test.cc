// Clients that are ahead of the broadcast log: what they have from a catch-up source, or from
// another server of the same stream, is not sent again when it comes here, however late that is.
#include "tests/net/table_world.h"

namespace ombus::net {
namespace {

class SessionAheadTest : public TableWorld {
 protected:
  // A client that asks for the records from 300 on, of which the log has those up to 400, too far
  // back, and the source those up to 410: with one read it has them all, and waits in vain then.
  size_t JoinAhead(ServerOptions options = {}) {
    options.epoch = 7;
    options.client_lag_bytes_max = 5000;
    options.catch_up_wait_ms = 20;
    MakeWithSource(options);
    Broadcast(1, 400, 1000);
    Store(7, 1, 410, 1000);
    const size_t slot = Join({.resume_from = 300, .epoch = 7});
    EXPECT_EQ(After(1000, slot), "W7 " + Run(300, 410));
    return slot;
  }
};

TEST_F(SessionAheadTest, SendsOnceWhatTheSourceHadBeforeTheLog) {
  const size_t slot = JoinAhead();
  EXPECT_TRUE(table_->all_drained());
  std::string told;
  for (uint64_t seq = 401; seq <= 413; ++seq) {
    Broadcast(seq, seq);
    told += After(100, slot);
    EXPECT_TRUE(table_->all_drained());
  }
  EXPECT_EQ(told, "411 412 413 ");
  EXPECT_EQ(table_->Stats().frames_delivered, 114u);
}

TEST_F(SessionAheadTest, SendsOnceWhatTheSourceHadOfAnEpochOfWhichTheLogHadNothing) {
  MakeWithSource({.catch_up_wait_ms = 20, .epoch = 7});
  Store(7, 1, 100);
  const size_t slot = Join({.resume_from = 50, .epoch = 7});
  EXPECT_EQ(After(1000, slot), "W7 " + Run(50, 100));
  Broadcast(40, 99);
  EXPECT_EQ(After(1000, slot), "");
  Broadcast(100, 102);
  EXPECT_EQ(After(1000, slot), "101 102 ");
}

TEST_F(SessionAheadTest, TellsWhatIsMissingBetweenTheSourceAndTheLogsBeginning) {
  MakeWithSource({.catch_up_wait_ms = 20, .epoch = 6});
  Broadcast(1, 1);
  table_->BeginEpoch(7, /*whole=*/false);
  Store(7, 1, 100);
  const size_t late = Join({.resume_from = 50, .epoch = 7});
  EXPECT_EQ(After(1000, late), "W7 " + Run(50, 100));
  Broadcast(103, 104);
  EXPECT_EQ(After(1000, late), "W7 W7 G101-102 103 104 ");
}

TEST_F(SessionAheadTest, AsksTheSourceAgainForWhatLiesBeforeTheLogsBeginning) {
  MakeWithSource({.catch_up_wait_ms = 20, .epoch = 6});
  Broadcast(1, 1);
  table_->BeginEpoch(7, /*whole=*/false);
  Store(7, 1, 100);
  const size_t slot = Join({.resume_from = 50, .epoch = 7});
  EXPECT_EQ(After(1000, slot), "W7 " + Run(50, 100));
  Store(7, 101, 104);
  Broadcast(103, 104);
  EXPECT_EQ(After(1000, slot), "W7 101 102 103 104 ");
  Broadcast(105, 105);
  EXPECT_EQ(After(1000, slot), "105 ");
}

TEST_F(SessionAheadTest, TellsNothingMissingWhereTheLogBeginsWithWhatFollows) {
  MakeWithSource({.catch_up_wait_ms = 20, .epoch = 6});
  Broadcast(1, 1);
  table_->BeginEpoch(7, /*whole=*/false);
  Store(7, 1, 100);
  const size_t slot = Join({.resume_from = 50, .epoch = 7});
  EXPECT_EQ(After(1000, slot), "W7 " + Run(50, 100));
  Broadcast(101, 102);
  EXPECT_EQ(After(1000, slot), "101 102 ");
}

TEST_F(SessionAheadTest, SendsHeartbeatsToWhoWaitsForTheLog) {
  MakeWithSource({.heartbeat_ms = 100, .client_timeout_ms = 0, .catch_up_wait_ms = 20, .epoch = 7});
  Store(7, 1, 10);
  const size_t slot = Join({.resume_from = 9, .epoch = 7, .heartbeat_ms = 100});
  EXPECT_EQ(After(100, slot).substr(0, 8), "W7 9 10 ");
  Broadcast(1, 1);
  EXPECT_EQ(After(1000, slot).substr(0, 10), "H H H H H ");
}

TEST_F(SessionAheadTest, SendsTheNextEpochFromItsBeginning) {
  const size_t slot = JoinAhead();
  Broadcast(401, 402);
  table_->BeginEpoch(8, /*whole=*/true);
  Broadcast(401, 403);
  EXPECT_EQ(After(100, slot), "W8 401 402 403 ");
}

TEST_F(SessionAheadTest, SendsAllOfTheEpochThatTakesThePlaceOfOneWithoutARecord) {
  MakeWithSource({.catch_up_wait_ms = 20, .epoch = 7});
  Store(7, 1, 10);
  const size_t slot = Join({.resume_from = 9, .epoch = 7});
  EXPECT_EQ(After(100, slot), "W7 9 10 ");
  table_->BeginEpoch(8, /*whole=*/true);
  Broadcast(1, 3);
  EXPECT_EQ(After(100, slot), "W8 1 2 3 ");
}

// Sequences that do not rise are the application's business: nobody has had those records.
TEST_F(SessionAheadTest, SendsRecordsWhoseSequencesBeginAnewWithinAnEpoch) {
  const size_t slot = JoinAhead();
  Broadcast(401, 402);
  Broadcast(3, 4);
  EXPECT_EQ(After(100, slot), "3 4 ");
}

TEST_F(SessionAheadTest, AnswersAnotherHelloWithWhatFollowsForThisClient) {
  const size_t slot = JoinAhead();
  Broadcast(401, 401);
  SayHello(slot, {});
  EXPECT_EQ(Turn(slot), "W7 ");
  EXPECT_EQ(firsts(), std::vector<uint64_t>{411});
  Broadcast(402, 411);
  EXPECT_EQ(After(100, slot), "411 ");
}

TEST_F(SessionAheadTest, AnswersAnotherHelloInTheEpochOfWhichItHasTheBeginning) {
  MakeWithSource({.catch_up_wait_ms = 20, .epoch = 6});
  Broadcast(1, 1);
  table_->BeginEpoch(7, /*whole=*/true);
  Store(7, 1, 10);
  const size_t slot = Join({.resume_from = 9, .epoch = 7});
  EXPECT_EQ(After(100, slot), "W7 9 10 ");
  SayHello(slot, {});
  EXPECT_EQ(Turn(slot), "W7 ");
  Broadcast(1, 11);
  EXPECT_EQ(After(100, slot), "11 ");
}

TEST_F(SessionAheadTest, SendsAgainWhatAnotherHelloAsksFor) {
  const size_t slot = JoinAhead();
  SayHello(slot, {.resume_from = 399, .epoch = 7});
  Broadcast(401, 403);
  EXPECT_EQ(After(100, slot), "W7 399 400 401 402 403 ");
}

TEST_F(SessionAheadTest, HoldsNothingUpThatItHas) {
  const size_t slot = JoinAhead(
      {.heartbeat_ms = 100, .client_timeout_ms = 0, .slow_client_policy = SlowClientPolicy::kSkip});
  SayHello(slot, {.heartbeat_ms = 100});
  EXPECT_EQ(Turn(slot, 1), "");  // a full socket: a frame of its own has begun
  Broadcast(401, 410, 1000);     // twice what it may lag
  Broadcast(411, 412);
  EXPECT_EQ(Turn(slot), "W7 411 412 ");
  EXPECT_EQ(table_->Stats().slow_client_skips, 0u);
}

TEST_F(SessionAheadTest, SendsOnceWhatAnotherServerHadBeforeThisOne) {
  Make({.epoch = 7});
  Broadcast(1, 90);
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W7 ");
  EXPECT_EQ(firsts(), std::vector<uint64_t>{101});
  Broadcast(91, 95);
  EXPECT_EQ(Turn(slot), "");
  EXPECT_TRUE(table_->all_drained());
  Broadcast(96, 103);
  EXPECT_EQ(Turn(slot), "101 102 103 ");
}

TEST_F(SessionAheadTest, SendsItOnceAlsoWhereThisServerHadNothingYet) {
  Make({.epoch = 7});
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W7 ");
  Broadcast(95, 102);
  EXPECT_EQ(Turn(slot), "101 102 ");
}

TEST_F(SessionAheadTest, SendsItOnceAlsoWhereThisServerDidNotKnowTheEpochYet) {
  Make();
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W0 ");
  table_->BeginEpoch(7, /*whole=*/false);
  Broadcast(95, 102);
  EXPECT_EQ(Turn(slot), "W7 101 102 ");
  EXPECT_EQ(firsts(), std::vector<uint64_t>{101});
}

TEST_F(SessionAheadTest, SendsItOnceAlsoWhereThisServerIsAnEpochBehind) {
  Make({.client_lag_bytes_max = 5000, .slow_client_policy = SlowClientPolicy::kSkip, .epoch = 6});
  Broadcast(1, 1);
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W6 G0-0 1 ");
  table_->BeginEpoch(7, /*whole=*/true);
  Broadcast(1, 104, 1000);  // more than it may lag, before its turn comes
  EXPECT_EQ(Turn(slot), "W7 101 102 103 104 ");
  EXPECT_EQ(table_->Stats().slow_client_skips, 0u);
}

TEST_F(SessionAheadTest, TellsWhatNeitherServerHad) {
  Make({.epoch = 7});
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W7 ");
  Broadcast(150, 151);
  EXPECT_EQ(Turn(slot), "G101-149 150 151 ");
}

TEST_F(SessionAheadTest, TellsItOnlyOnceItKnowsTheEpochAlsoWhereThereIsASource) {
  MakeWithSource({.catch_up_wait_ms = 20});
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(After(100, slot), "W0 ");
  EXPECT_EQ(store_->reads(), 0u);
  table_->BeginEpoch(7, /*whole=*/true);
  Broadcast(150, 151);
  EXPECT_EQ(After(100, slot), "W7 W7 G101-149 150 151 ");
}

// A server that was started anew answers before it has found its stream.
TEST_F(SessionAheadTest, AsksTheSourceOnceItKnowsTheEpoch) {
  for (const uint64_t named : {uint64_t{7}, uint64_t{0}}) {  // 0: the latest, whatever that is
    MakeWithSource({.catch_up_wait_ms = 20});
    Store(7, 90, 120);
    const size_t slot = Join({.resume_from = 101, .epoch = named});
    EXPECT_EQ(After(100, slot), "W0 ");
    table_->BeginEpoch(7, /*whole=*/false);
    EXPECT_EQ(After(100, slot), "W7 " + Run(101, 120));
    Broadcast(119, 122);
    EXPECT_EQ(After(100, slot), "121 122 ");
  }
}

TEST_F(SessionAheadTest, AsksTheSourceAlsoWhereTheFirstRecordComesWithTheEpochsName) {
  for (const uint64_t named : {uint64_t{7}, uint64_t{0}}) {
    MakeWithSource({.catch_up_wait_ms = 20});
    Store(7, 90, 151);
    const size_t slot = Join({.resume_from = 101, .epoch = named});
    EXPECT_EQ(Turn(slot), "W0 ");
    table_->BeginEpoch(7, /*whole=*/false);
    Broadcast(150, 152);
    EXPECT_EQ(After(100, slot), "W7 " + Run(101, 152));
    EXPECT_EQ(table_->Stats().frames_delivered, 52u);
  }
}

TEST_F(SessionAheadTest, AsksNoSourceForAnEpochThatIsNotTheOneResumed) {
  MakeWithSource({.catch_up_wait_ms = 20});
  Store(7, 90, 120);
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W0 ");
  table_->BeginEpoch(8, /*whole=*/false);
  Broadcast(5, 6);
  EXPECT_EQ(After(100, slot), "W8 G0-4 5 6 ");
  EXPECT_EQ(store_->reads(), 0u);
}

// Once it was given records without an epoch's name it cannot be told whether these are the same.
TEST_F(SessionAheadTest, SendsAllOfAnEpochThatGetsItsNameAfterTheSourceGaveRecordsWithout) {
  MakeWithSource({.catch_up_wait_ms = 20});
  Store(0, 101, 103);
  const size_t slot = Join(Hello{.resume_from = 101});
  EXPECT_EQ(After(100, slot), "W0 101 102 103 ");
  table_->BeginEpoch(7, /*whole=*/true);
  Broadcast(1, 2);
  EXPECT_EQ(After(100, slot), "W7 1 2 ");
}

TEST_F(SessionAheadTest, NamesWhatFollowsInTheEpochWhereItGoesOnAndNotInTheOneThatItHad) {
  MakeWithSource({.client_lag_bytes_max = 5000, .catch_up_wait_ms = 20, .epoch = 6});
  Broadcast(1, 40, 1000);
  const size_t slot = Join({.resume_from = 20, .epoch = 6});  // of which the source has nothing
  EXPECT_EQ(Turn(slot), "W6 ");
  table_->BeginEpoch(7, /*whole=*/true);
  Broadcast(1, 3, 3000);  // too far back already
  std::string told;
  for (int ms = 0; ms < 100 && told.empty(); ++ms) {
    now_ns_ += kNsPerMs;
    EXPECT_EQ(table_->OnTimer(table_->at(slot), now_ns_), "");
    told = Turn(slot);
  }
  EXPECT_EQ(told, "W7 G0-3 ");
  EXPECT_EQ(firsts(), std::vector<uint64_t>{4});
}

TEST_F(SessionAheadTest, AsksTheSourceBeforeAClientThatResumesIsMadeToSkip) {
  for (const auto policy : {SlowClientPolicy::kSkip, SlowClientPolicy::kCatchUp}) {
    MakeWithSource({.client_lag_bytes_max = 5000,
                    .slow_client_policy = policy,
                    .catch_up_wait_ms = 20,
                    .epoch = 6});
    Broadcast(1, 1);
    Store(7, 90, 160, 1000);
    const size_t slot = Join({.resume_from = 101, .epoch = 7});
    EXPECT_EQ(Turn(slot), "W6 G0-0 1 ");
    table_->BeginEpoch(7, /*whole=*/false);
    Broadcast(150, 160, 1000);  // more than it may lag, before its turn comes
    EXPECT_EQ(After(100, slot), "W7 " + Run(101, 160));
    EXPECT_EQ(table_->Stats().slow_client_skips, 0u);
    EXPECT_EQ(table_->Stats().catch_ups, 1u);
  }
}

TEST_F(SessionAheadTest, TellsAClientThatIsCutWhatIsMissingAndAsksNoSourceForIt) {
  MakeWithSource({.client_lag_bytes_max = 5000, .epoch = 6});
  Broadcast(1, 1);
  Store(7, 90, 154, 1000);
  const size_t slot = Join({.resume_from = 101, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W6 G0-0 1 ");
  table_->BeginEpoch(7, /*whole=*/true);
  Broadcast(150, 154, 1000);  // more than it may lag, before its turn comes
  EXPECT_EQ(Turn(slot), "W7 G101-149 150 151 152 153 ! B ");
  EXPECT_EQ(table_->catching_up(), 0u);
  EXPECT_TRUE(table_->all_drained());
  EXPECT_EQ(store_->reads(), 0u);
  EXPECT_EQ(table_->Stats().frames_delivered, 5u);
}

// Nobody knows whether those are the same records: the client marks what it takes for late.
TEST_F(SessionAheadTest, SendsWhatComesOfAnEpochWithoutAName) {
  Make();
  Broadcast(1, 90);
  const size_t slot = Join({.resume_from = 101});
  EXPECT_EQ(Turn(slot), "W0 ");
  Broadcast(91, 92);
  EXPECT_EQ(Turn(slot), "91 92 ");
}

TEST_F(SessionAheadTest, SendsHeartbeatsWhileItLeavesOutWhatTheClientHas) {
  Make({.heartbeat_ms = 100, .client_timeout_ms = 0, .epoch = 7});
  Broadcast(1, 1);
  const size_t slot = Join({.resume_from = 5000, .epoch = 7, .heartbeat_ms = 100});
  EXPECT_EQ(Turn(slot), "W7 ");
  std::string told;
  for (uint64_t seq = 2; seq < 1000; ++seq) {
    Broadcast(seq, seq);
    told += After(1, slot);
  }
  EXPECT_EQ(told.substr(0, 16), "H H H H H H H H ");
}

}  // namespace
}  // namespace ombus::net

// What clients are told where epochs, skips, cuts and catching up meet: one case each of what the
// fuzz target of the sessions once found missing.
#include "net/basic_server.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"
#include "tests/net/table_world.h"

namespace ombus::net {
namespace {

// Records of 1000 bytes, of which four may be pending.
constexpr uint64_t kLagMax = 5000;

using SessionEpochTest = TableWorld;

TEST_F(SessionEpochTest, TellsWhoWasToldOfAnEpochWithoutARecordOfTheOneInItsPlace) {
  Make({.epoch = 7});
  const size_t slot = Join(Hello{});
  EXPECT_EQ(Turn(slot), "W7 ");
  table_->BeginEpoch(8, /*whole=*/false);
  Broadcast(5, 6);
  EXPECT_EQ(Turn(slot), "W8 G0-4 5 6 ");
}

TEST_F(SessionEpochTest, TellsAMissingBeginningToWhoSaysHelloOnlyWhileItCatchesUp) {
  MakeWithSource({.client_lag_bytes_max = kLagMax,
                  .slow_client_policy = SlowClientPolicy::kCatchUp,
                  .epoch = 6});
  Broadcast(1, 1);
  table_->BeginEpoch(7, /*whole=*/false);
  const size_t slot = Join();
  Store(7, 5, 30, 1000);
  Broadcast(5, 30, 1000);
  ASSERT_EQ(table_->catching_up(), 1u);
  SayHello(slot, {});
  EXPECT_EQ(Turn(slot), "W7 G0-4 " + Run(5, 30));
}

TEST_F(SessionEpochTest, TellsThatAnEpochIsMissingOfWhichAllWasSkippedUpToTheNext) {
  Make(
      {.client_lag_bytes_max = kLagMax, .slow_client_policy = SlowClientPolicy::kSkip, .epoch = 7});
  const size_t slot = Join(Hello{});
  Broadcast(1, 1);
  EXPECT_EQ(Turn(slot), "W7 1 ");
  Broadcast(2, 3, 1000);
  table_->BeginEpoch(8, /*whole=*/true);
  Broadcast(1, 2, 1000);
  table_->BeginEpoch(9, /*whole=*/true);
  Broadcast(1, 2, 1000);  // the first of these makes it skip
  EXPECT_EQ(Turn(slot), "G2-3 W9 G0-0 1 2 ");
}

TEST_F(SessionEpochTest, CostsTheSameHoweverManyEpochsAClientSkipsThatTakesNothing) {
  Make({.client_lag_bytes_max = kLagMax,
        .slow_client_policy = SlowClientPolicy::kSkip,
        .soft_lag_bytes = 1000,
        .epoch = 7});
  const size_t slot = Join(Hello{});
  Broadcast(1, 1);
  EXPECT_EQ(Turn(slot), "W7 1 ");
  Broadcast(2, 4);
  size_t most = 0;
  for (uint64_t epoch = 8; epoch < 1000; ++epoch) {
    table_->BeginEpoch(epoch, /*whole=*/true);
    for (uint64_t seq = 1; seq <= 10; ++seq) {
      Broadcast(seq, seq, 1000);
      table_->CheckMarks(now_ns_);
    }
    if (epoch % 3 == 0) (void)table_->NextSend(table_->at(slot));  // its socket is full
    most = std::max(most, table_->at(slot).extra->own.size());
  }
  EXPECT_GT(table_->Stats().slow_client_skips, 900u);
  EXPECT_LE(most, 200u);
  table_->BeginEpoch(1000, /*whole=*/true);
  Broadcast(1, 2);
  EXPECT_EQ(Turn(slot), "! G2-4 W999 G0-6 7 8 9 10 W1000 1 2 ");
}

TEST_F(SessionEpochTest, CostsNotMuchMoreWhereTheClientTakesAByteNowAndThen) {
  Make(
      {.client_lag_bytes_max = kLagMax, .slow_client_policy = SlowClientPolicy::kSkip, .epoch = 7});
  const size_t slot = Join(Hello{});
  size_t most = 0;
  for (uint64_t epoch = 8; epoch < 3000; ++epoch) {
    table_->BeginEpoch(epoch, /*whole=*/true);
    Broadcast(1, 10, 1000);
    (void)Turn(slot, 1);
    if (const auto& extra = table_->at(slot).extra) most = std::max(most, extra->own.size());
  }
  EXPECT_LE(most, FrameBytes(1000) + 200);  // with the rest of a frame that had begun
  (void)Turn(slot);
  table_->BeginEpoch(3000, /*whole=*/true);
  Broadcast(1, 2);
  EXPECT_EQ(Turn(slot), "W3000 1 2 ");
}

TEST_F(SessionEpochTest, TellsAMissingBeginningAlsoBeforeSequenceZero) {
  Make({.epoch = 8});
  Broadcast(0, 2);
  const size_t slot = Join({.resume_from = 5, .epoch = 77});
  EXPECT_EQ(Turn(slot), "W8 G0-0 0 1 2 ");
}

TEST_F(SessionEpochTest, TellsWhatTheSourceLacksOfAnEpochWithoutAName) {
  MakeWithSource({.client_lag_bytes_max = kLagMax,
                  .slow_client_policy = SlowClientPolicy::kCatchUp,
                  .catch_up_wait_ms = 20});
  const size_t slot = Join(Hello{});
  Broadcast(1, 1);
  EXPECT_EQ(Turn(slot), "W0 1 ");
  Broadcast(2, 3, 1000);
  table_->BeginEpoch(8, /*whole=*/true);
  Broadcast(1, 40, 1000);
  EXPECT_EQ(After(100, slot), "W8 G0-40 ");
  Broadcast(41, 42);
  EXPECT_EQ(Turn(slot), "41 42 ");
}

TEST_F(SessionEpochTest, DrainsNobodyIntoAnEpochThatItWasNotToldOf) {
  Make({.client_lag_bytes_max = kLagMax, .epoch = 7});
  const size_t slot = Join(Hello{});
  Broadcast(1, 1);
  EXPECT_EQ(Turn(slot), "W7 1 ");
  table_->BeginEpoch(8, /*whole=*/true);
  Broadcast(1, 4, 1000);
  SayHello(slot, {});  // and is cut before that is answered
  Broadcast(5, 5, 1000);
  EXPECT_EQ(table_->draining(), 1u);
  EXPECT_EQ(Turn(slot), "! B ");
}

TEST_F(SessionEpochTest, NamesNoFirstSequenceThatOnlyTheSourceKnows) {
  MakeWithSource({.epoch = 7});
  const size_t slot = Join({.resume_from = 50, .epoch = 7});
  EXPECT_EQ(Turn(slot), "W7 ");
  EXPECT_EQ(firsts(), std::vector<uint64_t>{0});
}

TEST_F(SessionEpochTest, SendsTheEpochThatTookThePlaceOfTheOneAskedForFromItsBeginning) {
  MakeWithSource({.epoch = 7});
  const size_t slot = Join({.resume_from = 50, .epoch = 7});
  EXPECT_EQ(Turn(slot, 1), "");  // WELCOME has begun
  table_->BeginEpoch(8, /*whole=*/true);
  Store(8, 60, 70);
  EXPECT_EQ(Turn(slot), "W7 W8 ");
  Broadcast(1, 3);
  EXPECT_EQ(Turn(slot), "W8 G0-0 1 2 3 ");
}

TEST_F(SessionEpochTest, TellsThatAnEpochWasReplacedAlsoWhereTheSourceHasTheOther) {
  MakeWithSource({.client_lag_bytes_max = kLagMax, .epoch = 7});
  const size_t slot = Join({.resume_from = 50, .epoch = 7});
  EXPECT_EQ(Turn(slot, 1), "");
  table_->BeginEpoch(8, /*whole=*/true);
  Store(8, 1, 40, 1000);
  Broadcast(1, 40, 1000);
  EXPECT_EQ(Turn(slot), "W7 W8 G0-0 " + Run(1, 40));
}

TEST_F(SessionEpochTest, CountsTheWarningsBeforeAJumpOfWhoCatchesUp) {
  MakeWithSource(
      {.client_lag_bytes_max = kLagMax, .slow_client_policy = SlowClientPolicy::kCatchUp});
  const size_t slot = Join();
  Broadcast(1, 1);
  EXPECT_EQ(Turn(slot), "1 ");
  Store(0, 20, 40, 1000);
  Broadcast(2, 40, 1000);
  EXPECT_EQ(Turn(slot), "! " + Run(20, 40));
  EXPECT_EQ(table_->Stats().slow_client_warnings, 1u);
}

TEST(ServerLagTest, IsNothingWhereEverybodyCatchesUp) {
  SimNetwork network(4096);
  const int listener = network.NewListener();
  auto server = BasicServer<SimBackend>::Create(
      std::make_unique<SimBackend>(&network, SimOptions{}), UniqueFd(listener),
      {.log_bytes = kLogBytesMin,
       .client_lag_bytes_max = kLagMax,
       .slow_client_policy = SlowClientPolicy::kCatchUp,
       .catch_up = std::make_shared<FrameStore>()});
  ASSERT_TRUE(server.ok()) << server.status().message();
  const int peer = network.NewSocket();
  ASSERT_EQ(network.Connect(peer, network.AddressOf(listener)), 0);
  const std::vector<uint8_t> payload(1000);
  for (uint64_t seq = 1; (*server)->stats().catch_ups == 0; ++seq) {
    ASSERT_TRUE((*server)->Turn(0).ok());
    ASSERT_EQ(
        (*server)->Broadcast({.wal_seq = seq, .payload = payload.data(), .size = 1000, .type = 1}),
        BroadcastResult::kOk);
  }
  EXPECT_EQ((*server)->client_count(), 1u);
  EXPECT_EQ((*server)->min_lag(), 0u);
  EXPECT_EQ((*server)->max_lag(), 0u);
}

}  // namespace
}  // namespace ombus::net

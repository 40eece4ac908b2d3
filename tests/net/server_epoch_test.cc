// What clients are told where another incarnation of the producer begins, and where a resume ends
// up then, over real sockets.
#include <gmock/gmock.h>

#include "net/broadcast_log.h"
#include "tests/net/server_fixture.h"
#include "tests/net/told.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

class ServerEpochTest : public ServerFixture {
 protected:
  void SendAll(std::initializer_list<uint64_t> sequences) {
    for (const uint64_t wal_seq : sequences) ASSERT_EQ(Send(wal_seq), BroadcastResult::kOk);
  }
  // What a new client is told that asks for `hello`, and then the record `last` is sent.
  std::string Joined(const Hello& hello, uint64_t last) {
    std::vector<std::byte> bytes;
    AppendHello(&bytes, hello);
    RawPeer peer(server_->port());
    peer.Send(bytes);
    ReadUntil(&peer, [&] { return !peer.Frames().empty(); });
    SendAll({last});
    ReadUntil(&peer, [&] { return peer.Frames().back().wal_seq == last && server_->Flush(0); });
    return Told(peer.Frames());
  }
};

TEST_P(ServerEpochTest, TellsThoseWhoSaidHelloBeforeTheFirstRecordOfAnotherEpoch) {
  Start({.epoch = 7});
  RawPeer silent(server_->port()), polite(server_->port());
  polite.Send(HelloBytes());
  ReadUntil(&polite, [&] { return polite.Frames().size() == 1; });
  WaitForClients(2);
  SendAll({10, 11});
  server_->BeginEpoch(8, true);
  SendAll({1});
  server_->BeginEpoch(9, false);
  SendAll({5, 6});
  ReadUntil(&polite, [&] { return polite.Frames().size() == 9; });
  EXPECT_EQ(Told(polite.Frames()), "W7 10 11 W8 1 W9 G0-4 5 6 ");
  ReadUntil(&silent, [&] { return silent.Frames().size() == 5; });
  EXPECT_EQ(Told(silent.Frames()), "10 11 1 5 6 ");
}

TEST_P(ServerEpochTest,
       SaysThatTheBeginningIsMissingToWhoseHelloIsAnsweredOnlyAfterTheFirstRecord) {
  Start({.require_hello = true, .epoch = 7});
  RawPeer peer(server_->port());
  peer.Send(HelloBytes());
  WaitForClients(1);  // HELLO was read; it is answered when the next turn begins
  server_->BeginEpoch(8, false);
  SendAll({5, 6});
  ReadUntil(&peer, [&] { return peer.Frames().size() == 4; });
  EXPECT_EQ(Told(peer.Frames()), "W8 G0-4 5 6 ");
}

TEST_P(ServerEpochTest, TellsTheFirstEpochAlsoToThoseWhoCameBeforeIt) {
  Start();
  RawPeer peer(server_->port());
  peer.Send(HelloBytes());
  ReadUntil(&peer, [&] { return peer.Frames().size() == 1; });
  server_->BeginEpoch(8, true);
  SendAll({3});
  ReadUntil(&peer, [&] { return peer.Frames().size() == 3; });
  EXPECT_EQ(Told(peer.Frames()), "W0 W8 3 ");
}

TEST_P(ServerEpochTest, TellsWhoWasToldOfAnEpochThatEndsWithoutARecordOfTheNext) {
  Start({.epoch = 7});
  RawPeer peer(server_->port());
  peer.Send(HelloBytes());
  ReadUntil(&peer, [&] { return peer.Frames().size() == 1; });
  server_->BeginEpoch(8, true);
  SendAll({1});
  ReadUntil(&peer, [&] { return peer.Frames().size() == 3; });
  EXPECT_EQ(Told(peer.Frames()), "W7 W8 1 ");
}

TEST_P(ServerEpochTest, SaysThatTheBeginningIsMissingToWhoCameBeforeTheVeryFirstRecord) {
  Start();
  server_->BeginEpoch(8, false);
  EXPECT_EQ(Joined({}, 5), "W8 W8 G0-4 5 ");
}

// As after a relay was started again: whether it had already relayed a record makes no difference.
TEST_P(ServerEpochTest,
       SaysThatTheBeginningIsMissingToWhoResumesInAnotherEpochOnAServerWithoutARecord) {
  Start({.epoch = 8});
  EXPECT_EQ(Joined({.resume_from = 101, .epoch = 7}, 5), "W8 W8 G0-4 5 ");
  EXPECT_EQ(Joined({.resume_from = 101, .epoch = 7}, 6), "W8 G0-4 5 6 ");
}

TEST_P(ServerEpochTest, ResumesOnAServerWithoutARecordInTheEpochThatItGetsToKnow) {
  Start();
  RawPeer peer(server_->port());
  std::vector<std::byte> hello;
  AppendHello(&hello, {.resume_from = 101, .epoch = 8});
  peer.Send(hello);
  ReadUntil(&peer, [&] { return peer.Frames().size() == 1; });
  server_->BeginEpoch(8, true);
  SendAll({101});
  ReadUntil(&peer, [&] { return peer.Frames().size() == 3; });
  EXPECT_EQ(Told(peer.Frames()), "W0 W8 101 ");
}

TEST_P(ServerEpochTest, ResumesInTheEpochThatTheClientKnows) {
  Start({.epoch = 7});
  SendAll({10, 11, 12});
  server_->BeginEpoch(8, true);
  SendAll({1, 2, 3});
  EXPECT_EQ(Joined({.resume_from = 11, .epoch = 7}, 4), "W7 11 12 W8 1 2 3 4 ");
  EXPECT_EQ(Joined({.resume_from = 13, .epoch = 7}, 5), "W8 1 2 3 4 5 ");
  EXPECT_EQ(Joined({.resume_from = 2, .epoch = 8}, 6), "W8 2 3 4 5 6 ");
  EXPECT_EQ(Joined({.resume_from = 2}, 7), "W8 2 3 4 5 6 7 ");
  server_->BeginEpoch(9, true);  // without a record as yet
  EXPECT_EQ(Joined({.resume_from = 8, .epoch = 8}, 1), "W8 W9 1 ");
}

TEST_P(ServerEpochTest, SaysThatTheBeginningOfAnEpochIsMissingToWhoKnowsNoneOfIt) {
  Start({.log_bytes = kLogBytesMin, .epoch = 7});
  SendAll({100});
  server_->BeginEpoch(8, true);
  for (uint64_t i = 1; i <= 4000; ++i) ASSERT_EQ(Send(i), BroadcastResult::kOk);
  for (const uint64_t epoch : {7, 77}) {
    const std::string told = Joined({.resume_from = 101, .epoch = epoch}, 4000 + epoch);
    EXPECT_THAT(told, ::testing::StartsWith("W8 G0-")) << epoch;
    EXPECT_THAT(told, HasSubstr(" 3999 4000 ")) << epoch;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerEpochTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

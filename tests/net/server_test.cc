#include "ombus/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "net/broadcast_log.h"
#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

class ServerTest : public ServerFixture {};

TEST_P(ServerTest, PutsExactlyTheDocumentedBytesOnTheWire) {
  Start();
  RawPeer peer(server_->port());
  WaitForClients(1);
  const char payload[] = {'a', 'b', 'c'};
  ASSERT_EQ(
      server_->Broadcast({.wal_seq = 0x0102030405060708, .payload = payload, .size = 3, .type = 9}),
      BroadcastResult::kOk);
  ReadUntil(&peer, [&] { return peer.bytes().size() >= 19; });
  const uint8_t wanted[] = {0x46, 0x54, 0x4D, 0x4F, 9, 0, 3,   0,   8,  7,
                            6,    5,    4,    3,    2, 1, 'a', 'b', 'c'};
  ASSERT_EQ(peer.bytes().size(), sizeof(wanted));
  EXPECT_EQ(std::memcmp(peer.bytes().data(), wanted, sizeof(wanted)), 0);
}

TEST_P(ServerTest, GivesEveryClientAGapFreeRunFromItsAcceptOn) {
  Start();
  std::vector<std::unique_ptr<RawPeer>> peers;
  std::vector<uint64_t> first;
  uint64_t next = 1;
  for (int i = 0; i < 20; ++i) {
    peers.push_back(std::make_unique<RawPeer>(server_->port()));
    WaitForClients(i + 1);
    first.push_back(next);
    for (int n = 0; n < 500; ++n) ASSERT_EQ(Send(next++, n % 300), BroadcastResult::kOk);
    ASSERT_TRUE(server_->PollIo(0).ok());
  }
  uint64_t total = 0;
  for (size_t i = 0; i < peers.size(); ++i) {
    const size_t count = next - first[i];
    total += count;
    ReadUntil(peers[i].get(), [&] { return peers[i]->Frames().size() >= count; });
    const auto frames = peers[i]->Frames();
    ASSERT_EQ(frames.size(), count);
    for (size_t n = 0; n < count; ++n) ASSERT_EQ(frames[n].wal_seq, first[i] + n);
  }
  EXPECT_TRUE(server_->Flush(1'000'000'000));
  EXPECT_EQ(server_->stats().frames_delivered, total);
}

TEST_P(ServerTest, CutsASlowClientExactlyAtTheBroadcastThatExceedsAndNobodyElse) {
  const uint64_t limit = 80 * 100;
  Start({.client_lag_bytes_max = limit});
  RawPeer peer(server_->port());
  WaitForClients(1);
  for (int i = 1; i <= 100; ++i) ASSERT_EQ(Send(i), BroadcastResult::kOk);
  EXPECT_EQ(server_->client_count(), 1u);
  EXPECT_EQ(server_->stats().slow_client_drops, 0u);
  ASSERT_EQ(Send(101), BroadcastResult::kOk);
  EXPECT_EQ(server_->client_count(), 0u);
  EXPECT_EQ(server_->stats().slow_client_drops, 1u);
  const std::string events = Events();
  EXPECT_THAT(events, HasSubstr("127.0.0.1:"));
  EXPECT_THAT(events, HasSubstr("--client-lag-bytes"));
  RawPeer other(server_->port());
  WaitForClients(1);
  ASSERT_EQ(Send(102), BroadcastResult::kOk);
  ReadUntil(&other, [&] { return other.bytes().size() == 80; });
  // All that was pending; no room for the warning within the limit; the end.
  ReadUntil(&peer, [&] { return peer.ended(); });
  size_t rest = 1;
  const auto frames = peer.Frames(&rest);
  ASSERT_EQ(frames.size(), 100u);
  EXPECT_EQ(frames.back().wal_seq, 100u);
  EXPECT_EQ(rest, 0u);
}

TEST_P(ServerTest, WarnsACutClientWhereTheWarningFitsTheLimit) {
  Start({.client_lag_bytes_max = 8000});
  RawPeer peer(server_->port());
  WaitForClients(1);
  for (int i = 1; i <= 99; ++i) ASSERT_EQ(Send(i), BroadcastResult::kOk);
  ASSERT_EQ(Send(100, 200), BroadcastResult::kOk);
  ReadUntil(&peer, [&] { return peer.ended(); });
  const auto frames = peer.Frames();
  ASSERT_EQ(frames.size(), 100u);
  SlowWarningFrame warning;
  ASSERT_TRUE(ParseSlowWarning(frames.back(), &warning));
  EXPECT_EQ(warning.pending_bytes, 99u * 80);
  EXPECT_EQ(warning.limit_bytes, 8000u);
}

TEST_P(ServerTest, DrainsAClientWhoseSocketIsFullWhenItIsCut) {
  Start({.client_lag_bytes_max = 100'000, .send_buffer_bytes = 8192, .drain_ms = 60'000});
  RawPeer peer(server_->port(), 8192);
  WaitForClients(1);
  uint64_t next = 1;
  while (server_->client_count() == 1) {
    ASSERT_EQ(Send(next++, 1000), BroadcastResult::kOk);
    ASSERT_TRUE(server_->PollIo(0).ok());
  }
  // The log goes on under the drain.
  for (int i = 0; i < 8000; ++i) ASSERT_EQ(Send(next + i, 1000), BroadcastResult::kOk);
  ReadUntil(&peer, [&] { return peer.ended(); });
  size_t rest = 1;
  const auto frames = peer.Frames(&rest);
  EXPECT_EQ(rest, 0u);
  ASSERT_GE(frames.size(), next - 2);
  for (size_t i = 0; i < next - 2; ++i) {
    ASSERT_EQ(frames[i].wal_seq, i + 1);
    ASSERT_EQ(frames[i].payload[999], static_cast<std::byte>(i + 1));
  }
}

TEST_P(ServerTest, LosesNothingWhereItWaitsForSlowClients) {
  Start({.client_lag_bytes_max = 20'000,
         .slow_client_policy = SlowClientPolicy::kWait,
         .slow_wait_ms = 60'000,
         .send_buffer_bytes = 8192});
  RawPeer peer(server_->port(), 8192);
  WaitForClients(1);
  uint64_t refused = 0;
  for (uint64_t i = 1; i <= 2000; ++i) {
    while (Send(i, 500) == BroadcastResult::kFull) {
      ++refused;
      peer.Drain();
      ASSERT_TRUE(server_->PollIo(1'000'000).ok());
    }
  }
  EXPECT_GT(refused, 0u);
  ReadUntil(&peer, [&] { return peer.bytes().size() >= 2000 * 516; });
  const auto frames = peer.Frames();
  ASSERT_EQ(frames.size(), 2000u);
  for (size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(frames[i].wal_seq, i + 1);
  EXPECT_EQ(server_->stats().slow_client_drops, 0u);
}

TEST_P(ServerTest, StopsWaitingForAClientThatMakesNoProgress) {
  Start({.client_lag_bytes_max = 20'000,
         .slow_client_policy = SlowClientPolicy::kWait,
         .slow_wait_ms = 20,
         .send_buffer_bytes = 8192});
  RawPeer peer(server_->port(), 8192);
  WaitForClients(1);
  uint64_t next = 1;
  while (server_->client_count() == 1) {
    if (Send(next, 500) == BroadcastResult::kOk) ++next;
    ASSERT_TRUE(server_->PollIo(1'000'000).ok());
  }
  EXPECT_EQ(server_->stats().slow_client_drops, 1u);
  EXPECT_EQ(Send(next, 500), BroadcastResult::kOk);
}

TEST_P(ServerTest, ClosesPeersThatSendGarbageAndNamesThem) {
  Start();
  std::vector<std::string> garbage = {"GET / HTTP/1.1\r\n\r\n", std::string(100'000, 'x')};
  std::vector<std::byte> data(16), huge = HelloBytes();
  StoreWord(data.data(), FrameWord(1, 0, 0));
  StoreWord(huge.data(), FrameWord(1, kFrameFlagControl, 0xFFFF));
  std::vector<std::byte> flags = HelloBytes();
  StoreWord(flags.data(), FrameWord(1, 0x81, 16));
  RawPeer good(server_->port());
  WaitForClients(1);
  std::vector<std::vector<std::byte>> frames = {data, huge, flags};
  for (const std::string& text : garbage) {
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    frames.emplace_back(bytes, bytes + text.size());
  }
  uint64_t errors = 0;
  for (const auto& bytes : frames) {
    RawPeer bad(server_->port());
    WaitForClients(2);
    (void)send(bad.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ReadUntil(&bad, [&] { return bad.ended(); });
    EXPECT_EQ(server_->stats().protocol_errors, ++errors);
    EXPECT_THAT(Events(), HasSubstr("sent "));
    EXPECT_EQ(server_->client_count(), 1u);
  }
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  ReadUntil(&good, [&] { return good.Frames().size() == 1; });
}

TEST_P(ServerTest, KeepsServingAPeerThatSentHalfAFrame) {
  Start();
  RawPeer peer(server_->port());
  WaitForClients(1);
  auto hello = HelloBytes();
  peer.Send(std::vector<std::byte>(hello.begin(), hello.begin() + 9));
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  ReadUntil(&peer, [&] { return peer.Frames().size() == 1; });
  peer.Send(std::vector<std::byte>(hello.begin() + 9, hello.end()));
  ReadUntil(&peer, [&] { return peer.Frames().size() == 2; });
  Welcome welcome;
  EXPECT_TRUE(ParseWelcome(peer.Frames()[1], &welcome));
  EXPECT_EQ(welcome.first_wal_seq, 2u);
}

TEST_P(ServerTest, AnswersAnUnknownVersionWithByeAndCloses) {
  Start();
  RawPeer peer(server_->port());
  peer.Send(HelloBytes(0, 77));
  ReadUntil(&peer, [&] { return peer.ended(); });
  const auto frames = peer.Frames();
  ASSERT_EQ(frames.size(), 1u);
  Bye bye;
  ASSERT_TRUE(ParseBye(frames[0], &bye));
  EXPECT_EQ(bye.why, static_cast<uint32_t>(ByeReason::kVersion));
}

TEST_P(ServerTest, ResumesFromTheLogWhatItStillHas) {
  Start();
  for (int i = 1; i <= 2000; ++i) ASSERT_EQ(Send(i), BroadcastResult::kOk);
  RawPeer peer(server_->port());
  peer.Send(HelloBytes(1500));
  ReadUntil(&peer, [&] { return peer.Frames().size() >= 502; });
  const auto frames = peer.Frames();
  ASSERT_EQ(frames.size(), 502u);
  Welcome welcome;
  ASSERT_TRUE(ParseWelcome(frames[0], &welcome));
  EXPECT_EQ(welcome.first_wal_seq, 1500u);
  for (size_t i = 1; i < frames.size(); ++i) ASSERT_EQ(frames[i].wal_seq, 1499 + i);
}

TEST_P(ServerTest, SaysWhichSequencesWillNotComeWhenTheyAreGone) {
  Start({.log_bytes = kLogBytesMin});
  for (int i = 1; i <= 20'000; ++i) ASSERT_EQ(Send(i), BroadcastResult::kOk);
  RawPeer peer(server_->port());
  peer.Send(HelloBytes(5));
  ReadUntil(&peer, [&] { return peer.Frames().size() >= 2 && server_->Flush(0); });
  peer.Drain();
  const auto frames = peer.Frames();
  Gap gap;
  ASSERT_TRUE(ParseGap(frames[1], &gap));
  EXPECT_EQ(gap.from, 5u);
  // Half of what it may lag, which is the log less its margin, to within the distance of marks.
  const uint64_t reach = (kLogBytesMin - kLagMarginBytes) / 2;
  EXPECT_GE(gap.to, 20'000 - reach / 80);
  EXPECT_LE(gap.to, 20'000 - (reach - kMarkBytes) / 80);
  for (size_t i = 2; i < frames.size(); ++i) ASSERT_EQ(frames[i].wal_seq, gap.to + i - 1);
  EXPECT_EQ(frames.back().wal_seq, 20'000u);
}

TEST_P(ServerTest, PutsItsOwnFramesOnlyBetweenOthers) {
  Start({.client_lag_bytes_max = 200'000, .send_buffer_bytes = 4096, .turn_bytes_max = 777});
  RawPeer peer(server_->port(), 4096);
  WaitForClients(1);
  uint64_t next = 1;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 40; ++i) ASSERT_EQ(Send(next++, 100 + i), BroadcastResult::kOk);
    ASSERT_TRUE(server_->PollIo(0).ok());
    peer.Send(HelloBytes());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(server_->PollIo(0).ok());
    peer.Drain();
  }
  ReadUntil(&peer, [&] {
    const auto frames = peer.Frames();
    return !frames.empty() && frames.back().wal_seq + 1 >= next && server_->Flush(0);
  });
  peer.Drain();
  uint64_t data = 0, welcomes = 0;
  for (const Frame& frame : peer.Frames()) {
    if (frame.control()) {
      ++welcomes;
    } else {
      ASSERT_EQ(frame.wal_seq, ++data);
    }
  }
  EXPECT_EQ(data, next - 1);
  EXPECT_GT(welcomes, 0u);
}

TEST_P(ServerTest, ClosesTheClientBeyondMaxClientsAndServesTheOthers) {
  Start({.max_clients = 2});
  RawPeer first(server_->port()), second(server_->port());
  WaitForClients(2);
  RawPeer third(server_->port());
  ReadUntil(&third, [&] { return third.ended(); });
  EXPECT_EQ(server_->stats().clients_refused, 1u);
  EXPECT_THAT(Events(), HasSubstr("max_clients"));
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  ReadUntil(&second, [&] { return second.Frames().size() == 1; });
}

TEST_P(ServerTest, SurvivesStormsOfConnectsAndCloses) {
  Start({.max_clients = 16});
  RawPeer witness(server_->port());
  WaitForClients(1);
  uint64_t next = 1;
  for (int round = 0; round < 40; ++round) {
    {
      std::vector<std::unique_ptr<RawPeer>> peers;
      for (int i = 0; i < 24; ++i) {
        peers.push_back(std::make_unique<RawPeer>(server_->port()));
        if (i % 3 == 0) peers.back()->Send(HelloBytes(i));
        if (i % 4 == 0) {
          ASSERT_TRUE(server_->PollIo(0).ok());
        }
        ASSERT_EQ(Send(next++), BroadcastResult::kOk);
      }
    }
    ASSERT_TRUE(server_->PollIo(0).ok());
  }
  ReadUntil(&witness, [&] { return witness.bytes().size() >= (next - 1) * 80; });
  const auto frames = witness.Frames();
  for (size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(frames[i].wal_seq, i + 1);
  WaitForClients(1);
}

TEST_P(ServerTest, SaysByeToThoseWhoSaidHelloAndFlushesAll) {
  Start();
  RawPeer polite(server_->port()), silent(server_->port());
  polite.Send(HelloBytes());
  WaitForClients(2);
  ReadUntil(&polite, [&] { return polite.Frames().size() == 1; });
  for (int i = 1; i <= 1000; ++i) ASSERT_EQ(Send(i), BroadcastResult::kOk);
  server_->Shutdown(10'000'000'000, ShutdownReason::kEndOfStream);
  while (!polite.ended()) polite.Drain();
  while (!silent.ended()) silent.Drain();
  EXPECT_EQ(silent.Frames().size(), 1000u);
  const auto frames = polite.Frames();
  ASSERT_EQ(frames.size(), 1002u);
  Bye bye;
  ASSERT_TRUE(ParseBye(frames.back(), &bye));
  EXPECT_EQ(bye.why, static_cast<uint32_t>(ByeReason::kEndOfStream));
}

TEST_P(ServerTest, LosesNothingAtTheEndToAPeerWhoseLastWordsAreUnread) {
  Start();
  RawPeer peer(server_->port());
  WaitForClients(1);
  for (int i = 1; i <= 10'000; ++i) ASSERT_EQ(Send(i), BroadcastResult::kOk);
  peer.Send(HelloBytes());  // closed with this unread, the connection would be reset
  server_->Shutdown(200'000'000, ShutdownReason::kEndOfStream);
  server_.reset();
  while (!peer.ended()) peer.Drain();
  uint64_t records = 0;
  for (const auto& frame : peer.Frames()) records += frame.control() ? 0 : 1;
  EXPECT_EQ(records, 10'000u);
}

// Else a client that was still about to speak would take the end for a connection that broke.
TEST_P(ServerTest, HearsWhoHasJustComeBeforeItEnds) {
  for (const bool required : {false, true}) {
    Start({.require_hello = required});
    RawPeer peer(server_->port()), silent(server_->port());
    TurnUntil([&] { return server_->stats().clients_accepted == 2; });
    ASSERT_EQ(Send(1), BroadcastResult::kOk);
    ASSERT_TRUE(server_->Flush(10'000'000'000));
    peer.Send(HelloBytes());
    server_->Shutdown(10'000'000'000, ShutdownReason::kEndOfStream);
    while (!peer.ended()) peer.Drain();
    while (!silent.ended()) silent.Drain();
    EXPECT_EQ(silent.Frames().size(), required ? 0u : 1u);
    const auto frames = peer.Frames();
    ASSERT_FALSE(frames.empty());
    Bye bye;
    ASSERT_TRUE(ParseBye(frames.back(), &bye)) << required;
    EXPECT_EQ(bye.why, static_cast<uint32_t>(ByeReason::kEndOfStream));
  }
}

TEST_P(ServerTest, CountsTheHeartbeatsOfItsClients) {
  Start();
  RawPeer peer(server_->port());
  std::vector<std::byte> heartbeat;
  AppendHeartbeat(&heartbeat, 17);
  peer.Send(heartbeat);
  peer.Send(heartbeat);
  TurnUntil([&] { return server_->heartbeats_received() == 2; });
  EXPECT_EQ(server_->client_count(), 1u);
}

TEST_P(ServerTest, SaysThatAPortIsTaken) {
  Start();
  const auto second = Server::Create({.port = server_->port(), .backend = GetParam()});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kAlreadyExists) << second.status().message();
}

TEST_P(ServerTest, RefusesOptionsThatCannotWork) {
  EXPECT_EQ(Server::Create({.max_clients = 0}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Server::Create({.log_bytes = ~0ull}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Server::Create({.client_lag_bytes_max = 1ull << 40}).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_P(ServerTest, RefusesARecordThatIsLargerThanTheLagLimit) {
  Start({.client_lag_bytes_max = 1000});
  RawPeer peer(server_->port());
  WaitForClients(1);
  EXPECT_EQ(Send(1, 2000), BroadcastResult::kTooLarge);
  EXPECT_EQ(server_->client_count(), 1u);
}

TEST_P(ServerTest, GoesOnAcceptingAfterDescriptorsRanOut) {
  Start();
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  RawPeer peer(server_->port());
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  TurnUntil([&] { return server_->stats().accept_failures > 0; });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  WaitForClients(1);
  EXPECT_THAT(Events(), HasSubstr("EMFILE"));
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

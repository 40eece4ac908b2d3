// Clients that get from a file what the broadcast log no longer has, over real sockets.
#include <gmock/gmock.h>

#include "net/broadcast_log.h"
#include "ombus/client.h"
#include "tests/net/frame_store.h"
#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

class SessionCatchUpTest : public ServerFixture {
 protected:
  void StartWithStore(SlowClientPolicy policy = SlowClientPolicy::kCatchUp) {
    store_ = std::make_shared<FrameStore>();
    Start({.log_bytes = kLogBytesMin,
           .client_lag_bytes_max = 150'000,
           .slow_client_policy = policy,
           .catch_up = store_,
           .catch_up_wait_ms = 20,
           .send_buffer_bytes = 4096});
  }
  void Flood(int count) {
    for (int i = 0; i < count; ++i, ++next_) {
      const std::vector<uint8_t> payload(1000, static_cast<uint8_t>(next_));
      const Record record = {.wal_seq = next_, .payload = payload.data(), .size = 1000, .type = 7};
      while (server_->Broadcast(record) != BroadcastResult::kOk) {
        ASSERT_TRUE(server_->PollIo(0).ok());
      }
      store_->Append(0, record);
      ASSERT_TRUE(server_->PollIo(0).ok());
    }
  }
  // The data frames, checked to the byte; a jump fails unless a GAP told it.
  std::vector<uint64_t> Sequences(const RawPeer& peer, std::vector<Gap>* gaps = nullptr) {
    std::vector<uint64_t> sequences;
    for (const Frame& frame : peer.Frames()) {
      Gap gap;
      if (ParseGap(frame, &gap) && gaps != nullptr) gaps->push_back(gap);
      if (frame.control() || frame.type == kTypeSlowWarning) continue;
      sequences.push_back(frame.wal_seq);
      EXPECT_EQ(frame.size, 1000);
      EXPECT_EQ(frame.payload[999], static_cast<std::byte>(frame.wal_seq));
    }
    return sequences;
  }
  static void ExpectRun(const std::vector<uint64_t>& sequences, uint64_t first, uint64_t last) {
    ASSERT_EQ(sequences.size(), last + 1 - first);
    for (size_t i = 0; i < sequences.size(); ++i) ASSERT_EQ(sequences[i], first + i);
  }

  std::shared_ptr<FrameStore> store_;
  uint64_t next_ = 1;
};

TEST_P(SessionCatchUpTest, GivesWhoLagsEverythingAndHurtsNobody) {
  StartWithStore();
  RawPeer slow(server_->port(), 4096), hello(server_->port(), 4096), good(server_->port());
  hello.Send(HelloBytes());
  WaitForClients(3);
  while (server_->stats().catch_ups < 2) {
    Flood(100);
    good.Drain();
  }
  Flood(1000);
  TurnUntil([&] {
    slow.Drain();
    hello.Drain();
    good.Drain();
    return server_->Flush(0);
  });
  // Live again: no read of the source for what comes now.
  const uint64_t reads = store_->reads();
  Flood(1);
  const auto complete = [&](RawPeer* peer) {
    peer->Drain();
    return Sequences(*peer).size() == next_ - 1;
  };
  TurnUntil([&] { return complete(&slow) && complete(&hello) && complete(&good); });
  EXPECT_EQ(store_->reads(), reads);
  for (const RawPeer* peer : {&slow, &hello, &good}) ExpectRun(Sequences(*peer), 1, next_ - 1);
  EXPECT_EQ(server_->stats().slow_client_drops, 0u);
  EXPECT_GT(server_->stats().frames_caught_up, 0u);
  EXPECT_THAT(Events(), HasSubstr("catches up from the source"));
}

TEST_P(SessionCatchUpTest, ResumesFromTheSourceAndGoesLiveWithoutAGap) {
  StartWithStore(SlowClientPolicy::kDisconnect);
  Flood(2000);
  RawPeer peer(server_->port());
  peer.Send(HelloBytes(17));
  WaitForClients(1);
  while (Sequences(peer).empty()) {
    ASSERT_TRUE(server_->PollIo(0).ok());
    peer.Drain();
  }
  Flood(200);  // while it is behind
  ReadUntil(&peer, [&] { return server_->Flush(0); });
  Flood(10);
  ReadUntil(&peer, [&] { return Sequences(peer).size() == next_ - 17; });
  std::vector<Gap> gaps;
  ExpectRun(Sequences(peer, &gaps), 17, next_ - 1);
  EXPECT_TRUE(gaps.empty());
}

TEST_P(SessionCatchUpTest, ServesAnEmptyLogFromTheSource) {
  StartWithStore(SlowClientPolicy::kDisconnect);
  for (uint64_t i = 1; i <= 500; ++i) {
    const std::vector<uint8_t> payload(1000, static_cast<uint8_t>(i));
    store_->Append(0, {.wal_seq = i, .payload = payload.data(), .size = 1000, .type = 7});
  }
  next_ = 501;
  RawPeer peer(server_->port());
  peer.Send(HelloBytes(100));
  ReadUntil(&peer, [&] { return Sequences(peer).size() == 401 && server_->Flush(0); });
  Flood(10);
  ReadUntil(&peer, [&] { return Sequences(peer).size() == 411; });
  ExpectRun(Sequences(peer), 100, 510);
}

TEST_P(SessionCatchUpTest, AClientThatComesBackBeforeTheServerKnowsTheEpochMissesNothing) {
  store_ = std::make_shared<FrameStore>();
  ServerOptions options{.catch_up = store_, .epoch = 7};
  Start(options);
  const auto publish = [&](uint64_t until) {
    for (; next_ <= until; ++next_) {
      const Record record = {.wal_seq = next_, .payload = &next_, .size = 8, .type = 7};
      store_->Append(7, record);
      ASSERT_EQ(server_->Broadcast(record), BroadcastResult::kOk);
    }
  };
  auto client = Client::Connect(
      {.port = server_->port(), .reconnect = true, .retry_base_ms = 1, .retry_max_ms = 1});
  ASSERT_TRUE(client.ok());
  WaitForClients(1);
  std::string told;
  const auto receive = [&](uint64_t until) {
    Record record;
    TurnUntil([&] {
      const ClientResult result = (*client)->Poll(&record, 0);
      if (result == ClientResult::kGap) told += "gap at " + std::to_string(record.wal_seq) + " ";
      if (result == ClientResult::kEpochChanged) told += "another epoch ";
      return (*client)->wal_seq() >= until;
    });
  };
  publish(10);
  receive(10);
  options.port = server_->port();
  options.epoch = 0;
  server_.reset();
  Start(options);
  for (; next_ <= 20; ++next_) {
    store_->Append(7, {.wal_seq = next_, .payload = &next_, .size = 8, .type = 7});
  }
  Record record;
  TurnUntil([&] {  // the answer without an epoch
    EXPECT_LT((*client)->Poll(&record, 0), ClientResult::kEndOfStream);
    return (*client)->epoch() == 0;
  });
  server_->BeginEpoch(7, /*whole=*/false);
  receive(20);
  publish(30);
  receive(30);
  EXPECT_EQ(told, "");
}

TEST_P(SessionCatchUpTest, SaysWhatTheSourceDoesNotHave) {
  StartWithStore(SlowClientPolicy::kDisconnect);
  Flood(2000);
  store_->Forget(1000);
  RawPeer peer(server_->port());
  peer.Send(HelloBytes(17));
  ReadUntil(&peer, [&] { return Sequences(peer).size() == 1000; });
  std::vector<Gap> gaps;
  ExpectRun(Sequences(peer, &gaps), 1001, 2000);
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, 17u);
  EXPECT_EQ(gaps[0].to, 1000u);
}

TEST_P(SessionCatchUpTest, WaitsForASourceThatLagsAndNotForever) {
  StartWithStore(SlowClientPolicy::kDisconnect);
  Flood(2000);
  store_->HoldBack(2000);
  RawPeer first(server_->port());
  first.Send(HelloBytes(17));
  WaitForClients(1);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(server_->PollIo(0).ok());
  store_->HoldBack(0);
  ReadUntil(&first, [&] { return Sequences(first).size() >= 1; });
  EXPECT_EQ(Sequences(first)[0], 17u);
  store_->HoldBack(2000);
  RawPeer second(server_->port());
  second.Send(HelloBytes(17));
  ReadUntil(&second, [&] {
    first.Drain();
    return !Sequences(second).empty();
  });
  std::vector<Gap> gaps;
  const uint64_t begin = Sequences(second, &gaps)[0];
  ASSERT_GE(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, 17u);
  EXPECT_EQ(gaps[0].to + 1, begin);
}

TEST_P(SessionCatchUpTest, TrustsNoSource) {
  StartWithStore(SlowClientPolicy::kDisconnect);
  Flood(2000);
  store_->Break();
  RawPeer peer(server_->port());
  peer.Send(HelloBytes(17));
  ReadUntil(&peer, [&] { return !Sequences(peer).empty(); });
  EXPECT_THAT(Events(), HasSubstr("no frames in rising sequence"));
  EXPECT_EQ(server_->client_count(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Backends, SessionCatchUpTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

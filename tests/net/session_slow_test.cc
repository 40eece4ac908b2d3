// What a server does about clients that are too slow, over real sockets: marks, warnings, skips.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "net/broadcast_log.h"
#include "net/socket.h"
#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

class SessionSlowTest : public ServerFixture {
 protected:
  // Enough for a stalled peer's kernel and ours, and then so many bytes of lag.
  void Flood(uint64_t bytes, RawPeer* reader = nullptr) {
    const uint64_t until = next_ + bytes / 1016;
    while (next_ < until) {
      if (Send(next_, 1000) == BroadcastResult::kOk) ++next_;
      ASSERT_TRUE(server_->PollIo(0).ok());
      if (reader != nullptr) reader->Drain();
    }
  }
  static bool IsWarning(const Frame& frame) {
    SlowWarningFrame warning;
    return ParseSlowWarning(frame, &warning);
  }
  // Every sequence up to the last is there, or in a GAP, or (old protocol) after a warning.
  static uint64_t Told(const std::vector<Frame>& frames, uint64_t* missing) {
    uint64_t next = 0;
    bool warned = false;
    *missing = 0;
    for (const Frame& frame : frames) {
      Gap gap;
      if (ParseGap(frame, &gap)) {
        EXPECT_EQ(gap.from, next);
        EXPECT_EQ(gap.why, static_cast<uint32_t>(GapReason::kSkipped));
        *missing += gap.to + 1 - gap.from;
        next = gap.to + 1;
      } else if (IsWarning(frame)) {
        warned = true;
      } else if (!frame.control()) {
        if (next != 0 && frame.wal_seq != next) {
          EXPECT_TRUE(warned);
          *missing += frame.wal_seq - next;
        }
        next = frame.wal_seq + 1;
        warned = false;
      }
    }
    return next;
  }

  // The number after `before` in an event about that client; 0: no such event.
  uint64_t LagToldOf(const RawPeer& peer, const std::string& before) {
    const std::string events = Events();
    const std::string about =
        "client 127.0.0.1:" + std::to_string(LocalPort(peer.fd())) + ": " + before;
    const size_t at = events.find(about);
    if (at == std::string::npos) ADD_FAILURE() << "\"" << about << "\" is not in " << events;
    return at == std::string::npos ? 0 : strtoull(&events[at + about.size()], nullptr, 10);
  }

  uint64_t next_ = 1;
};

TEST_P(SessionSlowTest, WarnsOnceOverTheSoftMarkAndAgainWhenItWasBackBelow) {
  Start({.soft_lag_bytes = 100'000, .send_buffer_bytes = 4096});
  RawPeer peer(server_->port(), 4096);
  WaitForClients(1);
  for (uint64_t round = 1; round <= 2; ++round) {
    Flood(400'000);
    TurnUntil([&] { return server_->stats().slow_client_warnings == round; });
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(server_->PollIo(0).ok());
    EXPECT_EQ(server_->stats().slow_client_warnings, round);
    EXPECT_GT(LagToldOf(peer, "slow: warned, over the soft mark (lag "), 100'000u);
    ReadUntil(&peer, [&] { return server_->Flush(0); });
  }
  ReadUntil(&peer, [&] { return peer.Frames().size() == next_ - 1 + 2; });
  const auto frames = peer.Frames();
  EXPECT_EQ(std::count_if(frames.begin(), frames.end(), IsWarning), 2);
  uint64_t missing = 1;
  EXPECT_EQ(Told(frames, &missing), next_);
  EXPECT_EQ(missing, 0u);
  EXPECT_EQ(server_->client_count(), 1u);
}

TEST_P(SessionSlowTest, TakesNothingFromWhoDrainsABurstInTime) {
  Start({.soft_lag_bytes = 50'000,
         .soft_lag_ms = 3'600'000,
         .hard_lag_bytes = 100'000,
         .hard_lag_ms = 3'600'000,
         .send_buffer_bytes = 4096});
  RawPeer peer(server_->port(), 4096);
  WaitForClients(1);
  Flood(1'000'000);
  ReadUntil(&peer, [&] { return server_->Flush(0); });
  ReadUntil(&peer, [&] { return peer.Frames().size() == next_ - 1; });
  EXPECT_EQ(server_->stats().slow_client_drops + server_->stats().slow_client_warnings, 0u);
}

TEST_P(SessionSlowTest, CutsWhoStaysOverTheHardMark) {
  Start({.hard_lag_bytes = 100'000, .hard_lag_ms = 100, .send_buffer_bytes = 4096});
  RawPeer slow(server_->port(), 4096), good(server_->port());
  WaitForClients(2);
  Flood(400'000, &good);
  TurnUntil([&] {
    good.Drain();
    return server_->stats().slow_client_drops >= 1;
  });
  EXPECT_GT(LagToldOf(slow, "cut: it was over the hard mark for too long (lag "), 100'000u);
  EXPECT_EQ(server_->stats().slow_client_drops, 1u);
  EXPECT_EQ(server_->client_count(), 1u);
  ReadUntil(&slow, [&] { return slow.ended(); });
}

TEST_P(SessionSlowTest, GivesAllThatAreCutAtOnceWhatWasPending) {
  Start({.log_bytes = 256u << 10, .drain_ms = 60'000});
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (uint32_t i = 0; i < 40; ++i) {
    peers.push_back(std::make_unique<RawPeer>(server_->port()));
    WaitForClients(i + 1);
  }
  uint64_t next = 0;
  while (server_->client_count() != 0) ASSERT_EQ(Send(++next, 1000), BroadcastResult::kOk);
  for (const auto& peer : peers) {
    ReadUntil(peer.get(), [&] { return peer->ended(); });
    const auto frames = peer->Frames();
    ASSERT_GE(frames.size(), next - 1);
    for (uint64_t i = 1; i < next; ++i) ASSERT_EQ(frames[i - 1].wal_seq, i);
  }
}

TEST_P(SessionSlowTest, SkipsWithAGapThatNamesWhatIsMissing) {
  Start({.log_bytes = kLogBytesMin,
         .client_lag_bytes_max = 150'000,
         .slow_client_policy = SlowClientPolicy::kSkip,
         .send_buffer_bytes = 4096});
  RawPeer hello(server_->port(), 4096), old(server_->port(), 4096), good(server_->port());
  hello.Send(HelloBytes());
  WaitForClients(3);
  while (server_->stats().slow_client_skips < 6) {
    Flood(100'000, &good);
  }
  const auto all_here = [&] {
    hello.Drain();
    old.Drain();
    good.Drain();
    return server_->Flush(0);
  };
  TurnUntil(all_here);
  ASSERT_EQ(Send(next_, 1), BroadcastResult::kOk);
  TurnUntil([&] {
    (void)all_here();
    uint64_t missing;
    return Told(hello.Frames(), &missing) == next_ + 1 && Told(old.Frames(), &missing) == next_ + 1;
  });
  uint64_t missing = 0, missing_old = 0;
  Told(hello.Frames(), &missing);
  Told(old.Frames(), &missing_old);
  EXPECT_GT(missing, 0u);
  EXPECT_EQ(missing + missing_old, server_->stats().frames_skipped);
  EXPECT_EQ(server_->stats().slow_client_drops, 0u);
  EXPECT_EQ(server_->client_count(), 3u);
  EXPECT_EQ(good.Frames().size(), next_);
  EXPECT_THAT(Events(), HasSubstr("skipped "));
}

TEST_P(SessionSlowTest, RefusesMarksThatCannotWork) {
  const auto refusal = [&](ServerOptions options) {
    options.backend = GetParam();
    const auto made = Server::Create(options);
    return made.ok() ? std::string("made") : made.status().message();
  };
  EXPECT_THAT(refusal({.soft_lag_bytes = 1ull << 40}), HasSubstr("soft_lag_bytes"));
  EXPECT_THAT(refusal({.hard_lag_bytes = 1ull << 40}), HasSubstr("hard_lag_bytes"));
  EXPECT_THAT(refusal({.soft_lag_ms = 5}), HasSubstr("soft_lag_bytes too"));
  EXPECT_THAT(refusal({.hard_lag_ms = 5}), HasSubstr("hard_lag_bytes too"));
  EXPECT_THAT(refusal({.slow_client_policy = SlowClientPolicy::kWait, .hard_lag_bytes = 5}),
              HasSubstr("kWait"));
  EXPECT_THAT(refusal({.slow_client_policy = SlowClientPolicy::kCatchUp}), HasSubstr("source"));
}

INSTANTIATE_TEST_SUITE_P(Backends, SessionSlowTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

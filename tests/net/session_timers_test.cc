// SessionTable's clockwork, by a clock that the test holds, and a server's by the simulator's.
#include <gtest/gtest.h>

#include "net/basic_server.h"
#include "net/session_table.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"
#include "net/socket.h"

namespace ombus::net {
namespace {

constexpr uint64_t kMs = 1'000'000;

class SessionTimersTest : public ::testing::Test {
 protected:
  void Make(ServerOptions options) {
    ASSERT_TRUE(SessionTable::CheckOptions(&options).ok());
    table_ = std::make_unique<SessionTable>(std::move(*BroadcastLog::Create(1)), options);
    slot_ = table_->Add(7, *ParseAddress("10.0.0.1", 99), now_);
  }
  Session& session() { return table_->at(slot_); }
  SessionTable::Verdict Say(const std::vector<std::byte>& bytes) {
    return table_->OnReceived(session(), bytes, now_);
  }
  SessionTable::Verdict SayHello(uint32_t heartbeat_ms) {
    std::vector<std::byte> bytes;
    AppendHello(&bytes, {.heartbeat_ms = heartbeat_ms});
    return Say(bytes);
  }
  SessionTable::Verdict SayHeartbeat() {
    std::vector<std::byte> bytes;
    AppendHeartbeat(&bytes, 1);
    return Say(bytes);
  }
  // What its client is sent by then, the timer served whenever it is due.
  std::vector<Frame> Until(uint64_t at_ns, std::string* why = nullptr) {
    sent_.clear();
    while (true) {
      for (auto bytes = table_->NextSend(session()); !bytes.empty();
           bytes = table_->NextSend(session())) {
        sent_.insert(sent_.end(), bytes.begin(), bytes.end());
        table_->OnSent(session(), static_cast<uint32_t>(bytes.size()));
      }
      if (table_->timer_ns() > at_ns) break;
      now_ = std::max(now_, table_->timer_ns());
      table_->RestartTimer();
      const std::string reason = table_->OnTimer(session(), now_);
      if (!reason.empty()) {
        if (why != nullptr) *why = reason;
        break;
      }
    }
    std::vector<Frame> frames;
    std::span<const std::byte> left(sent_);
    for (Frame frame; ParseFrame(left, &frame) == ParseResult::kFrame;
         left = left.subspan(frame.bytes())) {
      frames.push_back(frame);
    }
    return frames;
  }
  void Broadcast(uint64_t wal_seq) {
    table_->log().Append({.wal_seq = wal_seq, .payload = &wal_seq, .size = 8, .type = 1});
  }

  uint64_t now_ = 1'000'000'000'000;
  std::unique_ptr<SessionTable> table_;
  size_t slot_ = 0;
  std::vector<std::byte> sent_;
};

// What a client costs that has said HELLO and is sent the log: the socket's slot apart.
static_assert(sizeof(Session) + sizeof(SessionExtra) <= 768, "well within 1 KiB");

TEST_F(SessionTimersTest, KeepsSoManyAnswersAndNoMoreForWhoSaysHelloAgainAndReadsNone) {
  Make({.control_frames_per_second = 0});
  auto verdict = SayHello(0);
  size_t hellos = 1, most = 0;
  for (; verdict == SessionTable::Verdict::kKeep && hellos < 1000; ++hellos) {
    (void)table_->NextSend(session());  // answers; its socket is full
    most = std::max(most, session().extra->own.size());
    verdict = SayHello(0);
  }
  EXPECT_NE(verdict, SessionTable::Verdict::kKeep);
  EXPECT_EQ(most, (hellos - 1) * FrameBytes(kWelcomeBytes));
  EXPECT_LE(most, 4096u);
}

TEST_F(SessionTimersTest, NeedsNoTimerForWhoAskedForNothing) {
  Make({});
  EXPECT_EQ(SayHello(0), SessionTable::Verdict::kKeep);
  EXPECT_EQ(Until(now_ + 3'600'000 * kMs).size(), 1u);  // WELCOME
  EXPECT_EQ(table_->timer_ns(), kForeverNs);
}

TEST_F(SessionTimersTest, SaysSomethingInEveryIntervalAndNothingWhileThereAreRecords) {
  Make({.heartbeat_ms = 100, .client_timeout_ms = 0});
  EXPECT_EQ(SayHello(50), SessionTable::Verdict::kKeep);
  const uint64_t start = now_;
  EXPECT_GE(Until(start + 1000 * kMs).size(), 10u);
  EXPECT_LE(Until(start + 2000 * kMs).size(), 21u);
  size_t heartbeats = 0;
  for (uint64_t i = 1; i <= 100; ++i) {
    Broadcast(i);
    for (const Frame& frame : Until(start + (2000 + 10 * i) * kMs)) heartbeats += frame.control();
  }
  EXPECT_EQ(heartbeats, 0u);
}

TEST_F(SessionTimersTest, SaysNothingToWhoDoesNotTakeWhatIsThere) {
  Make({.heartbeat_ms = 100, .client_timeout_ms = 0});
  EXPECT_EQ(SayHello(100), SessionTable::Verdict::kKeep);
  (void)Until(now_ + 1000 * kMs);
  Broadcast(1);
  for (int i = 0; i < 1000; ++i) {
    now_ += 100 * kMs;
    table_->RestartTimer();
    ASSERT_EQ(table_->OnTimer(session(), now_), "");
  }
  const auto frames = Until(now_);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_FALSE(frames[0].control());
}

TEST_F(SessionTimersTest, LetsGoOfWhoIsSilentForAllItsTimeAndNotBefore) {
  Make({.heartbeat_ms = 100, .client_timeout_ms = 1000});
  EXPECT_EQ(SayHello(100), SessionTable::Verdict::kKeep);
  const uint64_t start = now_;
  std::string why;
  (void)Until(start + 900 * kMs, &why);
  EXPECT_EQ(why, "");
  EXPECT_EQ(SayHeartbeat(), SessionTable::Verdict::kKeep);
  (void)Until(start + 1800 * kMs, &why);
  EXPECT_EQ(why, "");
  (void)Until(start + 2100 * kMs, &why);
  EXPECT_NE(why, "");
  EXPECT_EQ(table_->Stats().clients_timed_out, 1u);
}

// As after SIGSTOP and SIGCONT: what the client said meanwhile is still unread.
TEST_F(SessionTimersTest, BlamesNoClientForTheTimeInWhichThisProcessStoodStill) {
  Make({.heartbeat_ms = 100, .client_timeout_ms = 900});
  EXPECT_EQ(SayHello(100), SessionTable::Verdict::kKeep);
  std::string why;
  for (int i = 0; i < 5; ++i) {
    (void)Until(now_ + 300 * kMs, &why);
    now_ += 60'000 * kMs;
    (void)Until(now_, &why);
    ASSERT_EQ(why, "") << i;
    EXPECT_EQ(SayHeartbeat(), SessionTable::Verdict::kKeep);
  }
  // Of one that says nothing after that it is forgiven once, for a third of the time.
  (void)Until(now_ + 300 * kMs, &why);
  now_ += 60'000 * kMs;
  const uint64_t back = now_;
  (void)Until(back + 290 * kMs, &why);
  EXPECT_EQ(why, "");
  (void)Until(back + 400 * kMs, &why);
  EXPECT_NE(why, "");
}

TEST(ServerTimersTest, ClosesNoClientWhoseHeartbeatsLieUnreadAfterItStoodStill) {
  SimNetwork network;
  const int listener = network.NewListener();
  auto made = std::make_unique<SimBackend>(&network, SimOptions{});
  SimBackend* backend = made.get();
  auto server = BasicServer<SimBackend>::Create(std::move(made), UniqueFd(listener),
                                                {.heartbeat_ms = 100, .client_timeout_ms = 900});
  ASSERT_TRUE(server.ok()) << server.status().message();
  const int client = network.NewSocket();
  ASSERT_EQ(network.Connect(client, network.AddressOf(listener)), 0);
  std::vector<std::byte> hello, heartbeat;
  AppendHello(&hello, {.heartbeat_ms = 100});
  AppendHeartbeat(&heartbeat, 1);
  (void)network.Write(client, hello);
  const auto turns = [&](int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE((*server)->Turn(10 * kMs).ok());
  };
  turns(10);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ((*server)->client_count(), 1u) << i;
    backend->StandStill(60'000 * kMs);
    (void)network.Write(client, heartbeat);
    turns(40);
  }
  EXPECT_EQ((*server)->client_count(), 1u);
  turns(100);  // in which it is silent, and this server is not away
  EXPECT_EQ((*server)->client_count(), 0u);
  EXPECT_EQ((*server)->stats().clients_timed_out, 1u);
}

TEST_F(SessionTimersTest, GivesWhoBeatsSlowlyThreeOfItsBeats) {
  Make({.heartbeat_ms = 100, .client_timeout_ms = 1000});
  EXPECT_EQ(SayHello(10'000), SessionTable::Verdict::kKeep);
  std::string why;
  (void)Until(now_ + 29'000 * kMs, &why);
  EXPECT_EQ(why, "");
  (void)Until(now_ + 40'000 * kMs, &why);
  EXPECT_NE(why, "");
}

TEST_F(SessionTimersTest, FillsUpHowMuchAClientMaySayOverTime) {
  Make({.control_frames_per_second = 10});
  for (int i = 0; i < 10; ++i) ASSERT_EQ(SayHeartbeat(), SessionTable::Verdict::kKeep);
  now_ += 200 * kMs;
  ASSERT_EQ(SayHeartbeat(), SessionTable::Verdict::kKeep);
  ASSERT_EQ(SayHeartbeat(), SessionTable::Verdict::kKeep);
  EXPECT_EQ(SayHeartbeat(), SessionTable::Verdict::kLeave);
  EXPECT_EQ(table_->Stats().protocol_errors, 1u);
}

TEST_F(SessionTimersTest, WaitsForTheHelloThatIsRequiredAndNoLonger) {
  Make({.require_hello = true, .hello_timeout_ms = 300});
  EXPECT_EQ(table_->live(), 0u);
  EXPECT_EQ(table_->connected(), 1u);
  std::string why;
  (void)Until(now_ + 299 * kMs, &why);
  EXPECT_EQ(why, "");
  (void)Until(now_ + 300 * kMs, &why);
  EXPECT_NE(why, "");
  table_->Leave(session());
  EXPECT_EQ(table_->connected(), 0u);
}

}  // namespace
}  // namespace ombus::net

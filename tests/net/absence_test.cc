// A server that stood still (stopped, in a debugger, its virtual machine paused) blames nobody for
// that time: it counts as a third at most of what anybody has, by the simulator's clock; and so it
// is for a real process that is stopped.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <functional>

#include "net/basic_server.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"
#include "ombus/server.h"
#include "tests/net/frame_store.h"
#include "tests/net/raw_peer.h"
#include "tests/net/told.h"

namespace ombus::net {
namespace {

constexpr uint64_t kMs = 1'000'000;

class AbsenceTest : public ::testing::Test {
 protected:
  void Start(const ServerOptions& options) {
    const int listener = network_.NewListener();
    auto backend = std::make_unique<SimBackend>(&network_, SimOptions{});
    backend_ = backend.get();
    auto made = BasicServer<SimBackend>::Create(std::move(backend), UniqueFd(listener), options);
    ASSERT_TRUE(made.ok()) << made.status().message();
    server_ = std::move(*made);
    peer_ = network_.NewSocket();
    ASSERT_EQ(network_.Connect(peer_, network_.AddressOf(listener)), 0);
    Turns(2);
  }
  void Turns(int count, uint64_t wait_ns = kMs) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(server_->Turn(wait_ns).ok());
  }
  void StandStill() {
    backend_->StandStill(60'000 * kMs);
    Turns(1);
  }
  // Turns until `done`, or for so long by the simulator's clock, which it then says.
  bool Within(uint64_t ms, const std::function<bool()>& done) {
    const uint64_t end_ns = server_->NowNs() + ms * kMs;
    while (!done() && server_->NowNs() < end_ns) Turns(1);
    return done();
  }
  BroadcastResult Broadcast() {
    static const std::vector<uint8_t> payload(1000);
    const auto result =
        server_->Broadcast({.wal_seq = next_, .payload = payload.data(), .size = 1000, .type = 1});
    if (result == BroadcastResult::kOk) ++next_;
    return result;
  }
  void SayHello(const Hello& hello) {
    std::vector<std::byte> bytes;
    AppendHello(&bytes, hello);
    ASSERT_GT(network_.Write(peer_, bytes), 0);
  }
  // All that is there for the client, until nothing has come for some turns.
  std::vector<std::byte> Read() {
    std::vector<std::byte> all, chunk(65536);
    for (int quiet = 0; quiet < 5; Turns(1)) {
      const int got = network_.Read(peer_, chunk);
      quiet = got > 0 ? 0 : quiet + 1;
      if (got > 0) all.insert(all.end(), chunk.begin(), chunk.begin() + got);
    }
    return all;
  }

  SimNetwork network_{16384};
  SimBackend* backend_ = nullptr;
  std::unique_ptr<BasicServer<SimBackend>> server_;
  int peer_ = -1;
  uint64_t next_ = 1;
};

TEST_F(AbsenceTest, LeavesWhoIsToSayHelloTimeForIt) {
  Start({.require_hello = true, .hello_timeout_ms = 300});
  for (int i = 0; i < 2; ++i) StandStill();
  Turns(50);
  EXPECT_EQ(server_->stats().clients_timed_out, 0u);
  EXPECT_TRUE(Within(60, [&] { return server_->stats().clients_timed_out == 1; }));
}

TEST_F(AbsenceTest, CountsALongWaitThatWasAskedForInFull) {
  Start({.require_hello = true, .hello_timeout_ms = 300});
  Turns(2, 10'000 * kMs);
  EXPECT_EQ(server_->stats().clients_timed_out, 1u);
}

TEST_F(AbsenceTest, DrainsWhoWasCutAllTheSame) {
  Start({.log_bytes = kLogBytesMin, .client_lag_bytes_max = 100'000, .drain_ms = 300});
  while (server_->stats().slow_client_drops == 0) ASSERT_EQ(Broadcast(), BroadcastResult::kOk);
  Turns(1);
  StandStill();
  const std::vector<std::byte> all = Read();
  EXPECT_EQ(all.size(), (next_ - 2) * FrameBytes(1000) + FrameBytes(kSlowWarningBytes));
  EXPECT_TRUE(Within(10, [&] { return network_.SeesEnd(peer_); }));
}

// The time of who is cut begins while the server does not turn, and may be the first to run.
TEST_F(AbsenceTest, DrainsWhoWasCutJustBeforeIt) {
  for (const uint32_t heartbeat_ms : {0u, 100u}) {
    next_ = 1;
    Start({.heartbeat_ms = 100,
           .log_bytes = kLogBytesMin,
           .client_lag_bytes_max = 100'000,
           .drain_ms = 300});
    if (heartbeat_ms != 0) SayHello({.heartbeat_ms = heartbeat_ms});
    (void)Read();  // with heartbeats somebody's time is running from here on
    while (server_->stats().slow_client_drops == 0) ASSERT_EQ(Broadcast(), BroadcastResult::kOk);
    StandStill();
    EXPECT_GE(Read().size(), (next_ - 2) * FrameBytes(1000) + FrameBytes(kSlowWarningBytes));
    EXPECT_TRUE(Within(10, [&] { return network_.SeesEnd(peer_); }));
  }
}

TEST_F(AbsenceTest, WaitsForWhoHoldsEverybodyUp) {
  Start({.log_bytes = kLogBytesMin,
         .client_lag_bytes_max = 100'000,
         .slow_client_policy = SlowClientPolicy::kWait,
         .slow_wait_ms = 300});
  for (int full = 0; full < 10; Turns(1)) {
    full = Broadcast() == BroadcastResult::kOk ? 0 : full + 1;
  }
  EXPECT_EQ(Broadcast(), BroadcastResult::kFull);
  StandStill();
  EXPECT_EQ(Broadcast(), BroadcastResult::kFull);
  Turns(1);
  EXPECT_EQ(server_->client_count(), 1u);
  EXPECT_TRUE(Within(300, [&] {
    (void)Broadcast();
    return server_->client_count() == 0;
  }));
}

TEST_F(AbsenceTest, LeavesWhoIsOverAMarkTheTimeToComeBack) {
  Start({.log_bytes = kLogBytesMin,
         .client_lag_bytes_max = 100'000,
         .hard_lag_bytes = 30'000,
         .hard_lag_ms = 300});
  while (server_->max_lag() < 60'000) ASSERT_EQ(Broadcast(), BroadcastResult::kOk);
  Turns(10);
  StandStill();
  Turns(1);
  EXPECT_EQ(server_->client_count(), 1u);
  EXPECT_TRUE(Within(300, [&] { return server_->client_count() == 0; }));
}

TEST_F(AbsenceTest, WaitsForASourceThatLags) {
  const auto store = std::make_shared<FrameStore>();
  Start({.log_bytes = kLogBytesMin,
         .client_lag_bytes_max = 100'000,
         .catch_up = store,
         .catch_up_wait_ms = 300,
         .epoch = 7});
  while (next_ <= 200) {
    ASSERT_EQ(Broadcast(), BroadcastResult::kOk);
    Turns(1);
    (void)Read();
  }
  SayHello({.resume_from = 1, .epoch = 7});
  Turns(100);
  StandStill();
  Turns(1);
  EXPECT_EQ(server_->client_count(), 1u);
  const std::vector<uint8_t> payload(1000);
  for (uint64_t seq = 1; seq <= 200; ++seq) {
    store->Append(7, {.wal_seq = seq, .payload = payload.data(), .size = 1000, .type = 1});
  }
  std::vector<std::byte> all;
  EXPECT_TRUE(Within(1000, [&] {
    const std::vector<std::byte> more = Read();
    all.insert(all.end(), more.begin(), more.end());
    return all.size() >= 200 * FrameBytes(1000);
  }));
  std::vector<Frame> frames;
  std::span<const std::byte> left(all);
  for (Frame frame; ParseFrame(left, &frame) == ParseResult::kFrame;
       left = left.subspan(frame.bytes())) {
    frames.push_back(frame);
  }
  EXPECT_EQ(Told(frames).substr(0, 9), "W7 1 2 3 ");
}

// The child cuts a client and is stopped for longer than it drains.
TEST(StoppedProcessTest, StillDrainsWhoWasCut) {
  constexpr uint32_t kDrainMs = 3000;
  int port_pipe[2], cut_pipe[2];
  ASSERT_EQ(pipe(port_pipe), 0);
  ASSERT_EQ(pipe(cut_pipe), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto server = Server::Create({.log_bytes = kLogBytesMin,
                                  .client_lag_bytes_max = 30'000,
                                  .send_buffer_bytes = 4096,
                                  .drain_ms = kDrainMs,
                                  .backend = BackendChoice::kEpoll});
    if (!server.ok()) _exit(1);
    const uint16_t port = (*server)->port();
    if (write(port_pipe[1], &port, sizeof port) != sizeof port) _exit(1);
    while ((*server)->client_count() == 0) (void)(*server)->PollIo(kMs);
    const std::vector<uint8_t> payload(1000);
    uint64_t seq = 0;
    while ((*server)->client_count() != 0) {
      (void)(*server)->Broadcast(
          {.wal_seq = ++seq, .payload = payload.data(), .size = 1000, .type = 1});
      (void)(*server)->PollIo(0);
    }
    if (write(cut_pipe[1], &seq, sizeof seq) != sizeof seq) _exit(1);
    for (;;) (void)(*server)->PollIo(kMs);
  }
  uint16_t port = 0;
  uint64_t last = 0;
  ASSERT_EQ(read(port_pipe[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  RawPeer peer(port, 4096);
  ASSERT_EQ(read(cut_pipe[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
  ASSERT_EQ(kill(child, SIGSTOP), 0);
  ASSERT_EQ(waitpid(child, nullptr, WUNTRACED), child);
  const timespec longer = {.tv_sec = kDrainMs / 1000 + 1, .tv_nsec = 0};
  nanosleep(&longer, nullptr);
  ASSERT_EQ(kill(child, SIGCONT), 0);
  for (pollfd there = {peer.fd(), POLLIN, 0}; !peer.ended(); peer.Drain()) {
    ASSERT_EQ(poll(&there, 1, -1), 1);
  }
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  for (const int fd : {port_pipe[0], port_pipe[1], cut_pipe[0], cut_pipe[1]}) close(fd);
  const std::vector<Frame> frames = peer.Frames();
  ASSERT_GE(frames.size(), 2u);
  EXPECT_EQ(Told(frames.back()), "!");
  EXPECT_EQ(frames[frames.size() - 2].wal_seq, last - 1);
}

}  // namespace
}  // namespace ombus::net

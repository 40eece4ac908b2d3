// What a turn of a server costs in system calls, counted from outside.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "net/backend_select.h"
#include "ombus/server.h"
#include "tests/net/raw_peer.h"
#include "tests/net/syscall_count.h"

namespace ombus::net {
namespace {

constexpr int kTurns = 20, kIdleTurns = 5000;

// Serves so many clients: kTurns turns that send, then kIdleTurns with nothing to do. Each a phase.
bool Serve(BackendChoice backend, uint32_t clients) {
  auto server = Server::Create({.max_clients = clients, .backend = backend});
  if (!server.ok()) return false;
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (uint32_t i = 0; i < clients; ++i) {
    peers.push_back(std::make_unique<RawPeer>((*server)->port()));
    while ((*server)->client_count() <= i) {
      if (!(*server)->PollIo(1'000'000).ok()) return false;
    }
  }
  if (!(*server)->Flush(1'000'000'000) || !(*server)->PollIo(0).ok()) return false;
  const char payload[64] = {};
  bool ok = true;
  NextPhase();
  for (uint64_t i = 1; i <= kTurns; ++i) {
    ok &= (*server)->Broadcast({.wal_seq = i, .payload = payload, .size = 64, .type = 1}) ==
          BroadcastResult::kOk;
    ok &= (*server)->PollIo(0).ok();
  }
  NextPhase();
  for (int i = 0; i < kIdleTurns; ++i) ok &= (*server)->PollIo(0).ok();
  NextPhase();
  return ok && (*server)->stats().frames_delivered == uint64_t{kTurns} * clients;
}

class ServerSyscalls : public testing::TestWithParam<uint32_t> {
 protected:
  void Count(BackendChoice backend) {
    std::string why;
    if (const auto kind = ChooseBackend(backend, &why); !kind.ok()) {
      GTEST_SKIP() << kind.status().message();
    }
    if (!CountSyscalls([] { return true; }).has_value()) GTEST_SKIP() << "ptrace is not allowed";
    const auto phases = CountSyscalls([&] { return Serve(backend, GetParam()); });
    ASSERT_TRUE(phases.has_value());
    ASSERT_EQ(phases->size(), 4u);
    sending_ = (*phases)[1];
    idle_ = (*phases)[2];
  }
  SyscallCounts sending_, idle_;
};

#ifdef OMBUS_HAVE_IOURING
// Round trips with one client, each a phase's part: its heartbeat comes in, a record goes out.
bool Answer(BackendChoice backend) {
  auto server = Server::Create({.control_frames_per_second = 0, .backend = backend});
  if (!server.ok()) return false;
  RawPeer peer((*server)->port());
  while ((*server)->client_count() == 0) {
    if (!(*server)->PollIo(1'000'000).ok()) return false;
  }
  if (!(*server)->PollIo(0).ok()) return false;
  std::vector<std::byte> heartbeat;
  AppendHeartbeat(&heartbeat, 0);
  const char payload[64] = {};
  bool ok = true;
  NextPhase();
  for (uint64_t i = 1; i <= kTurns; ++i) {
    ok &= send(peer.fd(), heartbeat.data(), heartbeat.size(), MSG_NOSIGNAL) == 16;
    while ((*server)->heartbeats_received() != i) ok &= (*server)->PollIo(0).ok();
    ok &= (*server)->Broadcast({.wal_seq = i, .payload = payload, .size = 64, .type = 1}) ==
          BroadcastResult::kOk;
    ok &= (*server)->PollIo(0).ok();
  }
  NextPhase();
  return ok && (*server)->stats().frames_delivered == kTurns;
}

TEST_P(ServerSyscalls, OverIoUringATurnIsOneWhateverTheNumberOfClientsAndAnIdleOneNone) {
  Count(BackendChoice::kUring);
  if (IsSkipped()) return;
  EXPECT_EQ(CountOf(sending_, GetParam() == 1 ? SYS_sendto : SYS_io_uring_enter), kTurns);
  EXPECT_EQ(TotalOf(sending_), kTurns);
  EXPECT_EQ(TotalOf(idle_), 0);
}

TEST(ServerSyscallsOfOneClient, OverIoUringARoundTripIsAReceiveAndTheTurnThatSends) {
  std::string why;
  if (const auto kind = ChooseBackend(BackendChoice::kUring, &why); !kind.ok()) {
    GTEST_SKIP() << kind.status().message();
  }
  if (!CountSyscalls([] { return true; }).has_value()) GTEST_SKIP() << "ptrace is not allowed";
  const auto phases = CountSyscalls([] { return Answer(BackendChoice::kUring); });
  ASSERT_TRUE(phases.has_value());
  ASSERT_EQ(phases->size(), 3u);
  const SyscallCounts& trips = (*phases)[1];
  EXPECT_EQ(CountOf(trips, SYS_recvfrom), kTurns);
  EXPECT_EQ(CountOf(trips, SYS_io_uring_enter), kTurns);
  EXPECT_EQ(TotalOf(trips) - CountOf(trips, SYS_sendto), 2 * kTurns);
}
#endif

TEST_P(ServerSyscalls, OverEpollATurnIsASendForEachClientAndALookForEvents) {
  Count(BackendChoice::kEpoll);
  if (IsSkipped()) return;
  EXPECT_EQ(CountOf(sending_, SYS_sendto), kTurns * static_cast<int>(GetParam()));
  // Once the memory for so many events may have to grow.
  const int memory = CountOf(sending_, SYS_brk) + CountOf(sending_, SYS_mmap);
  EXPECT_LE(memory, 1);
  EXPECT_EQ(TotalOf(sending_) - memory, kTurns * (static_cast<int>(GetParam()) + 1));
  EXPECT_EQ(TotalOf(idle_), kIdleTurns);
}

INSTANTIATE_TEST_SUITE_P(Clients, ServerSyscalls, testing::Values(1u, 16u, 64u, 256u, 1000u));

}  // namespace
}  // namespace ombus::net

// How io_uring sends from the broadcast log: fixed, plain, zero-copy, and what decides in auto.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#ifdef OMBUS_HAVE_IOURING

#include <poll.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/basic_server.h"
#include "net/uring_backend.h"
#include "net/uring_probe.h"
#include "tests/net/real_world.h"
#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

constexpr size_t kLarge = 64u << 10;

struct SendResults {
  std::vector<int32_t> all;
  void OnCompletion(const Completion& completion) {
    if (completion.op == Op::kSend) all.push_back(completion.result);
  }
};

class SendModeTest : public testing::Test {
 protected:
  void Make(const BackendOptions& options) {
    std::string refusal;
    world_ = RealWorld<UringBackend>::Make(options, &refusal);
    if (world_ == nullptr) GTEST_SKIP() << "not on this kernel: " << refusal;
    const Status status = backend().RegisterMemory(region_);
    if (!status.ok()) GTEST_SKIP() << status.message();
    const UniqueFd listener(world_->NewListener());
    peer_ = world_->ConnectPeer(listener.get());
    pollfd until_there = {.fd = listener.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&until_there, 1, -1), 1);
    id_ = *backend().Adopt(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    for (size_t i = 0; i < region_.size(); ++i)
      region_[i] = static_cast<std::byte>(i * 7 + i / 256);
  }
  // Local sockets, for which no kernel has zero-copy sends.
  void UseLocalPair() {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    peer_ = std::make_unique<RealPeer>(pair[1]);
    id_ = *backend().Adopt(pair[0]);
  }
  UringBackend& backend() { return world_->backend(); }
  // Sends all of it, while the peer reads, and sees that it arrives.
  void SendThrough(std::span<const std::byte> bytes) {
    std::string got;
    std::span<const std::byte> left = bytes;
    while (got.size() < bytes.size()) {
      if (!left.empty() && !under_way_) {
        backend().Send(id_, left, 1);
        backend().PollOut(id_, 2);  // or a send that is alone in its turn would be plain
        under_way_ = true;
      }
      const size_t before = results_.all.size();
      ASSERT_TRUE(backend().Turn(results_, 1'000'000).ok());
      if (results_.all.size() > before) {
        under_way_ = false;
        const int32_t sent = results_.all.back();
        ASSERT_TRUE(sent > 0 || sent == -EAGAIN) << sent;
        if (sent > 0) left = left.subspan(static_cast<size_t>(sent));
      }
      got += peer_->Read(bytes.size() - got.size());
    }
    while (under_way_) {
      const size_t before = results_.all.size();
      ASSERT_TRUE(backend().Turn(results_, 1'000'000).ok());
      under_way_ = results_.all.size() == before;
    }
    EXPECT_EQ(std::memcmp(got.data(), bytes.data(), bytes.size()), 0);
  }

  std::unique_ptr<RealWorld<UringBackend>> world_;
  std::vector<std::byte> region_ = std::vector<std::byte>(512u << 10);
  std::unique_ptr<RealPeer> peer_;
  SocketId id_ = kNoSocket;
  bool under_way_ = false;
  SendResults results_;
};

TEST_F(SendModeTest, PlainRegistersNothing) {
  Make({.send_mode = SendMode::kPlain});
  if (IsSkipped()) return;
  SendThrough(std::span(region_).first(kLarge));
  EXPECT_GE(backend().stats().sends_plain, 1u);
  EXPECT_EQ(backend().stats().sends_fixed, 0u);
  EXPECT_EQ(backend().TakeNote(), "");
}

TEST_F(SendModeTest, ZeroCopyTakesLargeSendsAndLeavesSmallOnesPlain) {
  if (!ProbeZeroCopySend()) GTEST_SKIP() << "this kernel has no SEND_ZC";
  Make({.send_mode = SendMode::kZeroCopy});
  if (IsSkipped()) return;
  SendThrough(std::span(region_).first((16u << 10) - 1));
  EXPECT_EQ(backend().stats().sends_zero_copy, 0u);
  EXPECT_EQ(backend().stats().sends_fixed, 0u);
  EXPECT_GE(backend().stats().sends_plain, 1u);
  SendThrough(std::span(region_).first(kLarge));
  EXPECT_GE(backend().stats().sends_zero_copy, 1u);
  // Over loopback the kernel always copies, and says so.
  EXPECT_EQ(backend().stats().zero_copy_copied, backend().stats().sends_zero_copy);
}

TEST_F(SendModeTest, AutoTriesZeroCopyOnceAndStopsWhenTheKernelSaysThatItCopied) {
  if (!ProbeZeroCopySend()) GTEST_SKIP() << "this kernel has no SEND_ZC";
  Make({.send_mode = SendMode::kAuto});
  if (IsSkipped()) return;
  for (int i = 0; i < 64; ++i) SendThrough(std::span(region_).first(kLarge));
  for (int i = 0; i < 64; ++i) SendThrough(std::span(region_).first(kLarge));
  EXPECT_EQ(backend().stats().sends_zero_copy, 1u);
  EXPECT_EQ(backend().stats().zero_copy_copied, 1u);
  EXPECT_GE(backend().stats().sends_fixed, 127u);
}

TEST_F(SendModeTest, AZeroCopySendThatIsRefusedGoesTheOtherWayAndOneNoteSaysSo) {
  if (!ProbeZeroCopySend()) GTEST_SKIP() << "this kernel has no SEND_ZC";
  Make({.send_mode = SendMode::kZeroCopy});
  if (IsSkipped()) return;
  UseLocalPair();
  EXPECT_EQ(backend().TakeNote(), "");
  SendThrough(std::span(region_).first(kLarge));
  SendThrough(std::span(region_).first(kLarge));
  EXPECT_EQ(backend().stats().sends_zero_copy, 1u);
  EXPECT_GE(backend().stats().sends_fixed, 2u);
  EXPECT_EQ(backend().TakeNote(),
            "io_uring \"SEND_ZC\": EOPNOTSUPP; these sockets cannot: leave the send mode fixed; "
            "sends are fixed from now on");
  EXPECT_EQ(backend().TakeNote(), "");
}

TEST_F(SendModeTest, AServerTellsOfARefusalAtRunTimeOnce) {
  if (!ProbeZeroCopySend()) GTEST_SKIP() << "this kernel has no SEND_ZC";
  auto made = UringBackend::Create({.send_mode = SendMode::kZeroCopy});
  if (!made.ok()) GTEST_SKIP() << "not on this kernel: " << made.status().message();
  auto server = BasicServer<UringBackend>::Create(std::move(*made), UniqueFd(), {});
  ASSERT_TRUE(server.ok()) << server.status().message();
  std::vector<std::unique_ptr<RealPeer>> peers;
  for (int i = 0; i < 3; ++i) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    (*server)->TakeClient(pair[0]);
    peers.push_back(std::make_unique<RealPeer>(pair[1]));
  }
  std::vector<std::string> notes, got(peers.size());
  const std::vector<char> payload(50'000, 'x');
  for (uint64_t round = 1; round <= 3; ++round) {
    const Record record{.wal_seq = round, .payload = payload.data(), .size = 50'000, .type = 1};
    ASSERT_EQ((*server)->Broadcast(record), BroadcastResult::kOk);
    for (size_t i = 0; i < peers.size(); ++i) {
      while (got[i].size() < round * FrameBytes(50'000)) {
        ASSERT_TRUE((*server)->Turn(1'000'000).ok());
        got[i] += peers[i]->Read(kLarge);
      }
    }
    for (const ServerEvent& event : (*server)->TakeEvents()) {
      if (event.kind == ServerEvent::Kind::kNote) notes.push_back(event.text);
    }
  }
  if ((*server)->stats().sends_zero_copy == 0) GTEST_SKIP() << notes[0];  // no locked memory
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], HasSubstr("\"SEND_ZC\": EOPNOTSUPP"));
}

TEST_F(SendModeTest, AZeroCopySendIsTheMemorysUntilThePeerHasItAndClosingResetsThePeer) {
  if (!ProbeZeroCopySend()) GTEST_SKIP() << "this kernel has no SEND_ZC";
  Make({.send_mode = SendMode::kZeroCopy});
  if (IsSkipped()) return;
  // A peer that does not read: sooner or later one stays unacknowledged.
  for (int i = 0; i < 10'000 && !backend().HeldByPeer(id_); ++i) {
    const size_t before = results_.all.size();
    backend().Send(id_, region_, 1);
    for (int turn = 0; turn < 20 && results_.all.size() == before; ++turn) {
      ASSERT_TRUE(backend().Turn(results_, 1'000'000).ok());
    }
    if (results_.all.size() == before) break;
    if (results_.all.back() < 0) break;  // full before it was held: the kernel copied early
  }
  const bool held = backend().HeldByPeer(id_);
  struct Closing {
    int closed = 0;
    void OnCompletion(const Completion& completion) { closed += completion.op == Op::kClose; }
  } closing;
  backend().Close(id_, 2);
  for (int i = 0; i < 2000 && closing.closed == 0; ++i) {
    ASSERT_TRUE(backend().Turn(closing, 1'000'000).ok());
  }
  EXPECT_EQ(closing.closed, 1);
  if (!held) GTEST_SKIP() << "this kernel lets go of zero-copy sends at once over loopback";
  while (!peer_->Read(kLarge).empty()) {
  }
  EXPECT_TRUE(peer_->SeesEnd());
}

TEST_F(SendModeTest, AKernelThreadThatSubmitsSparesTheSystemCall) {
  Make({.sq_poll = true, .sq_poll_idle_ms = 2000});
  if (IsSkipped()) return;
  ASSERT_EQ(backend().TakeNote(), "");
  SendThrough(std::span(region_).first(1000));  // awake now
  const uint64_t before = backend().stats().enters;
  for (int i = 0; i < 10; ++i) {
    const size_t seen = results_.all.size();
    backend().Send(id_, std::span(region_).first(1000), 1);
    while (results_.all.size() == seen) ASSERT_TRUE(backend().Turn(results_, 0).ok());
    EXPECT_EQ(results_.all.back(), 1000);
  }
  EXPECT_EQ(backend().stats().enters, before);
}

TEST_F(SendModeTest, ACpuThatIsNotThereMeansNoPollingThreadAndANote) {
  Make({.sq_poll = true, .sq_poll_cpu = 4095});
  if (IsSkipped()) return;
  EXPECT_THAT(backend().TakeNote(), HasSubstr("SQPOLL"));
  SendThrough(std::span(region_).first(kLarge));
}

class SendModeServer : public ServerFixture {};

TEST_P(SendModeServer, AClientThatHoldsAZeroCopySendIsCutAndTheOthersGoOn) {
  if (!ProbeZeroCopySend()) GTEST_SKIP() << "this kernel has no SEND_ZC";
  ServerOptions options{.send_buffer_bytes = 64u << 10};
  options.io.send_mode = SendMode::kZeroCopy;
  Start(options);
  RawPeer stalled(server_->port(), 8192), healthy(server_->port());
  WaitForClients(2);
  uint64_t next = 1;
  while (server_->client_count() == 2) {
    for (int i = 0; i < 40; ++i) ASSERT_EQ(Send(next++, 1000), BroadcastResult::kOk);
    ReadUntil(&healthy, [&] { return healthy.bytes().size() == (next - 1) * 1016; });
  }
  EXPECT_EQ(server_->stats().slow_client_drops, 1u);
  EXPECT_GE(server_->stats().sends_zero_copy, 1u);
  for (int round = 0; round < 150; ++round) {
    for (int i = 0; i < 40; ++i) ASSERT_EQ(Send(next++, 1000), BroadcastResult::kOk);
    ReadUntil(&healthy, [&] { return healthy.bytes().size() == (next - 1) * 1016; });
  }
  const auto frames = healthy.Frames();
  for (size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(frames[i].wal_seq, i + 1);
  EXPECT_FALSE(healthy.ended());
}

INSTANTIATE_TEST_SUITE_P(Backends, SendModeServer, ::testing::Values(BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

#else
TEST(SendMode, IsNotInThisBuild) { GTEST_SKIP() << "built with -Diouring=disabled"; }
#endif

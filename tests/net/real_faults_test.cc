// What real clients do to a server: resets at any byte, reads of one byte, no reads at all, death,
// thousands of connections, and a storm of them when descriptors have run out. Afterwards nothing
// has leaked, and two healthy clients have got everything in order.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "tests/net/client_process.h"
#include "tests/net/open_descriptors.h"
#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = getenv(name);
  return text == nullptr ? otherwise : strtoull(text, nullptr, 10);
}

void Reset(std::unique_ptr<RawPeer>* peer) {
  const linger now = {1, 0};
  setsockopt((*peer)->fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  peer->reset();
}

// A client that reads busily and keeps what it read only until it has checked it.
class HealthyClient {
 public:
  explicit HealthyClient(uint16_t port) : peer_(port) {}

  void Read() {
    std::byte chunk[65536];
    ssize_t n;
    while ((n = recv(peer_.fd(), chunk, sizeof chunk, MSG_DONTWAIT)) > 0) {
      unread_.insert(unread_.end(), chunk, chunk + n);
    }
    EXPECT_NE(n, 0) << "the server hung up";
    std::span<const std::byte> left(unread_);
    Frame frame;
    while (ParseFrame(left, &frame) == ParseResult::kFrame) {
      EXPECT_EQ(frame.wal_seq, ++wal_seq_);
      left = left.subspan(frame.bytes());
    }
    unread_.erase(unread_.begin(), unread_.end() - static_cast<ptrdiff_t>(left.size()));
  }
  uint64_t wal_seq() const { return wal_seq_; }

 private:
  RawPeer peer_;
  std::vector<std::byte> unread_;
  uint64_t wal_seq_ = 0;
};

class RealFaultsTest : public ServerFixture {
 protected:
  static constexpr uint32_t kHealthy = 2;

  void StartWithHealthyClients(const ServerOptions& options = {}) {
    Start(options);
    for (uint32_t i = 0; i < kHealthy; ++i) {
      healthy_.push_back(std::make_unique<HealthyClient>(server_->port()));
    }
    WaitForClients(kHealthy);
    descriptors_ = OpenDescriptors().size();
  }
  // One record to all, and a turn.
  void Broadcast(size_t size = 64) {
    ASSERT_EQ(Send(++wal_seq_, size), BroadcastResult::kOk);
    ASSERT_TRUE(server_->PollIo(0).ok());
    for (const auto& client : healthy_) client->Read();
  }
  std::unique_ptr<RawPeer> Join(int receive_buffer = 0) {
    const uint64_t before = server_->stats().clients_accepted;
    auto peer = std::make_unique<RawPeer>(server_->port(), receive_buffer);
    TurnUntil([&] { return server_->stats().clients_accepted > before; });
    return peer;
  }
  // Only the healthy are left, they have all, and a crowd is served as at first.
  void ExpectNothingLeaked() {
    TurnUntil([&] {
      for (const auto& client : healthy_) client->Read();
      return server_->client_count() == kHealthy && OpenDescriptors().size() == descriptors_;
    });
    const ServerStats stats = server_->stats();
    EXPECT_EQ(stats.clients_accepted, kHealthy + stats.clients_disconnected);
    {
      std::vector<std::unique_ptr<RawPeer>> crowd;
      for (int i = 0; i < 32; ++i) {
        crowd.push_back(Join());
        crowd.back()->Send(HelloBytes());
      }
      for (const auto& peer : crowd) {
        ReadUntil(peer.get(), [&] { return !peer->Frames().empty(); });
      }
    }
    Broadcast();
    TurnUntil([&] {
      for (const auto& client : healthy_) client->Read();
      return server_->client_count() == kHealthy && OpenDescriptors().size() == descriptors_ &&
             std::all_of(healthy_.begin(), healthy_.end(),
                         [&](const auto& client) { return client->wal_seq() == wal_seq_; });
    });
  }

  std::vector<std::unique_ptr<HealthyClient>> healthy_;
  size_t descriptors_ = 0;
  uint64_t wal_seq_ = 0;
};

TEST_P(RealFaultsTest, ResetsAfterAnyByteOfAFrame) {
  StartWithHealthyClients();
  const size_t bytes = 2 * FrameBytes(64) + 1;
  for (size_t after = 0; after <= bytes; ++after) {
    std::unique_ptr<RawPeer> peer = Join();
    for (int i = 0; i < 3; ++i) Broadcast();
    std::vector<std::byte> taken(after);
    if (after != 0) {
      ASSERT_EQ(recv(peer->fd(), taken.data(), after, MSG_WAITALL), static_cast<ssize_t>(after));
    }
    Reset(&peer);
    Broadcast();
  }
  ExpectNothingLeaked();
}

TEST_P(RealFaultsTest, ResetsAfterAnyByteOfAHello) {
  StartWithHealthyClients();
  const std::vector<std::byte> hello = HelloBytes(1);
  for (size_t after = 0; after <= hello.size(); ++after) {
    std::unique_ptr<RawPeer> peer = Join();
    peer->Send(
        std::vector<std::byte>(hello.begin(), hello.begin() + static_cast<ptrdiff_t>(after)));
    if (after % 2 == 0) Broadcast();  // it may have been read, or come with the reset
    Reset(&peer);
    Broadcast();
  }
  ExpectNothingLeaked();
}

TEST_P(RealFaultsTest, ReadsOfOneByteGetAllOfThem) {
  StartWithHealthyClients();
  std::unique_ptr<RawPeer> peer = Join(4096);
  std::vector<std::byte> taken;
  const uint64_t records = 200, bytes = records * FrameBytes(64);
  while (taken.size() < bytes) {
    if (wal_seq_ < records) Broadcast();
    ASSERT_TRUE(server_->PollIo(0).ok());
    std::byte byte;
    for (int i = 0; i < 64 && recv(peer->fd(), &byte, 1, MSG_DONTWAIT) == 1; ++i) {
      taken.push_back(byte);
    }
  }
  Frame frame;
  std::span<const std::byte> left(taken);
  for (uint64_t i = 1; i <= records; ++i) {
    ASSERT_EQ(ParseFrame(left, &frame), ParseResult::kFrame);
    ASSERT_EQ(frame.wal_seq, i);
    left = left.subspan(frame.bytes());
  }
  Reset(&peer);
  ExpectNothingLeaked();
}

TEST_P(RealFaultsTest, StalledReadersAreCutAndLeaveNothingBehind) {
  StartWithHealthyClients({.log_bytes = 1u << 20, .send_buffer_bytes = 8192, .drain_ms = 1});
  std::vector<std::unique_ptr<RawPeer>> stalled;
  for (int i = 0; i < 20; ++i) stalled.push_back(Join(4096));
  while (server_->stats().slow_client_drops < stalled.size()) Broadcast(4000);
  descriptors_ += stalled.size();  // their side is still open
  ExpectNothingLeaked();
}

TEST_P(RealFaultsTest, KillOfClientProcessesInTheMiddleOfTheStream) {
  std::vector<std::unique_ptr<ClientProcess>> processes;
  for (int i = 0; i < 8; ++i) {
    processes.push_back(std::make_unique<ClientProcess>([](uint16_t port, int) {
      std::vector<std::unique_ptr<RawPeer>> peers;
      for (int k = 0; k < 4; ++k) peers.push_back(std::make_unique<RawPeer>(port));
      std::byte chunk[1000];
      while (true) {
        for (const auto& peer : peers) recv(peer->fd(), chunk, sizeof chunk, 0);
      }
    }));
  }
  StartWithHealthyClients();
  for (size_t i = 0; i < processes.size(); ++i) {
    processes[i]->Connect(server_->port());
    WaitForClients(kHealthy + 4);
    for (int k = 0; k < 100; ++k) Broadcast(1000);
    processes[i]->Kill();
    TurnUntil([&] {
      Broadcast();
      return server_->client_count() == kHealthy;
    });
  }
  ExpectNothingLeaked();
}

// OMBUS_CONNECTS=10000 is the long form.
TEST_P(RealFaultsTest, ThousandsOfConnectionsThatComeAndGo) {
  StartWithHealthyClients();
  const uint64_t connects = FromEnvironment("OMBUS_CONNECTS", 2000);
  constexpr uint64_t kAtOnce = 50;
  for (uint64_t done = 0; done < connects; done += kAtOnce) {
    std::vector<std::unique_ptr<RawPeer>> peers;
    for (uint64_t i = 0; i < kAtOnce; ++i) {
      peers.push_back(std::make_unique<RawPeer>(server_->port()));
    }
    if (done % 3 == 0) TurnUntil([&] { return server_->client_count() == kHealthy + kAtOnce; });
    Broadcast();
    for (uint64_t i = 0; i < kAtOnce; ++i) {
      if (i % 4 == 1) peers[i]->Send(HelloBytes());
      if (i % 4 == 2) peers[i]->Send("no frame at all, and long enough to be seen for what it is");
      if (i % 2 == 1) Reset(&peers[i]);  // the others close in order
    }
    peers.clear();
    Broadcast();
  }
  ExpectNothingLeaked();
  EXPECT_GE(server_->stats().clients_accepted, connects / 3);
}

TEST_P(RealFaultsTest, AStormOfConnectionsWhenDescriptorsHaveRunOut) {
  ClientProcess storm([](uint16_t port, int orders) {
    {
      std::vector<std::unique_ptr<RawPeer>> peers;
      for (int i = 0; i < 200; ++i) peers.push_back(std::make_unique<RawPeer>(port));
      char order;
      (void)!read(orders, &order, 1);
    }
    pause();
  });
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  // Before the server: an accept that waits in the kernel keeps the limit it began with.
  const int lowest_free = UniqueFd(fcntl(0, F_DUPFD_CLOEXEC, 3)).get();
  const rlimit low = {static_cast<rlim_t>(lowest_free) + 60, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  StartWithHealthyClients();
  storm.Connect(server_->port());
  TurnUntil([&] { return server_->stats().accept_failures >= 3; });
  EXPECT_GT(server_->client_count(), kHealthy);
  for (int i = 0; i < 1000; ++i) Broadcast();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  WaitForClients(kHealthy + 200);  // those that waited are taken
  storm.Order();
  ExpectNothingLeaked();
}

INSTANTIATE_TEST_SUITE_P(Backends, RealFaultsTest,
                         ::testing::Values(BackendChoice::kUring, BackendChoice::kEpoll),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

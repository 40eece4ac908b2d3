// What a forked child does to the connections of its parent by destroying its copies of handles, as
// a program does whose handles are global when the child ends by exit(): nothing.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "ombus/client.h"
#include "tests/net/in_child.h"
#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

class ForkedChildTest : public ServerFixture {
 protected:
  int DestroyServerInChild() {
    return InChild([this] {
      server_.reset();
      return true;
    });
  }
};

TEST_P(ForkedChildTest, LeavesTheClientsOfAServerItDestroys) {
  Start();
  RawPeer peer(server_->port());
  WaitForClients(1);
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  ASSERT_EQ(DestroyServerInChild(), 0);
  ASSERT_EQ(Send(2), BroadcastResult::kOk);
  ReadUntil(&peer, [&] { return peer.Frames().size() == 2; });
  EXPECT_FALSE(peer.ended());
  RawPeer later(server_->port());
  WaitForClients(2);
  ASSERT_EQ(Send(3), BroadcastResult::kOk);
  ReadUntil(&later, [&] { return later.Frames().size() == 1; });
  later.Send("not a frame, and long enough to be taken for a header");  // receiving goes on, too
  ReadUntil(&later, [&] { return later.ended(); });
  EXPECT_EQ(server_->client_count(), 1u);
}

TEST_P(ForkedChildTest, LeavesTheClientsOfAServerThatAnotherThreadPolls) {
  Start();
  RawPeer peer(server_->port());
  std::atomic<bool> joined{false}, forked{false}, ended{false};
  std::thread polling([&] {
    WaitForClients(1);
    joined = true;
    while (!forked) std::this_thread::yield();
    EXPECT_EQ(Send(1), BroadcastResult::kOk);
    while (!ended) EXPECT_TRUE(server_->PollIo(1'000'000).ok());
  });
  while (!joined) std::this_thread::yield();
  EXPECT_EQ(DestroyServerInChild(), 0);
  forked = true;
  while (peer.Frames().empty() && !peer.ended()) peer.Drain();
  EXPECT_FALSE(peer.ended());
  ended = true;
  polling.join();
}

TEST_P(ForkedChildTest, LeavesTheConnectionOfAClientItDestroys) {
  Start();
  auto client = Client::Connect({.port = server_->port(), .backend = GetParam()});
  ASSERT_TRUE(client.ok()) << client.status().message();
  WaitForClients(1);
  EXPECT_EQ(InChild([&] {
              client->reset();
              return true;
            }),
            0);
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  Record record;
  ClientResult result = ClientResult::kEmpty;
  TurnUntil([&] {
    result = (*client)->Poll(&record, 0);
    return result != ClientResult::kEmpty;
  });
  EXPECT_EQ(result, ClientResult::kRecord);
  EXPECT_EQ(record.wal_seq, 1u);
}

INSTANTIATE_TEST_SUITE_P(BackEnds, ForkedChildTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

// What a child of fork keeps of its parent's handles: nothing that tells who lives.
#include "ring/fork_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ombus/ring_snapshot.h"
#include "tests/ring/child_process.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

constexpr uint64_t kPatienceNs = 60'000'000'000;

class ForkGuardTest : public RingFixture {};

int OpenPipeEnd(int* read_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  *read_end = ends[0];
  return ends[1];
}

TEST_F(ForkGuardTest, AKeptDescriptorStaysOpenHereAndLeadsNowhereInAChild) {
  int kept_read = -1, plain_read = -1;
  const int kept = OpenPipeEnd(&kept_read);
  ForkGuard().KeepFromChildren(kept);
  const int plain = OpenPipeEnd(&plain_read);
  ChildProcess child([&](ChildProcess::Parent&) {
    if (write(kept, "", 1) == 1) return 1;
    if (fcntl(kept, F_GETFD) < 0) return 2;  // its number is not free for another
    return write(plain, "", 1) == 1 ? 0 : 3;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(write(kept, "", 1), 1);
  ForkGuard().Close(kept);
  EXPECT_EQ(fcntl(kept, F_GETFD), -1);
  close(plain);
  close(kept_read);
  close(plain_read);
}

// As a program does that closes all descriptors, whosever they are.
TEST_F(ForkGuardTest, ANumberThatIsSomethingElsesByNowIsLeftAlone) {
  int first_read = -1, other_read = -1;
  const int kept = OpenPipeEnd(&first_read);
  const int other = OpenPipeEnd(&other_read);
  ForkGuard().KeepFromChildren(kept);
  ASSERT_EQ(dup2(other, kept), kept);
  ChildProcess child([&](ChildProcess::Parent&) { return write(kept, "", 1) == 1 ? 0 : 1; });
  EXPECT_EQ(child.Wait(), 0);
  ForkGuard().Close(kept);
  close(other);
  close(first_read);
  close(other_read);
}

// Of whoever calls it, with copies of all that one has: lives on until the test ends.
void ForkOneThatLivesOn(ChildProcess::Parent& parent) {
  if (fork() != 0) return;
  parent.Tell();
  parent.Await();
  parent.Tell();
  parent.Await();
  _exit(0);
}

// Whether it does still, after its parent has been killed.
bool LivesOn(ChildProcess& child) {
  child.Tell();
  return child.Await();
}

TEST_F(ForkGuardTest, AKilledProducerIsTakenOverThoughAForkedChildOfItLivesOn) {
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto producer = MakeProducer();
    (void)producer->TryPublish({.wal_seq = 1});
    ForkOneThatLivesOn(parent);
    pause();
    return 0;
  });
  ASSERT_TRUE(child.Await());
  auto consumer = MakeConsumer({.start = ConsumerStart::kEpochStart});
  child.Kill();
  EXPECT_FALSE(ReadRingSnapshot(name_.str())->producer_alive);
  auto successor = MakeProducer();
  ASSERT_NE(successor, nullptr);
  ASSERT_EQ(successor->TryPublish({.wal_seq = 2}), PublishResult::kOk);
  Record record;  // in place: its readers go on
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.wal_seq, 2u);
  EXPECT_TRUE(LivesOn(child));
}

// A child that was made around fork(3), or had no descriptor left, still has its parent's.
TEST_F(ForkGuardTest, AChildThatKeptItsParentsDescriptorsDoesNotOwnItsStream) {
  auto producer = MakeProducer();
  const pid_t child = static_cast<pid_t>(syscall(SYS_fork));
  ASSERT_GE(child, 0);
  if (child == 0) {
    _exit(Producer::Create({.name = name_.str()}).status().code() == StatusCode::kAlreadyExists
              ? 0
              : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(producer->superseded());
}

TEST_F(ForkGuardTest, AKilledConsumerHoldsNobodyBackThoughAForkedChildOfItLivesOn) {
  auto producer = MakeProducer({.capacity = 8});
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto consumer = MakeConsumer({.consumer_index = 3});
    ForkOneThatLivesOn(parent);
    pause();
    return 0;
  });
  ASSERT_TRUE(child.Await());
  child.Kill();
  for (uint64_t i = 1; i <= 20; ++i) {
    ASSERT_EQ(producer->Publish({.wal_seq = i}, kPatienceNs), PublishResult::kOk);
  }
  EXPECT_NE(MakeConsumer({.consumer_index = 3}), nullptr);  // nor its index
  EXPECT_TRUE(LivesOn(child));
}

TEST_F(ForkGuardTest, ForkLeavesTheLocksToTheirOwnerAndTheMemoryToBoth) {
  auto producer = MakeProducer({.capacity = 8});
  auto consumer = MakeConsumer({.consumer_index = 0});
  ASSERT_EQ(producer->TryPublish({.wal_seq = 7}), PublishResult::kOk);
  ChildProcess child([&](ChildProcess::Parent&) {
    if (producer->head() != 1 || producer->live_consumers() != 1) return 1;  // of its copies
    if (Producer::Create({.name = name_.str()}).ok()) return 2;
    if (Consumer::Open({.name = name_.str(), .consumer_index = 0}).ok()) return 3;
    auto own = MakeConsumer({.consumer_index = 1});
    if (own == nullptr) return 4;
    producer.reset();
    consumer.reset();
    const Result<RingSnapshot> ring = ReadRingSnapshot(name_.str());
    if (!ring.ok() || !ring->producer_alive || ring->consumers.size() != 2) return 5;
    return ring->consumers[0].owner_alive && ring->consumers[1].owner_alive ? 0 : 6;
  });
  EXPECT_EQ(child.Wait(), 0);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.wal_seq, 7u);
}

}  // namespace
}  // namespace ombus

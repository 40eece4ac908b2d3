// Producer::Create against another that comes in the same instant. The calls that decide are
// intercepted: this program's own fcntl runs a test's function before the lock is asked for. Its
// getrandom refuses when told to.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/ring/child_process.h"
#include "tests/ring/ring_test_name.h"

namespace {

std::function<void()> before_lock;  // runs once
bool refuse_random = false;
int randoms_refused = 0;

int Fcntl(int fd, int command, void* argument) {
  if (command == F_OFD_SETLK && before_lock) std::exchange(before_lock, nullptr)();
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}

}  // namespace

// Both of libc's names, whatever the size of off_t that a header makes of them.
extern "C" {
int InterceptedFcntl(int fd, int command, void* argument) __asm__("fcntl");
int InterceptedFcntl64(int fd, int command, void* argument) __asm__("fcntl64");
int InterceptedFcntl(int fd, int command, void* argument) { return Fcntl(fd, command, argument); }
int InterceptedFcntl64(int fd, int command, void* argument) { return Fcntl(fd, command, argument); }

ssize_t InterceptedGetrandom(void* buffer, size_t bytes, unsigned flags) __asm__("getrandom");
ssize_t InterceptedGetrandom(void* buffer, size_t bytes, unsigned flags) {
  if (!refuse_random) return syscall(SYS_getrandom, buffer, bytes, flags);
  ++randoms_refused;
  errno = EAGAIN;
  return -1;
}
}

namespace ombus {
namespace {

// Another producer of the same stream, in a process of its own: publishes five records and ends.
void LiveAndEnd(const std::string& name, bool in_order) {
  ChildProcess other([&](ChildProcess::Parent&) {
    auto producer = Producer::Create({.name = name});
    if (!producer.ok()) return 1;
    for (uint64_t seq = 1; seq <= 5; ++seq) {
      if ((*producer)->Publish({.wal_seq = seq, .payload = "x", .size = 1}) != PublishResult::kOk) {
        return 2;
      }
    }
    if (!in_order) (void)producer->release();  // as if killed: nothing is closed or removed
    return 0;
  });
  EXPECT_EQ(other.Wait(), 0);
}

TEST(ProducerCreateTest, WhoseObjectWasFilledByAnotherMeanwhileSucceedsThatOne) {
  const RingTestName name;
  before_lock = [&] { LiveAndEnd(name.str(), false); };
  auto producer = Producer::Create({.name = name.str()});
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  EXPECT_FALSE(before_lock);
  EXPECT_EQ((*producer)->head(), 5u);
}

TEST(ProducerCreateTest, WhoseObjectWasRemovedByAnotherMeanwhileBeginsAnew) {
  const RingTestName name;
  before_lock = [&] { LiveAndEnd(name.str(), true); };
  auto producer = Producer::Create({.name = name.str()});
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  EXPECT_FALSE(before_lock);
  EXPECT_EQ((*producer)->head(), 0u);
  EXPECT_TRUE(Consumer::Open({.name = name.str()}).ok());
}

TEST(ProducerCreateTest, WithoutEntropyEpochsDifferAllTheSame) {
  const RingTestName name;
  std::set<uint64_t> epochs;
  refuse_random = true;
  for (int i = 0; i < 100; ++i) {
    auto producer = Producer::Create({.name = name.str()});
    ASSERT_TRUE(producer.ok()) << producer.status().message();
    EXPECT_NE((*producer)->epoch(), 0u);
    epochs.insert((*producer)->epoch());
  }
  refuse_random = false;
  EXPECT_EQ(epochs.size(), 100u);
  EXPECT_GE(randoms_refused, 100);
}

}  // namespace
}  // namespace ombus

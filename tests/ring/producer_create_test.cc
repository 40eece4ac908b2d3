// Producer::Create against another that comes in the same instant. The calls that decide are
// intercepted: this program's own fcntl runs a test's function before the lock is asked for. Its
// getrandom and shm_open refuse when told to, and its clock stands still.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/ring/child_process.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_test_name.h"
#include "tests/system_call_filter.h"

namespace {

std::function<void()> before_lock;  // runs once
bool refuse_random = false;
int randoms_refused = 0;
bool refuse_creation = false;
bool clock_stands = false;

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

int InterceptedShmOpen(const char* name, int flags, mode_t mode) __asm__("shm_open");
int InterceptedShmOpen(const char* name, int flags, mode_t mode) {
  if (refuse_creation && (flags & O_CREAT) != 0) {
    errno = EACCES;
    return -1;
  }
  const std::string path = std::string("/dev/shm") + name;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path.c_str(),
                                  flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode));
}

ssize_t InterceptedGetrandom(void* buffer, size_t bytes, unsigned flags) __asm__("getrandom");
ssize_t InterceptedGetrandom(void* buffer, size_t bytes, unsigned flags) {
  if (!refuse_random) return syscall(SYS_getrandom, buffer, bytes, flags);
  ++randoms_refused;
  errno = EAGAIN;
  return -1;
}

int InterceptedClock(clockid_t clock, struct timespec* time) __asm__("clock_gettime");
int InterceptedClock(clockid_t clock, struct timespec* time) {
  if (!clock_stands) return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  *time = {.tv_sec = 9, .tv_nsec = 0};
  return 0;
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

// The object that this process displaces has lost its name in the meantime.
TEST(ProducerCreateTest, WhoTookADisplacedProducersNameMeanwhileKeepsIt) {
  const RingTestName name;
  auto displaced = Producer::Create({.name = name.str()});
  ASSERT_TRUE(displaced.ok()) << displaced.status().message();
  ChildProcess other([&](ChildProcess::Parent& parent) {
    parent.Await();
    auto producer = Producer::Create({.name = name.str()});
    if (!producer.ok()) return 1;
    parent.Tell();
    parent.Await();
    return 0;
  });
  before_lock = [&] {
    EXPECT_EQ(shm_unlink(name.str().c_str()), 0);
    other.Tell();
    EXPECT_TRUE(other.Await());
  };
  const auto producer = Producer::Create({.name = name.str()});
  EXPECT_FALSE(before_lock);
  EXPECT_EQ(producer.status().code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE((*displaced)->superseded());
  EXPECT_EQ(RawObject(name.str()).header().producer_pid.load(), static_cast<uint32_t>(other.pid()));
  other.Tell();
  EXPECT_EQ(other.Wait(), 0);
}

// As the kernel does it to another user's object in a folder that all may write
// (fs.protected_regular), although its mode allows to open it.
TEST(ProducerCreateTest, WhereAnothersObjectIsRefusedToWhoMightCreateItItIsTakenOver) {
  const RingTestName name;
  LiveAndEnd(name.str(), false);
  refuse_creation = true;
  auto producer = Producer::Create({.name = name.str()});
  refuse_creation = false;
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  EXPECT_EQ((*producer)->head(), 5u);
}

// Else it would be taken for damaged, and removed, by who is just short of memory.
TEST(ProducerCreateTest, WhoMayNotMapADeadProducersStreamLeavesItToAnother) {
  constexpr int kNoFilter = 77;
  const RingTestName name;
  LiveAndEnd(name.str(), false);
  ChildProcess child([&](ChildProcess::Parent&) {
    sock_filter no_shared_mappings[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 3 * sizeof(uint64_t)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    if (!FilterSystemCalls(no_shared_mappings)) return kNoFilter;
    auto refused = Producer::Create({.name = name.str()});
    return refused.status().code() == StatusCode::kResourceExhausted ? 0 : 1;
  });
  const int code = child.Wait();
  if (code == kNoFilter) GTEST_SKIP() << "no filter is allowed here";
  EXPECT_EQ(code, 0);
  auto producer = Producer::Create({.name = name.str()});
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  EXPECT_EQ((*producer)->head(), 5u);
}

// A mapping through the description that has the lock would leave that to a child of fork.
TEST(ProducerCreateTest, WithOneDescriptorLeftIsRefused) {
  const RingTestName name;
  ChildProcess child([&](ChildProcess::Parent&) {
    const int next = dup(STDIN_FILENO);
    close(next);
    const auto limit = static_cast<rlim_t>(next) + 1;
    const struct rlimit one = {limit, limit};
    if (next < 0 || setrlimit(RLIMIT_NOFILE, &one) != 0) return 1;
    auto refused = Producer::Create({.name = name.str()});
    return refused.status().code() == StatusCode::kResourceExhausted ? 0 : 2;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_TRUE(Producer::Create({.name = name.str()}).ok());
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

// As after a reboot: so long after the start as the one before, which had other bytes from the
// kernel. They are the process's own by now, and nobody looks at them again.
TEST(ProducerCreateTest, WithoutEntropyEpochsDifferFromThoseOfAnotherBoot) {
  const RingTestName name;
  auto* const at_start = reinterpret_cast<unsigned char*>(getauxval(AT_RANDOM));
  ASSERT_NE(at_start, nullptr);
  std::set<uint64_t> epochs;
  refuse_random = clock_stands = true;
  for (int boot = 0; boot < 100; ++boot) {
    ++at_start[boot % 8];
    auto producer = Producer::Create({.name = name.str()});
    ASSERT_TRUE(producer.ok()) << producer.status().message();
    epochs.insert((*producer)->epoch());
  }
  refuse_random = clock_stands = false;
  EXPECT_EQ(epochs.size(), 100u);
}

// It stores head late, in a batch at every 32nd record.
TEST(ProducerCreateTest, ASuccessorGoesOnAfterTheLastRecordThoughItsPredecessorsHeadIsBehind) {
  const RingTestName name;
  LiveAndEnd(name.str(), false);
  RawObject object(name.str());
  ASSERT_GT(object.size(), kHeaderPageBytes);
  object.header().head.store(2, std::memory_order_relaxed);
  auto producer = Producer::Create({.name = name.str()});
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  EXPECT_EQ((*producer)->head(), 5u);
  EXPECT_EQ(object.header().epoch_position.load(std::memory_order_relaxed), 5u);
}

TEST(ProducerCreateTest, AReplacedStreamIsReadToItsLastRecordThoughItsHeadIsBehind) {
  const RingTestName name;
  LiveAndEnd(name.str(), false);
  RawObject object(name.str());
  ASSERT_GT(object.size(), kHeaderPageBytes);
  object.header().head.store(0, std::memory_order_relaxed);
  auto consumer = Consumer::Open({.name = name.str()});
  ASSERT_TRUE(consumer.ok()) << consumer.status().message();
  auto producer = Producer::Create({.name = name.str(), .capacity = 8});  // of another geometry
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  Record record;
  for (uint64_t seq = 1; seq <= 5; ++seq) {
    ASSERT_EQ((*consumer)->Poll(&record), PollResult::kRecord);
    EXPECT_EQ(record.wal_seq, seq);
  }
  EXPECT_EQ((*consumer)->Poll(&record), PollResult::kEpochChanged);
  EXPECT_TRUE((*consumer)->replaced());
}

}  // namespace
}  // namespace ombus

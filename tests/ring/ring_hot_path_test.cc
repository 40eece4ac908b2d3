// The hot path neither allocates nor makes a system call, nor takes a page fault.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/ring/child_process.h"
#include "tests/ring/ring_test_name.h"

namespace {
uint64_t allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace ombus {
namespace {

// All ways to publish and to read, some rounds around the ring. Returns how many records were lost.
int64_t RunHotPath(Producer& producer, Consumer& consumer) {
  char payload[200] = {};
  Record in[8];
  for (Record& record : in) record = {.payload = payload, .size = 100};
  int64_t open = 0;
  for (int round = 0; round < 2000; ++round) {
    if (producer.TryPublish({.payload = payload, .size = 200}) == PublishResult::kOk) ++open;
    if (producer.Publish({.payload = payload, .size = 8}) == PublishResult::kOk) ++open;
    if (producer.TryPublishBatch(in, nullptr) == PublishResult::kOk) open += 8;
    if (producer.TryReserve() != nullptr && producer.Commit(1, 2, 16) == PublishResult::kOk) ++open;
    open += producer.TryPublishShort(0, 1, payload, 8);
    size_t filled = 0;
    const auto write = [](void*, size_t i) { return Producer::Written{i, 16, 1}; };
    (void)producer.Fill(40, write, 0, &filled);
    open += static_cast<int64_t>(filled);
    Record out[4];
    std::byte copy[slot_access::kInlineCopyBytesMax];
    open -= consumer.TryCopyOut<sizeof copy>(copy, &out[0]);
    if (IsRecord(consumer.Poll(&out[0])) && consumer.valid()) --open;
    consumer.Release();
    open -= static_cast<int64_t>(consumer.PollBatch(out).count);
    open -= static_cast<int64_t>(consumer.Drain(100, [](const Record&) {}).count);
    open -= static_cast<int64_t>(consumer.Drain(100, [](const Record&) {}).count);
  }
  return open;
}

TEST(RingHotPath, AllocatesNothing) {
  RingTestName name;
  auto producer = Producer::Create({.name = name.str(), .capacity = 64, .crc32c = true});
  auto consumer = Consumer::Open({.name = name.str()});
  const uint64_t before = allocations;
  EXPECT_EQ(RunHotPath(**producer, **consumer), 0);
  EXPECT_EQ(allocations, before);
}

// Sanitizers make system calls of their own.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
// From here on the kernel kills this process for any system call but its end.
bool ForbidSystemCalls() {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(RingHotPath, MakesNoSystemCall) {
  constexpr int kNoSeccomp = 77;
  RingTestName name;
  ChildProcess child([&](ChildProcess::Parent&) {
    auto producer = Producer::Create({.name = name.str(), .capacity = 64});
    auto consumer = Consumer::Open({.name = name.str()});
    if (!ForbidSystemCalls()) return kNoSeccomp;
    const int64_t lost = RunHotPath(**producer, **consumer);
    _exit(lost == 0 ? 0 : 1);
  });
  const int code = child.Wait();
  if (code == kNoSeccomp) GTEST_SKIP() << "this kernel or sandbox allows no seccomp filter";
  EXPECT_EQ(code, 0);
}

// Of this thread, without the disk.
long PageFaults() {
  struct rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt;
}

// The first time around, too: a thousand pages, each touched for the first time by both, of whom
// one has the other's mapping by fork.
TEST(RingHotPath, TakesNoPageFault) {
  constexpr uint32_t kCapacity = 16384;
  RingTestName name;
  auto producer = Producer::Create({.name = name.str(), .capacity = kCapacity});
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto consumer = Consumer::Open({.name = name.str()});
    parent.Tell(), parent.Await();
    const long before = PageFaults();
    uint64_t sum = 0;
    const BatchResult got = (*consumer)->Drain(kCapacity, [&](const Record& record) {
      sum += static_cast<const unsigned char*>(record.payload)[0];
    });
    return PageFaults() - before < 16 && got.count == kCapacity && sum == kCapacity ? 0 : 1;
  });
  ASSERT_TRUE(child.Await());
  const long before = PageFaults();
  for (uint64_t i = 0; i < kCapacity; ++i) {
    ASSERT_EQ((*producer)->TryPublish({.wal_seq = i, .payload = "\1", .size = 1}),
              PublishResult::kOk);
  }
  EXPECT_LT(PageFaults() - before, 16) << "of the code and the stack, at most";
  child.Tell();
  EXPECT_EQ(child.Wait(), 0);
}
#endif

}  // namespace
}  // namespace ombus

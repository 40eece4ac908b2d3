// The hot path neither allocates nor makes a system call, nor takes a page fault.
#include <gtest/gtest.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/ring/child_process.h"
#include "tests/ring/ring_test_name.h"
#include "tests/system_call_filter.h"

// Every way to ask for memory ends here, the library's, too.
namespace {
uint64_t allocations = 0;
}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// A sanitizer has an allocator of its own, and tells of its use.
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void* memory, size_t size),
    void (*on_free)(const volatile void* memory));
namespace {
[[maybe_unused]] const int hooks = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, size_t) { ++allocations; }, [](const volatile void*) {});
}  // namespace
#else
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) noexcept {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) noexcept {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) noexcept {
  ++allocations;
  return __libc_realloc(memory, size);
}
void* aligned_alloc(size_t alignment, size_t size) noexcept {
  ++allocations;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  ++allocations;
  *memory = __libc_memalign(alignment, size);
  return *memory != nullptr ? 0 : ENOMEM;
}
}
#endif

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

// Or the test above could not fail.
TEST(RingHotPath, IsSeenToAllocateHoweverItWouldDoSo) {
  struct Way {
    const char* name;
    void* (*allocate)();
    void (*release)(void*) = free;
  };
  constexpr Way kWays[] = {
      {"malloc", [] { return malloc(8); }},
      {"calloc", [] { return calloc(1, 8); }},
      {"realloc", [] { return realloc(nullptr, 8); }},
      {"new", [] { return operator new(8); }, [](void* memory) { operator delete(memory); }},
#ifndef __SANITIZE_THREAD__  // which tells of none that is aligned
      {"aligned_alloc", [] { return aligned_alloc(64, 64); }},
      {"posix_memalign",
       [] {
         void* memory = nullptr;
         return posix_memalign(&memory, 64, 64) == 0 ? memory : nullptr;
       }},
#endif
  };
  for (const Way& way : kWays) {
    const uint64_t before = allocations;
    void* memory = way.allocate();
    __asm__ volatile("" : : "r"(memory) : "memory");  // or it is left out
    EXPECT_EQ(allocations, before + 1) << way.name;
    way.release(memory);
  }
}

// Sanitizers make system calls of their own.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
constexpr int kNoSeccomp = 77;

// From here on the kernel kills this process for any system call but its end.
bool ForbidSystemCalls() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  return FilterSystemCalls(filter);
}

TEST(RingHotPath, MakesNoSystemCall) {
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

// Or the test above could not fail: mmap, say, which is no allocation that is counted.
TEST(RingHotPath, WouldEndTheProcessWithASystemCall) {
  ChildProcess child([&](ChildProcess::Parent&) {
    if (!ForbidSystemCalls()) return kNoSeccomp;
    (void)mmap(nullptr, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    _exit(0);
  });
  const int code = child.Wait();
  if (code == kNoSeccomp) GTEST_SKIP() << "this kernel or sandbox allows no seccomp filter";
  EXPECT_EQ(code, -1 - SIGSYS);
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

#include "ring/memory_tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string>

#include "tests/ring/child_process.h"
#include "tests/ring/ring_fixture.h"
#include "tests/system_call_filter.h"

namespace ombus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RingMemory : public RingFixture {};

// 4 MiB of slots and a header: two whole huge pages and some.
constexpr ProducerOptions kFourMiB = {.capacity = 16384, .slot_size = 256};

TEST(Smaps, IsReadForTheMappingAtTheAddressAlone) {
  std::istringstream smaps(
      "7f0000000000-7f0000200000 rw-s 00000000 00:1b 1   /dev/shm/a\n"
      "Size:               2048 kB\n"
      "Rss:                2048 kB\n"
      "VmFlags: rd wr sh lo\n"
      "7f0000400000-7f0000804000 rw-s 00000000 00:1b 2   /dev/shm/b\n"
      "Size:               4112 kB\n"
      "Rss:                4108 kB\n"
      "ShmemPmdMapped:     4096 kB\n"
      "FilePmdMapped:         0 kB\n"
      "Locked:             2054 kB\n"
      "VmFlags: rd wr sh lo sd\n"
      "7f0000a00000-7f0000a04000 rw-s 00000000 00:1b 3   /dev/shm/c\n"
      "Size:                 16 kB\n"
      "Rss:                  16 kB\n"
      "VmFlags: rd wr sh sd\n");
  const MemoryReport report = ReadSmaps(smaps, 0x7f0000400000);
  EXPECT_EQ(report.mapped_bytes, 4112u * 1024);
  EXPECT_EQ(report.huge_bytes, 4096u * 1024);
  EXPECT_EQ(report.locked_bytes, 4108u * 1024) << "Locked: is a share of it";
  smaps.clear();
  smaps.seekg(0);
  EXPECT_EQ(ReadSmaps(smaps, 0x7f0000a00000).locked_bytes, 0u);
  std::istringstream nothing("7f0000000000-");
  EXPECT_EQ(ReadSmaps(nothing, 1).mapped_bytes, 0u);
}

constexpr uint64_t kRingBytes = (4 << 20) + 4608;

TEST(MemoryWarnings, AreNoneWhereAllIsThereThatWasAskedFor) {
  MemoryReport report = {
      .huge_bytes = 4 << 20, .locked_bytes = kRingBytes, .numa_node = 1, .warnings = {}};
  AddWarnings({.huge_pages = true, .lock = true, .numa_node = 1}, kRingBytes, {}, &report);
  EXPECT_THAT(report.warnings, IsEmpty());
  MemoryReport nothing;
  AddWarnings({}, kRingBytes, {}, &nothing);
  EXPECT_THAT(nothing.warnings, IsEmpty());
}

// The calls succeed and do little: pages that a reader has mapped do not move.
TEST(MemoryWarnings, HaveACauseAlsoWhereNoCallWasRefused) {
  MemoryReport report = {
      .huge_bytes = 2 << 20, .locked_bytes = 4096, .numa_node = -1, .warnings = {}};
  AddWarnings({.huge_pages = true, .lock = true, .numa_node = 1}, kRingBytes, {}, &report);
  EXPECT_THAT(report.warnings,
              ElementsAre(HasSubstr("2097152 of 4198912 bytes; some were split again"),
                          HasSubstr("4096 of 4198912 bytes; it was unlocked again"),
                          HasSubstr("node -1 (-1: several), not on 1; those that another process "
                                    "has mapped stay")));
}

TEST(MemoryWarnings, GiveTheKernelsReasonWhereItGaveOne) {
  MemoryReport report;
  AddWarnings({.huge_pages = true, .lock = true, .numa_node = 1}, kRingBytes,
              {.huge = "one", .lock = "two", .bind = "three", .look = "four"}, &report);
  EXPECT_THAT(report.warnings, ElementsAre("huge pages: 0 of 4198912 bytes; one",
                                           "lock: 0 of 4198912 bytes; two", "numa node: three"));
}

TEST_F(RingMemory, IsLeftAloneWithoutARequest) {
  auto producer = MakeProducer();
  EXPECT_EQ(producer->memory().mapped_bytes, 4096u + 8 * 64 + 16384 * 256);
  EXPECT_THAT(producer->memory().warnings, IsEmpty());
}

// Whether there are huge pages is the kernel's to say; that report and warnings agree is ours.
TEST_F(RingMemory, OfHugePagesIsReadBackAndAShortfallHasACause) {
  ProducerOptions options = kFourMiB;
  options.memory.huge_pages = true;
  auto producer = MakeProducer(options);
  auto consumer = MakeConsumer({.memory = {.huge_pages = true}});
  for (const MemoryReport& report : {producer->memory(), consumer->memory()}) {
    EXPECT_GE(report.mapped_bytes, 4u << 20);
    if (report.huge_bytes == 4u << 20) {
      EXPECT_THAT(report.warnings, IsEmpty());
    } else {
      EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("huge pages: ")));
    }
  }
  ASSERT_EQ(producer->TryPublish({.wal_seq = 7}), PublishResult::kOk);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
}

// Else no page table entry could map a huge page of it, whoever has collapsed it.
TEST_F(RingMemory, OfAHugePageOrMoreBeginsWhereOneMay) {
  auto producer = MakeProducer(kFourMiB);
  auto consumer = MakeConsumer();
  ASSERT_EQ(producer->TryPublish({.wal_seq = 7}), PublishResult::kOk);
  Record record;
  ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
  const uint64_t slots_offset = kHeaderPageBytes + 8 * kConsumerLineBytes;
  const auto begin = reinterpret_cast<uint64_t>(record.payload) - kSlotHeaderBytes - slots_offset;
  EXPECT_EQ(begin % kHugePageBytes, 0u);
}

TEST_F(RingMemory, TooSmallForHugePagesSaysSo) {
  auto producer = MakeProducer({.capacity = 64, .memory = {.huge_pages = true}});
  EXPECT_THAT(producer->memory().warnings, ElementsAre(HasSubstr("smaller than a page of 2 MiB")));
}

TEST_F(RingMemory, IsLockedOnRequest) {
  auto producer = MakeProducer({.capacity = 64, .memory = {.lock = true}});
  const MemoryReport& report = producer->memory();
  EXPECT_EQ(report.warnings.empty(), report.locked_bytes >= 4096 + 8 * 64 + 64 * 256);
}

// A producer and its reader, two processes: each has locked all of it.
TEST_F(RingMemory, ThatSeveralHaveLockedIsLockedForEach) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers make mlock do nothing";
#endif
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto producer = MakeProducer({.capacity = 64, .memory = {.lock = true}});
    const bool all = producer->memory().warnings.empty();
    parent.Tell(), parent.Await();
    return all ? 0 : 77;
  });
  ASSERT_TRUE(child.Await());
  auto consumer = MakeConsumer({.memory = {.lock = true}});
  child.Tell();
  if (child.Wait() == 77) GTEST_SKIP() << "this process may not lock so much";
  EXPECT_THAT(consumer->memory().warnings, IsEmpty());
  EXPECT_EQ(consumer->memory().locked_bytes, consumer->memory().mapped_bytes);
}

TEST_F(RingMemory, BeyondTheLimitOfLockingIsAWarningThatNamesTheLimit) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers make mlock do nothing";
#endif
  ChildProcess child([&](ChildProcess::Parent&) {
    const struct rlimit none = {};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) return 1;
    if (getuid() == 0 && setresuid(65534, 65534, 65534) != 0) return 77;
    auto producer =
        Producer::Create({.name = name_.str(), .capacity = 64, .memory = {.lock = true}});
    if (!producer.ok()) return 2;
    const MemoryReport& report = (*producer)->memory();
    const bool told = report.warnings.size() == 1 &&
                      report.warnings[0].find("the limit is 0 bytes") != std::string::npos;
    return told && report.locked_bytes == 0 ? 0 : 3;
  });
  const int code = child.Wait();
  if (code == 77) GTEST_SKIP() << "root cannot give up its rights here";
  EXPECT_EQ(code, 0);
}

// A seccomp profile forbids a call; neither the limit nor the memory nor the node is to blame.
struct Forbidden {
  const char* name;
  uint32_t call;
  MemoryOptions asked;
};
void PrintTo(const Forbidden& forbidden, std::ostream* out) { *out << forbidden.name; }

constexpr Forbidden kForbidden[] = {
    {"madvise", SYS_madvise, {.huge_pages = true}},
    {"mlock", SYS_mlock, {.lock = true}},
    {"mbind", SYS_mbind, {.numa_node = 0}},
    {"move_pages", SYS_move_pages, {.numa_node = 0}},
};

class ForbiddenMemory : public RingFixture, public testing::WithParamInterface<Forbidden> {};
INSTANTIATE_TEST_SUITE_P(Calls, ForbiddenMemory, testing::ValuesIn(kForbidden),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(ForbiddenMemory, IsAWarningThatSaysSo) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need madvise, and make mlock do nothing";
#endif
  for (const uint32_t error : {EPERM, ENOSYS}) {
    ChildProcess child([&](ChildProcess::Parent&) {
      if (!ForbidSystemCall(GetParam().call, error)) return 77;
      ProducerOptions options = kFourMiB;
      options.name = name_.str();
      options.memory = GetParam().asked;
      auto producer = Producer::Create(options);
      if (!producer.ok()) return 1;
      const std::vector<std::string>& warnings = (*producer)->memory().warnings;
      if (warnings.size() != 1) return 2;
      for (const char* part : {GetParam().name, error == EPERM ? "EPERM" : "ENOSYS", "sandbox"}) {
        if (warnings[0].find(part) == std::string::npos) return 3;
      }
      return 0;
    });
    const int code = child.Wait();
    if (code == 77) GTEST_SKIP() << "no filter is allowed here";
    EXPECT_EQ(code, 0) << error;
  }
}

TEST_F(RingMemory, IsBoundToANodeAndReadBack) {
  auto producer = MakeProducer({.memory = {.numa_node = 0}});
  const MemoryReport& report = producer->memory();
  if (report.numa_node == 0) {
    EXPECT_THAT(report.warnings, IsEmpty());
  } else {  // no NUMA in this kernel, or the sandbox forbids it
    EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("numa node: ")));
  }
}

TEST_F(RingMemory, OfANodeThatIsNotThereIsAWarning) {
  auto producer = MakeProducer({.memory = {.numa_node = 1000}});
  EXPECT_THAT(producer->memory().warnings, ElementsAre(HasSubstr("mbind: ")));
  producer = nullptr;
  producer = MakeProducer({.memory = {.numa_node = 5000}});
  EXPECT_THAT(producer->memory().warnings, ElementsAre(HasSubstr("at most 1023")));
}

}  // namespace
}  // namespace ombus

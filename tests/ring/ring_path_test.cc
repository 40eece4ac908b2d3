// Streams whose name is a path: in a folder, on a tmpfs mounted with huge=, on a hugetlbfs. What
// only root may set up is skipped for others, each time with the reason.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ombus/ring_snapshot.h"
#include "tests/ring/child_process.h"

namespace ombus {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr char kPool[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
// Two huge pages and most of a third, so that the last is not full.
constexpr ProducerOptions kThreePages = {
    .capacity = 16384, .slot_size = 256, .max_consumers = 1024};

// A folder in /dev/shm, gone at the end with what is in it.
class Folder {
 public:
  Folder() {
    char path[] = "/dev/shm/ombus-test-XXXXXX";
    if (mkdtemp(path) == nullptr) abort();
    path_ = path;
  }
  ~Folder() {
    if (getpid() != owner_) return;
    unlink(stream().c_str());
    rmdir(path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string stream() const { return path_ + "/stream"; }

 private:
  std::string path_;
  pid_t owner_ = getpid();
};

// Huge pages added to the kernel's pool while this lives. One such test at a time on a host.
class MorePages {
 public:
  explicit MorePages(int pages) : fd_(open(kPool, O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0 || flock(fd_, LOCK_EX) != 0) return;
    before_ = Number();
    enough_ = Set(before_ + pages) && Number() >= before_ + pages;
  }
  ~MorePages() {
    if (fd_ < 0) return;
    if (before_ >= 0) (void)Set(before_);
    close(fd_);
  }
  MorePages(const MorePages&) = delete;
  MorePages& operator=(const MorePages&) = delete;
  bool enough() const { return enough_; }

 private:
  int Number() {
    char text[32] = {};
    return pread(fd_, text, sizeof text - 1, 0) > 0 ? atoi(text) : -1;
  }
  bool Set(int pages) {
    const std::string text = std::to_string(pages);
    return pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  }
  int fd_;
  int before_ = -1;
  bool enough_ = false;
};

constexpr int kCannotMount = 77;

// Runs body in a process of its own in which type is mounted on the folder, and nowhere else.
int WithMount(const Folder& folder, const char* type, const char* options,
              const std::function<void()>& body) {
  ChildProcess child([&](ChildProcess::Parent&) {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("ombus-test", folder.path().c_str(), type, 0, options) != 0) {
      return kCannotMount;
    }
    body();
    return testing::Test::HasFailure() ? 1 : 0;
  });
  return child.Wait();
}

std::unique_ptr<Producer> MakeProducer(const Folder& folder, ProducerOptions options) {
  options.name = folder.stream();
  auto made = Producer::Create(options);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return made.ok() ? std::move(*made) : nullptr;
}

std::unique_ptr<Consumer> MakeConsumer(const Folder& folder, MemoryOptions memory) {
  auto made = Consumer::Open({.name = folder.stream(), .memory = memory});
  EXPECT_TRUE(made.ok()) << made.status().message();
  return made.ok() ? std::move(*made) : nullptr;
}

// A whole lap and some, each record read when it was published.
void ExpectRecordsPass(Producer* producer, Consumer* consumer, uint64_t records) {
  for (uint64_t i = 0; i < records; ++i) {
    ASSERT_EQ(producer->Publish({.wal_seq = i, .payload = &i, .size = sizeof i}),
              PublishResult::kOk);
    Record record;
    ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
    ASSERT_EQ(record.wal_seq, i);
    consumer->Release();
  }
}

void ExpectAWakeUpThroughTheDescriptor(Producer* producer, Consumer* consumer) {
  const Result<int> fd = consumer->WakeDescriptor();
  ASSERT_TRUE(fd.ok()) << fd.status().message();
  ASSERT_TRUE(consumer->ArmWake());
  ASSERT_EQ(producer->TryPublish({.wal_seq = 1 << 20}), PublishResult::kOk);
  struct pollfd wait = {.fd = *fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 60'000), 1);
  consumer->DisarmWake();
}

TEST(RingPath, IsAStreamInAFolderOfMemory) {
  Folder folder;
  auto producer = MakeProducer(folder, {.capacity = 64});
  auto consumer = MakeConsumer(folder, {});
  ASSERT_TRUE(producer != nullptr && consumer != nullptr);
  ExpectRecordsPass(producer.get(), consumer.get(), 100);
  ExpectAWakeUpThroughTheDescriptor(producer.get(), consumer.get());
  EXPECT_EQ(ReadRingSnapshot(folder.stream())->head, 101u);
  EXPECT_EQ(access(folder.stream().c_str(), F_OK), 0);
  producer = nullptr;
  EXPECT_NE(access(folder.stream().c_str(), F_OK), 0);
}

TEST(RingPath, WhereNoMemoryIsIsRefusedAndNothingCreated) {
  const auto refused = Producer::Create({.name = "/proc/self/stream"});
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("not on a file system in memory"));
  const auto nowhere = Producer::Create({.name = "/dev/shm/ombus-no-such-folder/stream"});
  EXPECT_EQ(nowhere.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(nowhere.status().message(), HasSubstr("mount a hugetlbfs or a tmpfs there"));
  EXPECT_EQ(Consumer::Open({.name = "/proc/self/status"}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Consumer::Open({.name = "/dev/shm/ombus-no-such-folder/stream"}).status().code(),
            StatusCode::kNotFound);
}

TEST(RingPath, ThatIsALinkOrAPipeIsRefused) {
  Folder folder;
  ASSERT_EQ(symlink("/dev/shm/elsewhere", folder.stream().c_str()), 0);
  EXPECT_FALSE(Producer::Create({.name = folder.stream()}).ok());
  EXPECT_FALSE(Consumer::Open({.name = folder.stream()}).ok());
  ASSERT_EQ(unlink(folder.stream().c_str()), 0);
  ASSERT_EQ(mkfifo(folder.stream().c_str(), 0600), 0);
  EXPECT_EQ(Consumer::Open({.name = folder.stream()}).status().code(), StatusCode::kCorrupt);
}

// huge=always: such pages from the start, without a call; the request reads that back.
TEST(RingPath, OnATmpfsWithHugePagesHasThemOrSaysWhyNot) {
  for (const char* options : {"huge=always,size=64m", "huge=advise,size=64m"}) {
    Folder folder;
    const int code = WithMount(folder, "tmpfs", options, [&] {
      auto producer = MakeProducer(folder, {.capacity = 16384, .memory = {.huge_pages = true}});
      auto consumer = MakeConsumer(folder, {.huge_pages = true});
      ASSERT_TRUE(producer != nullptr && consumer != nullptr);
      for (const MemoryReport& report : {producer->memory(), consumer->memory()}) {
        if (report.huge_bytes == 2 * kHugePageBytes) {
          EXPECT_THAT(report.warnings, IsEmpty());
        } else {
          EXPECT_THAT(report.warnings, testing::ElementsAre(HasSubstr("huge pages: ")));
        }
      }
      ExpectRecordsPass(producer.get(), consumer.get(), 20'000);
    });
    if (code == kCannotMount) GTEST_SKIP() << "a tmpfs with " << options << " cannot be mounted";
    EXPECT_EQ(code, 0) << options;
  }
}

TEST(RingPath, OnAFullTmpfsNamesTheMount) {
  Folder folder;
  const int code = WithMount(folder, "tmpfs", "size=1m", [&] {
    const auto full = Producer::Create({.name = folder.stream(), .capacity = 16384});
    EXPECT_EQ(full.status().code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(full.status().message(), HasSubstr("remount,size=… " + folder.path() + ")"));
  });
  if (code == kCannotMount) GTEST_SKIP() << "a tmpfs cannot be mounted";
  EXPECT_EQ(code, 0);
}

// The first files of two file systems have the same inode number, since Linux 5.9.
TEST(RingPath, OwningAStreamOnOneFileSystemIsNotOwningOneOnAnother) {
  Folder ours, theirs;
  const int code = WithMount(ours, "tmpfs", "size=8m", [&] {
    ASSERT_EQ(mount("ombus-test", theirs.path().c_str(), "tmpfs", 0, "size=8m"), 0);
    ChildProcess other([&](ChildProcess::Parent& parent) {
      auto producer = MakeProducer(theirs, {});
      parent.Tell();
      parent.Await();
      return producer->TryPublish({.wal_seq = 1}) == PublishResult::kOk ? 0 : 1;
    });
    ASSERT_TRUE(other.Await());
    auto producer = MakeProducer(ours, {});
    const auto refused = Producer::Create({.name = theirs.stream()});
    EXPECT_EQ(refused.status().code(), StatusCode::kAlreadyExists);
    other.Tell();
    EXPECT_EQ(other.Wait(), 0);
  });
  if (code == kCannotMount) GTEST_SKIP() << "a tmpfs cannot be mounted";
  EXPECT_EQ(code, 0);
}

TEST(RingPath, OnAHugetlbfsHasReservedPagesAllOfThemThatStayInMemory) {
  MorePages pool(3);
  if (!pool.enough()) GTEST_SKIP() << kPool << " cannot be raised by 3: not root, or fragmented";
  Folder folder;
  const int code = WithMount(folder, "hugetlbfs", "pagesize=2M", [&] {
    ProducerOptions options = kThreePages;
    options.memory = {.huge_pages = true, .lock = true};
    options.unlink_on_close = false;
    auto producer = MakeProducer(folder, options);
    auto consumer = MakeConsumer(folder, {});
    ASSERT_TRUE(producer != nullptr && consumer != nullptr);
    for (const MemoryReport& report : {producer->memory(), consumer->memory()}) {
      EXPECT_THAT(report.warnings, IsEmpty());
      EXPECT_EQ(report.mapped_bytes, 3 * kHugePageBytes);
      EXPECT_EQ(report.huge_bytes, 3 * kHugePageBytes);
      EXPECT_EQ(report.locked_bytes, 3 * kHugePageBytes);
    }
    ExpectRecordsPass(producer.get(), consumer.get(), 20'000);
    ExpectAWakeUpThroughTheDescriptor(producer.get(), consumer.get());
    EXPECT_EQ(ReadRingSnapshot(folder.stream())->head, 20'001u);
    producer = nullptr;
    producer = MakeProducer(folder, options);  // taken over in place
    ASSERT_NE(producer, nullptr);
    EXPECT_EQ(producer->head(), 20'001u);
    Record record;
    EXPECT_EQ(consumer->Poll(&record), PollResult::kGap);  // the one that woke us
    EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
    ASSERT_EQ(unlink(folder.stream().c_str()), 0);
  });
  if (code == kCannotMount) GTEST_SKIP() << "a hugetlbfs cannot be mounted";
  EXPECT_EQ(code, 0);
}

TEST(RingPath, OnAHugetlbfsWithoutEnoughPagesIsAnErrorThatCountsThem) {
  MorePages pool(2);
  if (!pool.enough()) GTEST_SKIP() << kPool << " cannot be raised by 2: not root, or fragmented";
  Folder folder;
  const int code = WithMount(folder, "hugetlbfs", "pagesize=2M,size=4M", [&] {
    ProducerOptions options = kThreePages;
    options.name = folder.stream();
    const auto refused = Producer::Create(options);
    EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(refused.status().message(), HasSubstr("ENOSPC; needs 3 huge pages of 2048 KiB, "));
    EXPECT_THAT(refused.status().message(), HasSubstr("nr_hugepages"));
    EXPECT_NE(access(folder.stream().c_str(), F_OK), 0) << "the file must not stay";
    options.capacity = 8192;  // what was taken for the first attempt has been given back
    EXPECT_TRUE(Producer::Create(options).ok());
    options.capacity = 64;  // most of its one page is not needed
    options.memory.huge_pages = true;
    const auto small = Producer::Create(options);
    ASSERT_TRUE(small.ok());
    EXPECT_THAT((*small)->memory().warnings, IsEmpty());
    EXPECT_EQ((*small)->memory().huge_bytes, kHugePageBytes);
  });
  if (code == kCannotMount) GTEST_SKIP() << "a hugetlbfs cannot be mounted";
  EXPECT_EQ(code, 0);
}

// Whether the pool may grow by itself, from which a test would take all memory of the host.
bool PoolGrows() {
  FILE* file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "re");
  if (file == nullptr) return true;
  int pages = -1;
  const bool known = fscanf(file, "%d", &pages) == 1;
  fclose(file);
  return !known || pages != 0;
}

// A file that ends within a huge page: its last part cannot be touched and must not be mapped.
TEST(RingPath, OnAHugetlbfsWithATruncatedFileIsCorrupt) {
  MorePages pool(3);
  if (!pool.enough()) GTEST_SKIP() << kPool << " cannot be raised by 3: not root, or fragmented";
  Folder folder;
  const int code = WithMount(folder, "hugetlbfs", "pagesize=2M", [&] {
    auto producer = MakeProducer(folder, kThreePages);
    ASSERT_NE(producer, nullptr);
    ASSERT_EQ(truncate(folder.stream().c_str(), 2 * kHugePageBytes), 0);
    const auto refused = Consumer::Open({.name = folder.stream()});
    EXPECT_EQ(refused.status().code(), StatusCode::kCorrupt);
    EXPECT_THAT(refused.status().message(), HasSubstr("truncated to 4194304"));
  });
  if (code == kCannotMount) GTEST_SKIP() << "a hugetlbfs cannot be mounted";
  EXPECT_EQ(code, 0);
}

// Many a program's file begins with zeros, and a creator that was killed leaves zeros.
TEST(RingPath, OnAHugetlbfsAFileOfSomebodyElseIsLeftAloneAndAHalfCreatedOneIsNot) {
  MorePages pool(2);
  if (!pool.enough()) GTEST_SKIP() << kPool << " cannot be raised by 2: not root, or fragmented";
  Folder folder;
  const int code = WithMount(folder, "hugetlbfs", "pagesize=2M", [&] {
    const int fd = open(folder.stream().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_EQ(posix_fallocate(fd, 0, kHugePageBytes), 0);
    const ProducerOptions options = {.name = folder.stream(), .capacity = 64};
    EXPECT_EQ(Producer::Create(options).status().code(), StatusCode::kAlreadyExists);
    EXPECT_EQ(Consumer::Open({.name = folder.stream()}).status().code(), StatusCode::kCorrupt);
    EXPECT_EQ(access(folder.stream().c_str(), F_OK), 0);
    ASSERT_EQ(fchmod(fd, 0600 | S_ISVTX), 0);
    close(fd);
    EXPECT_EQ(Consumer::Open({.name = folder.stream()}).status().code(), StatusCode::kUnavailable);
    EXPECT_TRUE(Producer::Create(options).ok());
  });
  if (code == kCannotMount) GTEST_SKIP() << "a hugetlbfs cannot be mounted";
  EXPECT_EQ(code, 0);
}

TEST(RingPath, OnAHugetlbfsThatIsUsedUpIsAnErrorThatSaysSo) {
  if (PoolGrows()) GTEST_SKIP() << "nr_overcommit_hugepages is not 0, or cannot be read";
  MorePages pool(1);
  if (!pool.enough()) GTEST_SKIP() << kPool << " cannot be raised by 1: not root, or fragmented";
  Folder folder;
  const int code = WithMount(folder, "hugetlbfs", "pagesize=2M", [&] {
    // As large as all memory there is: whatever else the pool holds, it is not that much.
    const auto refused =
        Producer::Create({.name = folder.stream(), .capacity = 1 << 30, .slot_size = 65536});
    EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted)
        << refused.status().message();
    EXPECT_THAT(refused.status().message(), HasSubstr("of the pool are free"));
    EXPECT_TRUE(Producer::Create({.name = folder.stream(), .capacity = 64}).ok());
  });
  if (code == kCannotMount) GTEST_SKIP() << "a hugetlbfs cannot be mounted";
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace ombus

// Whatever a sleeper waits for wakes it. Consumer::Wait looks by itself every few milliseconds, so
// that it comes back from a wake-up that never came, too: here the sleeps have no end of their own.
#include "ring/wake.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "tests/ring/child_process.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

constexpr int kPatienceMs = 60'000;

// Something that happens to a stream, in a process that is not the sleeper's.
struct Event {
  const char* name;
  std::function<void(const std::string& stream, ChildProcess::Parent& parent)> happen;
};

// Where the producer lives in the same process as its successor, as in a program that begins anew.
void PrintTo(const Event& event, std::ostream* out) { *out << event.name; }

std::unique_ptr<Producer> MakeOrDie(const std::string& stream) {
  auto made = Producer::Create({.name = stream, .unlink_on_close = false});
  if (!made.ok()) abort();
  return std::move(*made);
}

const Event kEvents[] = {
    {"ARecord",
     [](const std::string& stream, ChildProcess::Parent& parent) {
       auto producer = MakeOrDie(stream);
       parent.Tell(), parent.Await();
       (void)producer->TryPublish({.wal_seq = 1});
       parent.Await();
     }},
    {"ABatch",
     [](const std::string& stream, ChildProcess::Parent& parent) {
       auto producer = MakeOrDie(stream);
       parent.Tell(), parent.Await();
       const Record records[2] = {{.wal_seq = 1}, {.wal_seq = 2}};
       (void)producer->TryPublishBatch(records, nullptr);
       parent.Await();
     }},
    {"ACommit",
     [](const std::string& stream, ChildProcess::Parent& parent) {
       auto producer = MakeOrDie(stream);
       parent.Tell(), parent.Await();
       if (producer->TryReserve() == nullptr) abort();
       (void)producer->Commit(1, 0, 0);
       parent.Await();
     }},
    // As some sandboxes have it: waking writes to the object, and a write beyond the limit kills.
    {"ARecordOfWhoMayWriteNoFiles",
     [](const std::string& stream, ChildProcess::Parent& parent) {
       auto producer = MakeOrDie(stream);
       const struct rlimit none = {};
       if (setrlimit(RLIMIT_FSIZE, &none) != 0) abort();
       parent.Tell(), parent.Await();
       if (producer->TryPublish({.wal_seq = 1}) != PublishResult::kOk) abort();
       parent.Await();
     }},
    {"TheEnd",
     [](const std::string& stream, ChildProcess::Parent& parent) {
       auto producer = MakeOrDie(stream);
       parent.Tell(), parent.Await();
       producer->Close();
       parent.Await();
     }},
    {"ATakeover",
     [](const std::string& stream, ChildProcess::Parent& parent) {
       ChildProcess first([&](ChildProcess::Parent& us) {
         auto producer = MakeOrDie(stream);
         us.Tell(), us.Await();
         return 0;
       });
       if (!first.Await()) abort();
       parent.Tell(), parent.Await();
       first.Kill();
       auto successor = MakeOrDie(stream);
       parent.Await();
     }},
    {"AnotherObject",
     [](const std::string& stream, ChildProcess::Parent& parent) {
       auto producer = MakeOrDie(stream);
       parent.Tell(), parent.Await();
       auto other = MakeOrDie(stream);  // of the same process: the name goes to a new object
       parent.Await();
     }},
};

class Wake : public RingFixture, public testing::WithParamInterface<Event> {};

std::string NameOf(const testing::TestParamInfo<Event>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Of, Wake, testing::ValuesIn(kEvents), NameOf);

// Whether a thread of this process is in a system call that waits.
bool Sleeps(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  return name_end != std::string::npos && line.substr(name_end + 2, 1) == "S";
}

TEST_P(Wake, EndsASleepOnTheFutex) {
  ChildProcess producer([&](ChildProcess::Parent& parent) {
    GetParam().happen(name_.str(), parent);
    return 0;
  });
  ASSERT_TRUE(producer.Await());
  RawObject object(name_.str());
  RingHeader& header = object.header();
  std::atomic<pid_t> thread{0};
  int error = 0;
  std::thread sleeper([&] {
    const uint32_t seen = header.wake_word.load(std::memory_order_relaxed);
    AnnounceSleeper(header, kWaiterFutex, WakeBarrierWorks());
    thread.store(gettid());
    const struct timespec patience = {.tv_sec = kPatienceMs / 1000, .tv_nsec = 0};
    if (syscall(SYS_futex, &header.wake_word, FUTEX_WAIT, seen, &patience, nullptr, 0) != 0)
      error = errno;
  });
  while (thread.load() == 0 || !Sleeps(thread.load())) sched_yield();
  producer.Tell();
  sleeper.join();
  EXPECT_EQ(error, 0) << "ETIMEDOUT is " << ETIMEDOUT;
  EXPECT_EQ(header.waiters.load(std::memory_order_relaxed) & ~kReplacer, 0u)
      << "or the next publish wakes, too";
  producer.Tell();
  EXPECT_EQ(producer.Wait(), 0);
}

TEST_P(Wake, EndsASleepOnTheDescriptor) {
  ChildProcess producer([&](ChildProcess::Parent& parent) {
    GetParam().happen(name_.str(), parent);
    return 0;
  });
  ASSERT_TRUE(producer.Await());
  auto consumer = MakeConsumer();
  ASSERT_NE(consumer, nullptr);
  const Result<int> fd = consumer->WakeDescriptor();
  ASSERT_TRUE(fd.ok()) << fd.status().message();
  ASSERT_TRUE(consumer->ArmWake());
  producer.Tell();
  struct pollfd wait = {.fd = *fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, kPatienceMs), 1);
  consumer->DisarmWake();
  Record record;
  EXPECT_NE(consumer->Poll(&record), PollResult::kEmpty);
  producer.Tell();
  EXPECT_EQ(producer.Wait(), 0);
}

// Between a sleeper's last look and its sleep: the kernel compares the word that it has seen.
TEST_F(RingFixture, AWakeUpBeforeTheSleepHasCountedTheWord) {
  auto producer = MakeProducer();
  RawObject object(name_.str());
  const uint32_t seen = object.header().wake_word.load(std::memory_order_relaxed);
  AnnounceSleeper(object.header(), kWaiterFutex, WakeBarrierWorks());
  ASSERT_EQ(producer->TryPublish({.wal_seq = 1}), PublishResult::kOk);
  EXPECT_NE(object.header().wake_word.load(std::memory_order_relaxed), seen);
}

}  // namespace
}  // namespace ombus

// A stream whose object another process keeps writing to, anywhere and at any moment, while this
// one attaches, polls, sleeps, takes over, publishes and looks at it. No call may crash, reach
// outside the object or fail to come back.
//
//   ring_scribble consumer|producer|stat|sleeper|all [--calls N | --seconds N]
//
// Every role makes N calls, 20,000 unless given, with at least one foreign write for each.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>
#include <string>
#include <string_view>

#include "ring/base/random.h"
#include "tests/fuzz/ring_user.h"

namespace ombus {
namespace {

constexpr unsigned kCallSecondsMax = 60;  // many orders of magnitude more than any call takes
constexpr uint64_t kWritesPerMapping = 2000;
constexpr size_t kGeometryBytes = 48;

// The process that writes.
class Scribbler {
 public:
  Scribbler(std::string name, uint64_t seed, std::atomic<uint64_t>* writes)
      : name_(std::move(name)), random_(seed), writes_(writes) {}

  [[noreturn]] void Run() {
    for (;;) {
      const int fd = shm_open(name_.c_str(), O_RDWR, 0);
      struct stat info = {};
      const bool usable = fd >= 0 && fstat(fd, &info) == 0 && info.st_size >= kHeaderPageBytes;
      void* memory = MAP_FAILED;
      const auto bytes = static_cast<size_t>(info.st_size);
      if (usable) memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (memory != MAP_FAILED) {
        Scribble(static_cast<std::byte*>(memory), bytes);
        munmap(memory, bytes);
      }
      if (fd >= 0) close(fd);
      writes_->fetch_add(1, std::memory_order_relaxed);  // also where there is nothing to write to
    }
  }

 private:
  void Scribble(std::byte* memory, size_t bytes) {
    std::byte geometry[kGeometryBytes];
    std::memcpy(geometry, memory, sizeof geometry);
    for (uint64_t i = 0; i < kWritesPerMapping; ++i) {
      auto* word = reinterpret_cast<std::atomic<uint64_t>*>(memory + Place(bytes));
      word->store(Value(*word, memory), std::memory_order_relaxed);
      writes_->fetch_add(1, std::memory_order_relaxed);
      // Put right again soon, or nobody would get past the check of it.
      if (i % 64 == 0) std::memcpy(memory, geometry, sizeof geometry);
    }
    std::memcpy(memory, geometry, sizeof geometry);
  }
  size_t Place(size_t bytes) {
    constexpr size_t kHot[] = {128, 136, 144, 152, 256, 384, 512, 640};
    const uint64_t kind = random_.Below(16);
    if (kind == 0) return random_.Below(kGeometryBytes) / 8 * 8;
    if (kind < 5) return kHot[random_.Below(std::size(kHot))];
    if (kind < 8) return kHeaderPageBytes + random_.Below(16) * 8;  // the first two lines
    return random_.Below(bytes / 8) * 8;
  }
  uint64_t Value(const std::atomic<uint64_t>& word, const std::byte* memory) {
    const auto* header = reinterpret_cast<const RingHeader*>(memory);
    const uint64_t random = random_.Next();
    switch (random % 5) {
      case 0:
        return random_.Next();
      case 1:
        return random >> 8 & 63;
      case 2:
        return word.load(std::memory_order_relaxed) ^ uint64_t { 1 } << (random >> 8 & 63);
      case 3:
        return word.load(std::memory_order_relaxed) + (random >> 8 & 3) - 1;
      default:
        return header->head.load(std::memory_order_relaxed) + (random >> 8 & 15);
    }
  }

  std::string name_;
  Random random_;
  std::atomic<uint64_t>* writes_;
};

class Victim {
 public:
  Victim(std::string_view role, uint64_t seed)
      : role_(role),
        name_("/ombus-scribble-" + std::to_string(getpid())),
        random_(seed),
        user_(name_, {.capacity = 32,
                      .slot_size = 128,
                      .max_consumers = 64,  // so that the object ends with a page
                      .crc32c = seed % 2 == 0,
                      .staleness_ns = 1}) {
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    FUZZ_CHECK(page != MAP_FAILED);
    writes_ = new (page) std::atomic<uint64_t>(0);
    shm_unlink(name_.c_str());
    child_ = fork();  // before there is a handle that it would have a copy of
    FUZZ_CHECK(child_ >= 0);
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Scribbler(name_, seed, writes_).Run();
    }
    FUZZ_CHECK(user_.TakeOver());
  }
  ~Victim() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    user_.Detach();
    user_.StopProducing();
    shm_unlink(name_.c_str());
    munmap(writes_, 4096);
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  // One call, not before the other process has written once more.
  void Call() {
    ++calls_;
    while (writes_->load(std::memory_order_relaxed) < calls_) {
      FUZZ_CHECK(waitpid(child_, nullptr, WNOHANG) == 0);
      sched_yield();
    }
    if (role_ == "stat") {
      user_.Look() ? (void)++attached_ : TakeOver();
    } else if (role_ == "producer") {
      Produce(random_.Next());
    } else {
      Consume(random_.Next());
    }
  }
  void Report() const {
    std::printf("%.*s: %llu calls, %llu foreign writes, %llu attached, %llu taken over, sum %llx\n",
                static_cast<int>(role_.size()), role_.data(), ToPrint(calls_),
                ToPrint(writes_->load(std::memory_order_relaxed)), ToPrint(attached_),
                ToPrint(taken_over_), ToPrint(user_.sum()));
    std::fflush(stdout);
  }
  // Nothing is shown by calls that all fail.
  bool Worked() const { return (role_ == "producer" ? taken_over_ : attached_) > 1; }

 private:
  static unsigned long long ToPrint(uint64_t value) { return value; }

  void TakeOver() {
    if (user_.TakeOver()) {
      ++taken_over_;
      return;
    }
    shm_unlink(name_.c_str());  // what is there now is nobody's
  }

  void Produce(uint64_t random) {
    if (!user_.producing() || random % 64 == 0) return TakeOver();
    const size_t size = random >> 16 & 127;
    switch (random >> 8 & 7) {
      case 0:
        return user_.AskProducer();
      case 1:
        return user_.Commit(size);
      case 2:
        return user_.PublishBatch(random >> 32 & 7, size);
      case 3:
        return user_.Publish(size, 2000);
      default:
        return user_.Publish(size, 0);
    }
  }

  void Consume(uint64_t random) {
    if (random % 4 == 0) return Produce(random >> 2);  // for there to be records
    if (!user_.attached() || random % 128 == 1) {
      const bool attached = user_.Attach(
          {.start = (random & 256) != 0 ? ConsumerStart::kLive : ConsumerStart::kEpochStart});
      attached_ += attached ? 1 : 0;
      if (!attached) TakeOver();
      return;
    }
    if (role_ == "sleeper" && (random >> 8 & 3) == 0) {
      (random & 1 << 10) != 0 ? user_.Wait(20'000) : user_.Arm();
      return;
    }
    switch (random >> 16 & 7) {
      case 0:
        return user_.Ask();
      case 1:
        return user_.PollBatch(1 + (random >> 24 & 7));
      case 2:
        return user_.Drain(1 + (random >> 24 & 15));
      default:
        // Replaced, by what the object says: it will not say anything else.
        if (user_.Poll() == PollResult::kClosed) user_.Detach();
    }
  }

  std::string_view role_;
  std::string name_;
  Random random_;
  uint64_t calls_ = 0, attached_ = 0, taken_over_ = 0;
  std::atomic<uint64_t>* writes_;
  RingUser user_;
  pid_t child_ = 0;
};

void OnAlarm(int) {
  constexpr char kText[] = "ring_scribble: a call did not come back within a minute\n";
  (void)!write(2, kText, sizeof kText - 1);
  std::abort();
}

bool RunRole(std::string_view role, uint64_t calls, uint64_t seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  const auto more = [&](uint64_t made) {
    return seconds != 0 ? std::chrono::steady_clock::now() < end : made < calls;
  };
  bool worked = true;
  uint64_t made = 0;
  for (uint64_t seed = 1; more(made); ++seed) {  // sealed and not
    Victim victim(role, seed);
    const uint64_t share = seconds != 0 ? 100'000 : (calls + 1) / 2;
    for (uint64_t i = 0; i < share && (i % 1024 != 0 || more(made)); ++i, ++made) {
      if (i % 1024 == 0) alarm(kCallSecondsMax);
      victim.Call();
    }
    victim.Report();
    worked = worked && victim.Worked();
  }
  return worked;
}

int Main(int argc, char** argv) {
  constexpr std::string_view kRoles[] = {"consumer", "producer", "stat", "sleeper"};
  uint64_t calls = 20'000, seconds = 0;
  std::string_view wanted;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if ((arg == "--calls" || arg == "--seconds") && i + 1 < argc) {
      (arg == "--calls" ? calls : seconds) = std::strtoull(argv[++i], nullptr, 10);
    } else {
      wanted = arg;
    }
  }
  signal(SIGALRM, OnAlarm);
  bool known = false, worked = true;
  for (const std::string_view role : kRoles) {
    if (wanted != "all" && wanted != role) continue;
    known = true;
    worked = RunRole(role, calls, seconds) && worked;
  }
  if (known && worked) return 0;
  std::fprintf(stderr, known ? "ring_scribble: hardly a call got past the first check\n"
                             : "usage: ring_scribble consumer|producer|stat|sleeper|all "
                               "[--calls N | --seconds N]\n");
  return known ? 1 : 2;
}

}  // namespace
}  // namespace ombus

int main(int argc, char** argv) { return ombus::Main(argc, argv); }

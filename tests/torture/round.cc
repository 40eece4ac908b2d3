#include "tests/torture/round.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "ombus/producer.h"
#include "ring/clock.h"
#include "tests/ring/raw_object.h"
#include "tests/torture/roles.h"

namespace ombus::torture {
namespace {

// Nothing happening for so long is a hang; on a loaded host a process may well not run for seconds.
constexpr uint64_t kPatienceNs = 120'000'000'000;
constexpr uint64_t kLookNsMax = 50'000'000;
constexpr uint64_t kLapsBeforeWrap = 4;

void SleepNs(uint64_t ns) {
  const struct timespec duration = {.tv_sec = 0, .tv_nsec = static_cast<long>(ns)};
  nanosleep(&duration, nullptr);
}

Board* NewBoard() {
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  return new (memory) Board;
}

template <typename F>
pid_t Spawn(F&& body) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) abort();
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  _exit(getppid() == parent ? body() : 1);
}

}  // namespace

Round::Round(const Plan& plan, uint64_t records, uint64_t time_ns, uint64_t seed, bool near_wrap)
    : plan_(plan),
      time_ns_(time_ns),
      near_wrap_(near_wrap),
      random_(seed),
      name_("/ombus-torture-" + std::to_string(getpid())),
      board_(NewBoard()),
      readers_(2 + static_cast<int>(random_.Below(2))) {
  board_->seed = seed;
  board_->records = records;
  for (int i = 0; i < readers_; ++i) {
    readings_[static_cast<size_t>(i)] = static_cast<Reading>(random_.Below(kReadings));
  }
  // One at least that stays from the beginning to the end.
  if (readings_[0] == Reading::kChurn) readings_[0] = Reading::kPoll;
  board_->readers_wanted = static_cast<uint32_t>(readers_);
  if (near_wrap_) StartNearWrap();
}

Round::~Round() {
  KillAll();
  shm_unlink(name_.c_str());
  munmap(board_, sizeof(Board));
}

// An object whose producer has ended, at a position that takes years to reach by publishing.
void Round::StartNearWrap() {
  auto made = Producer::Create({.name = name_,
                                .capacity = plan_.capacity,
                                .slot_size = plan_.slot_size,
                                .max_consumers = kReadersMax + 2,
                                .crc32c = plan_.crc32c,
                                .unlink_on_close = false});
  if (!made.ok()) abort();
  *made = nullptr;
  const uint64_t start = 0 - kLapsBeforeWrap * plan_.capacity;
  RawObject object(name_);
  if (object.memory() == nullptr) abort();
  object.header().head.store(start);
  object.header().epoch_position.store(start);
  board_->origin.store(start);
}

void Round::SpawnProducer() {
  producer_ = {.done_at_start = board_->published.load(),
               .pid = Spawn([this] { return Produce(name_, plan_, board_); })};
}

void Round::SpawnReader(int index) {
  const auto at = static_cast<size_t>(index);
  const uint64_t seed = random_.Next();
  children_[at] = {.done_at_start = board_->readers[index].records.load(),
                   .pid = Spawn([this, index, at, seed] {
                     return Read(name_, plan_, board_, index, readings_[at], seed);
                   })};
}

bool Round::Run(Sums* sums) {
  SpawnProducer();
  // A stream that begins near the wrap is there already, and its end is not ours.
  while (near_wrap_ && board_->epoch.load() == 0 && fault() == Fault::kNone) SleepNs(100'000);
  for (int i = 0; i < readers_; ++i) SpawnReader(i);
  const uint64_t start_ns = NowNs();
  while (Running() && fault() == Fault::kNone && Progresses()) {
    SleepNs(100'000 + random_.Below(1'000'000));
    Reap(&producer_, -1);
    for (int i = 0; i < readers_; ++i) Reap(&children_[static_cast<size_t>(i)], i);
    if (time_ns_ != 0 && NowNs() - start_ns >= time_ns_) board_->stop.store(true);
    if (board_->running.load() && !board_->done.load()) Harass();
  }
  KillAll();
  AddTo(sums);
  return fault() == Fault::kNone;
}

void Round::Reap(Child* child, int index) {
  int status = 0;
  if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) != child->pid) return;
  child->pid = 0;
  const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!well && !child->killed) {
    (void)board_->Report(
        Fault::kOther, "process %d of the readers (-1: the producer) ended with %d", index, status);
    return;
  }
  if (index < 0) {
    over_ = well;
    if (!over_) SpawnProducer();
  } else if (!well && !over_) {
    board_->readers[index].attached_epoch.store(0);
    SpawnReader(index);
  }
}

void Round::Harass() {
  const uint64_t index = random_.Below(static_cast<uint64_t>(readers_));
  Child& reader = children_[index];
  const uint64_t choice = random_.Below(8);
  if (plan_.stalls && choice < 3) Stall(reader);
  if (plan_.stalls && choice == 3) Stall(producer_);
  if (plan_.kills_readers && choice == 4) Kill(&reader, board_->readers[index].records.load());
  if (plan_.kills_producer && choice >= 6) Kill(&producer_, board_->published.load());
}

// Long enough to be evicted for where that is done.
void Round::Stall(const Child& child) {
  if (child.pid == 0) return;
  kill(child.pid, SIGSTOP);
  SleepNs(plan_.staleness_ns / 2 + random_.Below(2'000'000 + 2 * plan_.staleness_ns));
  kill(child.pid, SIGCONT);
  ++stalls_;
}

// Only who has done something since it was started: else a busy host would see nothing but starts.
void Round::Kill(Child* child, uint64_t done) {
  if (child->pid == 0 || child->killed || done == child->done_at_start) return;
  child->killed = true;
  kill(child->pid, SIGKILL);
  ++kills_;
}

bool Round::Running() const {
  if (!over_ || producer_.pid != 0) return true;
  for (const Child& child : children_) {
    if (child.pid != 0) return true;
  }
  return false;
}

bool Round::Progresses() {
  uint64_t now = board_->published.load() + kills_ + board_->takeovers.load();
  for (const ReaderBoard& reader : board_->readers) now += reader.records.load();
  const uint64_t now_ns = NowNs();
  // All of us may have been stopped meanwhile, or the host: that is no hang of the ring's.
  if (looked_ns_ != 0) waited_ns_ += std::min(now_ns - looked_ns_, kLookNsMax);
  looked_ns_ = now_ns;
  if (now != seen_) waited_ns_ = 0;
  seen_ = now;
  hung_ = waited_ns_ > kPatienceNs;
  if (hung_) {
    (void)board_->Report(Fault::kOther, "nothing happened for %llu s, at record %llu",
                         static_cast<unsigned long long>(kPatienceNs / 1'000'000'000),
                         static_cast<unsigned long long>(board_->published.load()));
  }
  return !hung_;
}

void Round::KillAll() {
  for (Child* child = &producer_; child != nullptr;) {
    if (child->pid != 0) {
      kill(child->pid, SIGKILL);
      waitpid(child->pid, nullptr, 0);
      child->pid = 0;
    }
    child = child == &producer_            ? children_.data()
            : child + 1 == children_.end() ? nullptr
                                           : child + 1;
  }
}

void Round::AddTo(Sums* sums) const {
  ++sums->rounds;
  sums->wraps += near_wrap_;
  sums->published += board_->published.load();
  sums->takeovers += board_->takeovers.load() - 1;
  sums->replacements += board_->replacements.load();
  sums->kills += kills_;
  sums->stalls += stalls_;
  for (const ReaderBoard& reader : board_->readers) {
    sums->delivered += reader.records.load();
    sums->lost += reader.lost.load();
    sums->evictions += reader.evictions.load();
    sums->joins += reader.joins.load();
    sums->epochs += reader.epochs.load();
    sums->torn_told += reader.torn_told.load();
  }
}

}  // namespace ombus::torture

#include "tests/model/explorer.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/model/execution.h"
#include "tests/model/fibers.h"
#include "tests/model/seen_states.h"

namespace ombus::model {
namespace {

struct Choice {
  int taken, options;
};

std::vector<Choice> path;
size_t depth;  // choices made in this execution
SeenStates seen;
bool failed;
bool no_room;  // for another state
char failure[512];

// How many messages a pending load or exchange may read; the k-th newest with MessageOf.
bool Readable(const Pending& pending, int timestamp) {
  if (pending.kind == Kind::kLoad) return true;
  const bool newest = timestamp == now.memory.Newest(pending.location);
  if (pending.kind == Kind::kExchange) return newest;
  return newest || now.memory.ValueAt(pending.location, timestamp) != pending.expected;
}

int MessageOf(const Pending& pending, int k) {
  for (int at = now.memory.Newest(pending.location);; --at) {
    if (Readable(pending, at) && k-- == 0) return at;
  }
}

int MessagesFor(int thread, const Pending& pending) {
  int count = 0;
  const int oldest = now.memory.OldestReadable(thread, pending.location);
  for (int at = now.memory.Newest(pending.location); at >= oldest; --at) {
    count += Readable(pending, at) ? 1 : 0;
  }
  return count;
}

bool Reads(Kind kind) {
  return kind == Kind::kLoad || kind == Kind::kExchange || kind == Kind::kCompareExchange;
}

// --- Choices -------------------------------------------------------------------------------------

bool Succeeds(int index) { return (now.scenario->successors >> index & 1) != 0; }

bool SomebodyBeforeRuns(int successor) {
  for (int i = 0; i < successor; ++i) {
    if ((i == 0 || Succeeds(i)) && now.threads[i].life == Life::kRuns) return true;
  }
  return false;
}

bool HasSuccessor(int index) {
  return (index == 0 || Succeeds(index)) && now.scenario->successors >> (index + 1) != 0;
}

int OptionsOf(int index) {
  const Thread& thread = now.threads[index];
  if (thread.life != Life::kRuns || Asleep(index)) return 0;
  if (thread.pending.kind == Kind::kBegin && Succeeds(index) && SomebodyBeforeRuns(index)) return 0;
  int options = Reads(thread.pending.kind) ? MessagesFor(index, thread.pending) : 1;
  if (thread.pending.kind != Kind::kLoad && thread.pending.kind != Kind::kBegin && IsMortal(index))
    ++options;
  return options;
}

uint64_t HashState() {
  uint64_t hash = now.memory.Hash();
  for (int i = 0; i < now.scenario->threads; ++i) {
    hash = Mix(hash ^ now.threads[i].history, static_cast<uint64_t>(now.threads[i].life) << 32 |
                                                  static_cast<uint64_t>(now.threads[i].actions));
  }
  for (const Lock& lock : now.locks)
    hash = lock.told.Hash(hash + static_cast<uint64_t>(lock.owner));
  for (int i = 0; i < now.location_count; ++i) {
    if (now.locations[i].role == Role::kControl)
      hash = Mix(hash, static_cast<uint64_t>(now.locations[i].owner));
  }
  return Mix(hash ^ now.next_number, static_cast<uint64_t>(now.asleep) << 16 |
                                         static_cast<uint64_t>(now.excused) << 8 |
                                         static_cast<uint64_t>(now.deaths_left));
}

// The execution ends here: it would go on as another one did.
[[noreturn]] void Abandon() {
  UseHeap(kNoHeap);
  ReturnToMain();
}

int Choose(int options) {
  if (depth < path.size()) return path[depth++].taken;
  const SeenStates::Inserted inserted = seen.Insert(HashState());
  no_room = inserted == SeenStates::Inserted::kNoRoom;
  if (inserted != SeenStates::Inserted::kNew) Abandon();
  if (path.size() == path.capacity()) {
    std::fputs("model: an execution has too many choices\n", stderr);
    std::abort();
  }
  path.push_back({.taken = 0, .options = options});
  ++depth;
  return 0;
}

void Die(int index) {
  now.threads[index].life = Life::kDead;
  --now.deaths_left;
  now.excused |= 1u << index;
  now.memory.ForgetDataReads(index);
  for (Lock& lock : now.locks) {
    if (lock.owner / kOwnersPerThread != index || lock.owner < 0) continue;
    lock.owner = -1;
    lock.told.JoinLocations(now.memory.Known(index));
  }
  if (now.tracing) std::printf("  thread %d dies\n", index);
}

// Returns once it is the caller's turn again; never, if that has ended.
void SwitchTo(int index) {
  const int self = now.current;
  now.current = index;
  UseHeap(index);
  if (now.threads[self].life != Life::kRuns) GoToFiber(index);
  SwitchFiber(self, index);
}

// Chooses who goes on, and with what. Returns to the thread that called when that is its turn.
void Schedule() {
  const int self = now.current;
  for (;;) {
    // All threads first run up to where it matters who goes on.
    for (int i = 0; i < now.scenario->threads; ++i) {
      if (i == self || now.threads[i].pending.kind != Kind::kBegin || Succeeds(i)) continue;
      now.threads[i].pending.kind = Kind::kFence;
      return SwitchTo(i);
    }
    int options[kThreadsMax], all = 0;
    for (int i = 0; i < now.scenario->threads; ++i) all += options[i] = OptionsOf(i);
    if (all == 0) Abandon();  // all are done; wind_up follows if so
    int taken = all == 1 ? 0 : Choose(all);
    int index = self;  // the one that runs comes first
    if (taken >= options[self]) {
      taken -= options[self];
      for (index = 0; index == self || taken >= options[index]; ++index) {
        if (index != self) taken -= options[index];
      }
    }
    Thread& thread = now.threads[index];
    const bool may_die = thread.pending.kind != Kind::kLoad &&
                         thread.pending.kind != Kind::kBegin && IsMortal(index);
    if (may_die && taken == options[index] - 1) {
      Die(index);
      continue;
    }
    thread.option = taken;
    if (index != self) SwitchTo(index);
    return;
  }
}

void RunThread(int index) {
  Learn(1);  // that it has begun: each step must lead to another state
  now.scenario->run(index);
  now.threads[index].life = Life::kDone;
  now.threads[index].history = 0;
  if (HasSuccessor(index)) {
    ++now.deaths_left;  // that one does not count
    Die(index);
  }
  Schedule();
}

}  // namespace

Execution now;

bool IsMortal(int thread) {
  return now.deaths_left > 0 && (now.scenario->mortal >> thread & 1) != 0;
}

int Await(Kind kind, int location, uint64_t expected, bool matters) {
  Thread& thread = now.threads[now.current];
  thread.pending = {.kind = kind, .location = location, .expected = expected};
  if (!matters) return Reads(kind) ? now.memory.Newest(location) : 0;
  Schedule();
  return Reads(kind) ? MessageOf(thread.pending, thread.option) : 0;
}

bool Asleep(int thread) { return (now.asleep >> thread & 1) != 0; }
bool Alive(int thread) { return now.threads[thread].life != Life::kDead; }
uint64_t NextNumber() { return ++now.next_number; }

int ActionNow() { return now.threads[now.current].action; }

void BeginAction(int action) { now.threads[now.current].action = action; }

void EndAction() {
  Thread& thread = now.threads[now.current];
  thread.action = -1;
  thread.history = HashHeap(now.current, static_cast<uint64_t>(++thread.actions));
}

void Fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(failure, sizeof failure, format, arguments);
  va_end(arguments);
  failed = true;
  Abandon();
}

// --- Executions ----------------------------------------------------------------------------------

void AllocateFor(int thread) {
  now.current = thread;
  UseHeap(thread);
}

int NextOwner() { return now.current * kOwnersPerThread + now.threads[now.current].owners++; }

void AddLocation(void* address, size_t bytes, Role role, uint32_t writers, const char* name) {
  if (now.ring_begin == nullptr) now.ring_begin = static_cast<char*>(address);
  const auto offset = static_cast<size_t>(static_cast<char*>(address) - now.ring_begin);
  if (now.location_count == kLocationsMax || offset >= kRingBytesMax) {
    std::fputs("model: the ring is too large\n", stderr);
    std::abort();
  }
  now.location_of[offset / 4] = static_cast<int8_t>(now.location_count);
  now.locations[now.location_count++] = {.address = static_cast<char*>(address),
                                         .bytes = static_cast<uint8_t>(bytes),
                                         .role = role,
                                         .writers = writers,
                                         .name = name};
}

namespace {

constexpr int kStage = kThreadsMax - 1;  // the fiber of set_up and wind_up
enum class Phase : uint8_t { kSetUp, kRun, kWindUp } phase;

void Prepare() {
  UseHeap(kNoHeap);
  EmptyHeaps();
  for (Thread& thread : now.threads) thread = Thread();
  for (Lock& lock : now.locks) lock = Lock();
  std::memset(now.location_of, -1, sizeof now.location_of);
  now.location_count = 0;
  now.ring_begin = nullptr;
  now.excused = now.asleep = 0;
  now.next_number = 0;
  now.deaths_left = 1;
  depth = 0;
}

void Run(Phase which) {
  phase = which;
  now.concurrent = which == Phase::kRun;
  now.current = 0;
  RestartFibers();
  RunFibers(which == Phase::kRun ? 0 : kStage);
  UseHeap(kNoHeap);
}

bool AllEnded() {
  for (int i = 0; i < now.scenario->threads; ++i) {
    if (now.threads[i].life == Life::kRuns && !Asleep(i)) return false;
  }
  return true;
}

void ExecuteOnce() {
  Prepare();
  Run(Phase::kSetUp);
  now.memory.Reset(now.location_count);
  for (int i = 0; i < now.location_count; ++i) {
    now.memory.SetInitial(i, Get(now.locations[i].address, now.locations[i].bytes));
  }
  now.threads[0].pending.kind = Kind::kFence;  // it begins
  if (!failed) Run(Phase::kRun);
  if (!failed && AllEnded()) Run(Phase::kWindUp);
  now.concurrent = false;
}

void FiberBody(int fiber) {
  UseHeap(fiber);
  if (fiber != kStage) return RunThread(fiber);
  if (phase == Phase::kSetUp) now.scenario->set_up();
  if (phase == Phase::kWindUp) now.scenario->wind_up();
  Abandon();
}

// To the next option of the deepest choice that has one.
bool Backtrack() {
  while (!path.empty() && path.back().taken + 1 == path.back().options) path.pop_back();
  if (path.empty()) return false;
  ++path.back().taken;
  return true;
}

}  // namespace

Findings Explore(const Scenario& explored, const Mutant& with) {
  static const bool made = (MakeFibers(FiberBody), path.reserve(1 << 14), true);
  (void)made;
  now.scenario = &explored;
  now.mutant = with;
  failed = no_room = false;
  path.clear();
  seen.Clear();
  ForgetPlaces(now.mutant.change == Change::kNone);
  Findings findings;
  do {
    ExecuteOnce();
    ++findings.executions;
    if (failed || no_room) break;
    findings.complete = !Backtrack();
  } while (!findings.complete);
  findings.failed = failed;
  findings.states = seen.count();
  findings.bytes = seen.bytes();
  if (failed) findings.what = failure;
  if (no_room) {
    findings.what = "not explored to its end: there is no memory for more than " +
                    std::to_string(findings.states) + " states";
  }
  findings.places = NotedPlaces();
  return findings;
}

void TraceLastFailure(const Scenario& explored, const Mutant& with) {
  now.scenario = &explored;
  now.mutant = with;
  failed = false;
  now.tracing = true;
  ExecuteOnce();
  now.tracing = false;
}

}  // namespace ombus::model

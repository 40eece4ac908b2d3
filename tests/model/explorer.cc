#include "tests/model/explorer.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/model/fibers.h"
#include "tests/model/seen_states.h"

namespace ombus::model {
namespace {

enum class Kind : uint8_t { kBegin, kLoad, kStore, kExchange, kCompareExchange, kFence, kLock };

// What a thread will do as soon as it is chosen.
struct Pending {
  Kind kind = Kind::kBegin;
  int location = -1;
  uint64_t expected = 0;
};

enum class Life : uint8_t { kRuns, kDone, kDead };

struct Thread {
  Life life = Life::kRuns;
  Pending pending;
  int option = 0;        // which message, when it goes on
  uint64_t history = 0;  // of all it has learnt in this action
  int action = -1;
  int actions = 0;
  int owners = 0;
};

struct Location {
  char* address;
  uint8_t bytes;
  Role role;
  uint32_t writers;
  const char* name;
  int owner = -1;  // of a line, with kControl: who announced itself there last
};

struct Lock {
  int owner = -1;
  View told;  // to the next owner, by the kernel
};

struct Choice {
  int taken, options;
};

constexpr int kDies = -1;  // an option
constexpr size_t kRingBytesMax = 8192;

const Scenario* scenario;
Mutant mutant;
WeakMemory memory;
Thread threads[kThreadsMax];
Location locations[kLocationsMax];
int location_count;
char* ring_begin;
int8_t location_of[kRingBytesMax / 4];  // by offset; -1: none
Lock locks[kLocksMax];
uint32_t excused;  // threads whose reads of data may be overwritten: evicted, or dead
bool concurrent, tracing;
int current;
int deaths_left;
uint64_t next_number;

std::vector<Choice> path;
size_t depth;  // choices made in this execution
SeenStates seen;
SeenStates noted;  // places
std::vector<Place> places;
bool noting;
bool failed;
char failure[512];

// --- Steps ---------------------------------------------------------------------------------------

int LocationOf(const void* address) {
  const auto offset = static_cast<size_t>(static_cast<const char*>(address) - ring_begin);
  return offset < kRingBytesMax ? location_of[offset / 4] : -1;
}

void NotePlace(Place place) {
  const auto file = reinterpret_cast<uint64_t>(place.file);
  const auto line =
      static_cast<uint64_t>(place.line) << 8 | static_cast<uint64_t>(threads[current].action + 1);
  if (places.size() < places.capacity() && noted.Insert(Mix(file, line))) {
    places.push_back({place.file, place.line, threads[current].action});
  }
}

bool Hits(Place place, Change change) {
  if (noting) NotePlace(place);
  place.action = threads[current].action;
  return mutant.change == change && Reaches(mutant, place);
}

Order OrderAt(Order order, Place place) {
  return Hits(place, Change::kRelaxed) ? Order::kRelaxed : order;
}

void Learn(uint64_t what) { threads[current].history = Mix(threads[current].history, what); }

bool IsMortal(int thread) { return deaths_left > 0 && (scenario->mortal >> thread & 1) != 0; }

bool OthersMayWrite(int location) {
  for (int i = 0; i < scenario->threads; ++i) {
    if (i != current && threads[i].life == Life::kRuns &&
        (locations[location].writers >> i & 1) != 0)
      return true;
  }
  return false;
}

// How many messages a pending load or exchange may read; the k-th newest with MessageOf.
bool Readable(const Pending& pending, int timestamp) {
  if (pending.kind == Kind::kLoad) return true;
  const bool newest = timestamp == memory.Newest(pending.location);
  if (pending.kind == Kind::kExchange) return newest;
  return newest || memory.ValueAt(pending.location, timestamp) != pending.expected;
}

int MessageOf(const Pending& pending, int k) {
  for (int at = memory.Newest(pending.location);; --at) {
    if (Readable(pending, at) && k-- == 0) return at;
  }
}

int MessagesFor(int thread, const Pending& pending) {
  int count = 0;
  const int oldest = memory.OldestReadable(thread, pending.location);
  for (int at = memory.Newest(pending.location); at >= oldest; --at) {
    count += Readable(pending, at) ? 1 : 0;
  }
  return count;
}

bool Reads(Kind kind) {
  return kind == Kind::kLoad || kind == Kind::kExchange || kind == Kind::kCompareExchange;
}

// --- Choices -------------------------------------------------------------------------------------

int OptionsOf(int index) {
  const Thread& thread = threads[index];
  if (thread.life != Life::kRuns) return 0;
  if (thread.pending.kind == Kind::kBegin && index == scenario->successor &&
      threads[0].life == Life::kRuns) {
    return 0;
  }
  int options = Reads(thread.pending.kind) ? MessagesFor(index, thread.pending) : 1;
  if (thread.pending.kind != Kind::kLoad && thread.pending.kind != Kind::kBegin && IsMortal(index))
    ++options;
  return options;
}

uint64_t HashState() {
  uint64_t hash = memory.Hash();
  for (int i = 0; i < scenario->threads; ++i) {
    hash = Mix(hash ^ threads[i].history, static_cast<uint64_t>(threads[i].life) << 32 |
                                              static_cast<uint64_t>(threads[i].actions));
  }
  for (const Lock& lock : locks) hash = lock.told.Hash(hash + static_cast<uint64_t>(lock.owner));
  for (int i = 0; i < location_count; ++i) {
    if (locations[i].role == Role::kControl)
      hash = Mix(hash, static_cast<uint64_t>(locations[i].owner));
  }
  return Mix(hash ^ next_number,
             static_cast<uint64_t>(excused) << 8 | static_cast<uint64_t>(deaths_left));
}

// The execution ends here: it would go on as another one did.
[[noreturn]] void Abandon() {
  UseHeap(kNoHeap);
  ReturnToMain();
}

int Choose(int options) {
  if (depth < path.size()) return path[depth++].taken;
  if (!seen.Insert(HashState())) Abandon();
  if (path.size() == path.capacity()) {
    std::fputs("model: an execution has too many choices\n", stderr);
    std::abort();
  }
  path.push_back({.taken = 0, .options = options});
  ++depth;
  return 0;
}

void Die(int index) {
  threads[index].life = Life::kDead;
  --deaths_left;
  excused |= 1u << index;
  memory.ForgetDataReads(index);
  for (Lock& lock : locks) {
    if (lock.owner / kOwnersPerThread != index || lock.owner < 0) continue;
    lock.owner = -1;
    lock.told.JoinLocations(memory.Known(index));
  }
  if (tracing) std::printf("  thread %d dies\n", index);
}

// Returns once it is the caller's turn again; never, if that has ended.
void SwitchTo(int index) {
  const int self = current;
  current = index;
  UseHeap(index);
  if (threads[self].life != Life::kRuns) GoToFiber(index);
  SwitchFiber(self, index);
}

// Chooses who goes on, and with what. Returns to the thread that called when that is its turn.
void Schedule() {
  const int self = current;
  for (;;) {
    // All threads first run up to where it matters who goes on.
    for (int i = 0; i < scenario->threads; ++i) {
      if (i == self || threads[i].pending.kind != Kind::kBegin || i == scenario->successor)
        continue;
      threads[i].pending.kind = Kind::kFence;
      return SwitchTo(i);
    }
    int options[kThreadsMax], all = 0;
    for (int i = 0; i < scenario->threads; ++i) all += options[i] = OptionsOf(i);
    if (all == 0) Abandon();  // all are done; wind_up follows if so
    int taken = all == 1 ? 0 : Choose(all);
    int index = self;  // the one that runs comes first
    if (taken >= options[self]) {
      taken -= options[self];
      for (index = 0; index == self || taken >= options[index]; ++index) {
        if (index != self) taken -= options[index];
      }
    }
    Thread& thread = threads[index];
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

// Waits until the current thread's next step is chosen, where that matters; returns the message.
int Await(Kind kind, int location, uint64_t expected, bool matters) {
  Thread& thread = threads[current];
  thread.pending = {.kind = kind, .location = location, .expected = expected};
  if (!matters) return Reads(kind) ? memory.Newest(location) : 0;
  Schedule();
  return Reads(kind) ? MessageOf(thread.pending, thread.option) : 0;
}

void RunThread(int index) {
  Learn(1);  // that it has begun: each step must lead to another state
  scenario->run(index);
  threads[index].life = Life::kDone;
  threads[index].history = 0;
  if (index == 0 && scenario->mortal != 0) {
    deaths_left = 1;
    Die(index);
  }
  Schedule();
}

// --- Accesses ------------------------------------------------------------------------------------

uint64_t Get(const void* address, size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, address, bytes);
  return value;
}

void Put(void* address, size_t bytes, uint64_t value) { std::memcpy(address, &value, bytes); }

void Trace(const char* what, int location, uint64_t value, Place place) {
  if (!tracing) return;
  const char* const name = location < 0 ? "" : locations[location].name;
  const char* const slash = std::strrchr(place.file, '/');
  std::printf("  thread %d: %-8s %s %llu  (%s:%d)\n", current, what, name,
              static_cast<unsigned long long>(value), slash == nullptr ? place.file : slash + 1,
              place.line);
}

void CheckDataRead(int location) {
  if ((excused >> current & 1) != 0) return;
  if (memory.ReadRaces(current, location))
    Fail("thread %d reads %s while it is overwritten, and holds the producer back", current,
         locations[location].name);
  memory.CountDataRead(current, location);
}

void CheckDataWrite(int location) {
  const int reader = memory.WriteRaces(current, location, excused);
  if (reader >= 0)
    Fail("thread %d overwrites %s, which thread %d may still be reading", current,
         locations[location].name, reader);
  memory.CountDataWrite(current);
}

// Who announces itself in a line is its owner; whom another thread ends there is excused.
void NoteControl(int location, uint64_t value) {
  Location& line = locations[location];
  if (line.role != Role::kControl) return;
  const uint64_t state = value & 3;
  const bool holds = state == 1 || state == 3;
  if (holds && (line.writers >> current & 1) != 0 && !(state == 3)) {
    if (line.owner != current) line.owner = current;
    excused &= ~(1u << current);
  } else if (!holds && line.owner >= 0 && line.owner != current) {
    excused |= 1u << line.owner;
    memory.ForgetDataReads(line.owner);
  }
}

}  // namespace

bool Reaches(const Mutant& with, Place place) {
  if (place.line < with.first_line || place.line > with.last_line) return false;
  if (with.action >= 0 && place.action != with.action) return false;
  const size_t size = std::strlen(place.file);
  return size >= with.file.size() && with.file == place.file + (size - with.file.size());
}

bool Concurrent() { return concurrent; }
bool Alive(int thread) { return threads[thread].life != Life::kDead; }
uint64_t NextNumber() { return ++next_number; }
uint64_t Peek(const void* address) { return Get(address, sizeof(uint64_t)); }

uint64_t Load(const void* address, size_t bytes, Order order, Place place) {
  const int location = concurrent ? LocationOf(address) : -1;
  if (location < 0) return Get(address, bytes);
  if (Hits(place, Change::kBlind)) return memory.OwnLast(current, location);
  const bool matters = OthersMayWrite(location) ||
                       memory.OldestReadable(current, location) != memory.Newest(location);
  const int timestamp = Await(Kind::kLoad, location, 0, matters);
  if (locations[location].role == Role::kData) CheckDataRead(location);
  const uint64_t value = memory.Read(current, location, timestamp, OrderAt(order, place));
  Learn(value);
  Trace("reads", location, value, place);
  return value;
}

void Store(void* address, size_t bytes, uint64_t value, Order order, Place place) {
  const int location = concurrent ? LocationOf(address) : -1;
  if (location < 0) return Put(address, bytes, value);
  if (Hits(place, Change::kLeftOut)) return;
  if ((locations[location].writers >> current & 1) == 0) {
    std::fprintf(stderr, "model: thread %d is not known to write %s\n", current,
                 locations[location].name);
    std::abort();
  }
  (void)Await(Kind::kStore, location, 0, OthersMayWrite(location) || IsMortal(current));
  if (locations[location].role == Role::kData) CheckDataWrite(location);
  memory.Write(current, location, value, OrderAt(order, place));
  NoteControl(location, value);
  Put(address, bytes, value);
  Learn(static_cast<uint64_t>(location));
  Trace("writes", location, value, place);
}

bool CompareExchange(void* address, size_t bytes, uint64_t* expected, uint64_t value, Order order,
                     Place place) {
  const int location = concurrent ? LocationOf(address) : -1;
  if (location < 0) {
    const uint64_t found = Get(address, bytes);
    if (found == *expected) {
      Put(address, bytes, value);
      return true;
    }
    *expected = found;
    return false;
  }
  if (Hits(place, Change::kLeftOut)) return true;
  const int timestamp = Await(Kind::kCompareExchange, location, *expected, true);
  const uint64_t found = memory.ValueAt(location, timestamp);
  Learn(found);
  if (found != *expected) {
    *expected = memory.Read(current, location, timestamp, Order::kRelaxed);
    Trace("keeps", location, found, place);
    return false;
  }
  memory.ReadModifyWrite(current, location, value, OrderAt(order, place));
  NoteControl(location, value);
  Put(address, bytes, value);
  Trace("puts", location, value, place);
  return true;
}

uint64_t Exchange(void* address, size_t bytes, uint64_t value, Order order, Place place) {
  const int location = concurrent ? LocationOf(address) : -1;
  if (location >= 0) (void)Await(Kind::kExchange, location, 0, true);
  const uint64_t found = Get(address, bytes);
  if (location >= 0) {
    memory.ReadModifyWrite(current, location, value, OrderAt(order, place));
    Learn(found);
    Trace("puts", location, value, place);
  }
  Put(address, bytes, value);
  return found;
}

void Fence(Order order, Place place) {
  if (!concurrent || Hits(place, Change::kRelaxed)) return;
  if (Hits(place, Change::kNoSc)) order = Order::kAcqRel;
  if (order == Order::kSeqCst) (void)Await(Kind::kFence, -1, 0, true);
  memory.Fence(current, order);
  Learn(0);
  Trace("fence", -1, static_cast<uint64_t>(order), place);
}

void* Copy(void* to, const void* from, size_t bytes, Place place) {
  const bool stores = concurrent && LocationOf(to) >= 0;
  const bool loads = concurrent && LocationOf(from) >= 0;
  if (!stores && !loads) return std::memcpy(to, from, bytes);
  auto* const target = static_cast<char*>(to);
  const auto* const source = static_cast<const char*>(from);
  for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
    if (loads) {
      Put(target + at, sizeof(uint64_t),
          Load(source + at, sizeof(uint64_t), Order::kRelaxed, place));
    } else {
      Store(target + at, sizeof(uint64_t), Get(source + at, sizeof(uint64_t)), Order::kRelaxed,
            place);
    }
  }
  return to;
}

bool TryLock(int lock, int owner) {
  if (concurrent) (void)Await(Kind::kLock, -1, 0, true);
  const bool free = locks[lock].owner < 0;
  if (free) {
    locks[lock].owner = owner;
    if (concurrent) memory.Inform(current, locks[lock].told);
  }
  Learn(free ? 1 : 0);
  Trace(free ? "locks" : "no lock", -1, static_cast<uint64_t>(lock), Place());
  return free;
}

bool Locked(int lock, int owner) {
  if (concurrent) (void)Await(Kind::kLock, -1, 0, true);
  const bool held = locks[lock].owner >= 0 && locks[lock].owner != owner;
  if (!held && concurrent) memory.Inform(current, locks[lock].told);
  Learn(held ? 1 : 0);
  return held;
}

void Unlock(int lock, int owner) {
  if (locks[lock].owner != owner) return;
  if (concurrent) {
    (void)Await(Kind::kLock, -1, 0, true);
    locks[lock].told.JoinLocations(memory.Known(current));
  }
  locks[lock].owner = -1;
  Learn(0);
}

void BeginAction(int action) { threads[current].action = action; }

void EndAction() {
  Thread& thread = threads[current];
  thread.action = -1;
  thread.history = HashHeap(current, static_cast<uint64_t>(++thread.actions));
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

void TakeLine(const void* control, int thread) { locations[LocationOf(control)].owner = thread; }

void AllocateFor(int thread) {
  current = thread;
  UseHeap(thread);
}

int NextOwner() { return current * kOwnersPerThread + threads[current].owners++; }

void AddLocation(void* address, size_t bytes, Role role, uint32_t writers, const char* name) {
  if (ring_begin == nullptr) ring_begin = static_cast<char*>(address);
  const auto offset = static_cast<size_t>(static_cast<char*>(address) - ring_begin);
  if (location_count == kLocationsMax || offset >= kRingBytesMax) {
    std::fputs("model: the ring is too large\n", stderr);
    std::abort();
  }
  location_of[offset / 4] = static_cast<int8_t>(location_count);
  locations[location_count++] = {.address = static_cast<char*>(address),
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
  for (Thread& thread : threads) thread = Thread();
  for (Lock& lock : locks) lock = Lock();
  std::memset(location_of, -1, sizeof location_of);
  location_count = 0;
  ring_begin = nullptr;
  excused = 0;
  next_number = 0;
  deaths_left = 1;
  depth = 0;
}

void Run(Phase now) {
  phase = now;
  concurrent = now == Phase::kRun;
  current = 0;
  RestartFibers();
  RunFibers(now == Phase::kRun ? 0 : kStage);
  UseHeap(kNoHeap);
}

bool AllEnded() {
  for (int i = 0; i < scenario->threads; ++i) {
    if (threads[i].life == Life::kRuns) return false;
  }
  return true;
}

void ExecuteOnce() {
  Prepare();
  Run(Phase::kSetUp);
  memory.Reset(location_count);
  for (int i = 0; i < location_count; ++i) {
    memory.SetInitial(i, Get(locations[i].address, locations[i].bytes));
  }
  threads[0].pending.kind = Kind::kFence;  // it begins
  if (!failed) Run(Phase::kRun);
  if (!failed && AllEnded()) Run(Phase::kWindUp);
  concurrent = false;
}

void FiberBody(int fiber) {
  UseHeap(fiber);
  if (fiber != kStage) return RunThread(fiber);
  if (phase == Phase::kSetUp) scenario->set_up();
  if (phase == Phase::kWindUp) scenario->wind_up();
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

Findings Explore(const Scenario& explored, const Mutant& with, uint64_t executions_max) {
  static const bool made =
      (MakeFibers(FiberBody), path.reserve(1 << 14), places.reserve(1 << 10), true);
  (void)made;
  scenario = &explored;
  mutant = with;
  failed = false;
  path.clear();
  seen.Clear();
  noted.Clear();
  places.clear();
  noting = mutant.change == Change::kNone;
  Findings findings;
  do {
    ExecuteOnce();
    ++findings.executions;
    if (failed) break;
    findings.complete = !Backtrack();
  } while (!findings.complete && findings.executions < executions_max);
  findings.failed = failed;
  if (failed) findings.what = failure;
  findings.states = seen.count();
  findings.places = places;
  return findings;
}

void TraceLastFailure(const Scenario& explored, const Mutant& with) {
  scenario = &explored;
  mutant = with;
  failed = false;
  tracing = true;
  ExecuteOnce();
  tracing = false;
}

}  // namespace ombus::model

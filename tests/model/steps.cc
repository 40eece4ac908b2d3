#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/model/execution.h"
#include "tests/model/seen_states.h"

namespace ombus::model {
namespace {

SeenStates noted;  // places
std::vector<Place> places;
bool noting;

int LocationOf(const void* address) {
  const auto offset = static_cast<size_t>(static_cast<const char*>(address) - now.ring_begin);
  return offset < kRingBytesMax ? now.location_of[offset / 4] : -1;
}

void NotePlace(Place place) {
  const auto file = reinterpret_cast<uint64_t>(place.file);
  const auto line = static_cast<uint64_t>(place.line) << 8 |
                    static_cast<uint64_t>(now.threads[now.current].action + 1);
  if (places.size() < places.capacity() &&
      noted.Insert(Mix(file, line)) == SeenStates::Inserted::kNew) {
    places.push_back({place.file, place.line, now.threads[now.current].action});
  }
}

bool Hits(Place place, Change change) {
  if (noting) NotePlace(place);
  place.action = now.threads[now.current].action;
  return now.mutant.change == change && Reaches(now.mutant, place);
}

Order OrderAt(Order order, Place place) {
  return Hits(place, Change::kRelaxed) ? Order::kRelaxed : order;
}

bool OthersMayWrite(int location) {
  for (int i = 0; i < now.scenario->threads; ++i) {
    if (i != now.current && now.threads[i].life == Life::kRuns &&
        (now.locations[location].writers >> i & 1) != 0)
      return true;
  }
  return false;
}

void Put(void* address, size_t bytes, uint64_t value) { std::memcpy(address, &value, bytes); }

void Trace(const char* what, int location, uint64_t value, Place place) {
  if (!now.tracing) return;
  const char* const name = location < 0 ? "" : now.locations[location].name;
  const char* const slash = std::strrchr(place.file, '/');
  std::printf("  thread %d: %-8s %s %llu  (%s:%d)\n", now.current, what, name,
              static_cast<unsigned long long>(value), slash == nullptr ? place.file : slash + 1,
              place.line);
}

void CheckDataRead(int location) {
  if ((now.excused >> now.current & 1) != 0) return;
  if (now.memory.ReadRaces(now.current, location))
    Fail("thread %d reads %s while it is overwritten, and holds the producer back", now.current,
         now.locations[location].name);
  now.memory.CountDataRead(now.current, location);
}

void CheckDataWrite(int location) {
  const int reader = now.memory.WriteRaces(now.current, location, now.excused);
  if (reader >= 0)
    Fail("thread %d overwrites %s, which thread %d may still be reading", now.current,
         now.locations[location].name, reader);
  now.memory.CountDataWrite(now.current);
}

// Who announces itself in a line is its owner; whom another thread ends there is excused.
void NoteControl(int location, uint64_t value) {
  Location& line = now.locations[location];
  if (line.role != Role::kControl) return;
  const uint64_t state = value & 3;
  const bool holds = state == 1 || state == 3;
  if (holds && (line.writers >> now.current & 1) != 0 && !(state == 3)) {
    if (line.owner != now.current) line.owner = now.current;
    now.excused &= ~(1u << now.current);
  } else if (!holds && line.owner >= 0 && line.owner != now.current) {
    now.excused |= 1u << line.owner;
    now.memory.ForgetDataReads(line.owner);
  }
}

}  // namespace

void ForgetPlaces(bool note) {
  places.reserve(1 << 10);
  noted.Clear();
  places.clear();
  noting = note;
}

const std::vector<Place>& NotedPlaces() { return places; }

bool Reaches(const Mutant& with, Place place) {
  if (place.line < with.first_line || place.line > with.last_line) return false;
  if (with.action >= 0 && place.action != with.action) return false;
  const size_t size = std::strlen(place.file);
  return size >= with.file.size() && with.file == place.file + (size - with.file.size());
}

bool Concurrent() { return now.concurrent; }
uint64_t Peek(const void* address) { return Get(address, sizeof(uint64_t)); }

uint64_t Load(const void* address, size_t bytes, Order order, Place place) {
  const int location = now.concurrent ? LocationOf(address) : -1;
  if (location < 0) return Get(address, bytes);
  if (Hits(place, Change::kBlind)) return now.memory.OwnLast(now.current, location);
  const bool matters =
      OthersMayWrite(location) ||
      now.memory.OldestReadable(now.current, location) != now.memory.Newest(location);
  const int timestamp = Await(Kind::kLoad, location, 0, matters);
  if (now.locations[location].role == Role::kData) CheckDataRead(location);
  const uint64_t value = now.memory.Read(now.current, location, timestamp, OrderAt(order, place));
  Learn(value);
  Trace("reads", location, value, place);
  return value;
}

void Store(void* address, size_t bytes, uint64_t value, Order order, Place place) {
  const int location = now.concurrent ? LocationOf(address) : -1;
  if (location < 0) return Put(address, bytes, value);
  if (Hits(place, Change::kLeftOut)) return;
  if ((now.locations[location].writers >> now.current & 1) == 0) {
    std::fprintf(stderr, "model: thread %d is not known to write %s\n", now.current,
                 now.locations[location].name);
    std::abort();
  }
  (void)Await(Kind::kStore, location, 0, OthersMayWrite(location) || IsMortal(now.current));
  if (now.locations[location].role == Role::kData) CheckDataWrite(location);
  now.memory.Write(now.current, location, value, OrderAt(order, place));
  NoteControl(location, value);
  Put(address, bytes, value);
  Learn(static_cast<uint64_t>(location));
  Trace("writes", location, value, place);
}

bool CompareExchange(void* address, size_t bytes, uint64_t* expected, uint64_t value, Order order,
                     Place place) {
  const int location = now.concurrent ? LocationOf(address) : -1;
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
  const bool forced = Hits(place, Change::kForced);
  const int timestamp =
      Await(forced ? Kind::kExchange : Kind::kCompareExchange, location, *expected, true);
  const uint64_t found = now.memory.ValueAt(location, timestamp);
  Learn(found);
  if (found != *expected && !forced) {
    *expected = now.memory.Read(now.current, location, timestamp, Order::kRelaxed);
    Trace("keeps", location, found, place);
    return false;
  }
  now.memory.ReadModifyWrite(now.current, location, value, OrderAt(order, place));
  NoteControl(location, value);
  Put(address, bytes, value);
  Trace("puts", location, value, place);
  return true;
}

uint64_t Exchange(void* address, size_t bytes, Update update, uint64_t operand, Order order,
                  Place place) {
  const int location = now.concurrent ? LocationOf(address) : -1;
  if (location >= 0 && Hits(place, Change::kLeftOut)) return 0;
  if (location >= 0) (void)Await(Kind::kExchange, location, 0, true);
  const uint64_t found = Get(address, bytes);
  uint64_t value = operand;
  if (update == Update::kAdd) value += found;
  if (update == Update::kOr) value |= found;
  if (location >= 0) {
    now.memory.ReadModifyWrite(now.current, location, value, OrderAt(order, place));
    Learn(found);
    Trace("puts", location, value, place);
  }
  Put(address, bytes, value);
  return found;
}

void Fence(Order order, Place place) {
  if (!now.concurrent || Hits(place, Change::kRelaxed)) return;
  if (Hits(place, Change::kNoSc)) order = Order::kAcqRel;
  if (order == Order::kSeqCst) (void)Await(Kind::kFence, -1, 0, true);
  now.memory.Fence(now.current, order);
  Learn(0);
  Trace("fence", -1, static_cast<uint64_t>(order), place);
}

void FenceEverywhere(Place place) {
  if (!now.concurrent || Hits(place, Change::kLeftOut)) return;
  (void)Await(Kind::kFence, -1, 0, true);
  now.memory.Fence(now.current, Order::kSeqCst);
  for (int i = 0; i < now.scenario->threads; ++i) now.memory.Fence(i, Order::kSeqCst);
  now.memory.Fence(now.current, Order::kSeqCst);
  Learn(0);
  Trace("fences", -1, 0, place);
}

void SleepOn(const void* word, uint64_t seen) {
  const int location = LocationOf(word);
  (void)Await(Kind::kExchange, location, 0, true);
  now.memory.Fence(now.current, Order::kSeqCst);
  const uint64_t found =
      now.memory.Read(now.current, location, now.memory.Newest(location), Order::kRelaxed);
  Learn(found);
  Trace(found == seen ? "sleeps" : "stays up", location, found, Place());
  if (found == seen) {
    now.asleep |= 1u << now.current;
    (void)Await(Kind::kFence, -1, 0, true);
  }
  now.memory.Fence(now.current, Order::kSeqCst);
}

void WakeAll(Place place) {
  if (Hits(place, Change::kLeftOut)) return;
  (void)Await(Kind::kFence, -1, 0, true);
  now.memory.Fence(now.current, Order::kSeqCst);
  Learn(now.asleep);
  Trace("wakes", -1, now.asleep, place);
  now.asleep = 0;
}

void* Copy(void* to, const void* from, size_t bytes, Place place) {
  const bool stores = now.concurrent && LocationOf(to) >= 0;
  const bool loads = now.concurrent && LocationOf(from) >= 0;
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
  if (now.concurrent) (void)Await(Kind::kLock, -1, 0, true);
  const bool free = now.locks[lock].owner < 0;
  if (free) {
    now.locks[lock].owner = owner;
    if (now.concurrent) now.memory.Inform(now.current, now.locks[lock].told);
  }
  Learn(free ? 1 : 0);
  Trace(free ? "locks" : "no lock", -1, static_cast<uint64_t>(lock), Place());
  return free;
}

bool Locked(int lock, int owner) {
  if (now.concurrent) (void)Await(Kind::kLock, -1, 0, true);
  const bool held = now.locks[lock].owner >= 0 && now.locks[lock].owner != owner;
  if (!held && now.concurrent) now.memory.Inform(now.current, now.locks[lock].told);
  Learn(held ? 1 : 0);
  return held;
}

void Unlock(int lock, int owner) {
  if (now.locks[lock].owner != owner) return;
  if (now.concurrent) {
    (void)Await(Kind::kLock, -1, 0, true);
    now.locks[lock].told.JoinLocations(now.memory.Known(now.current));
  }
  now.locks[lock].owner = -1;
  Learn(0);
}

void TakeLine(const void* control, int thread) {
  now.locations[LocationOf(control)].owner = thread;
}

}  // namespace ombus::model

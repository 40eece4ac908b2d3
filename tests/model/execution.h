// What an execution has come to: shared by explorer.cc, which chooses, and steps.cc, which takes
// the steps. Nothing else includes it.
#ifndef OMBUS_TESTS_MODEL_EXECUTION_H_
#define OMBUS_TESTS_MODEL_EXECUTION_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/model/explorer.h"
#include "tests/model/weak_memory.h"

namespace ombus::model {

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

inline constexpr size_t kRingBytesMax = 8192;

struct Execution {
  const Scenario* scenario = nullptr;
  Mutant mutant;
  WeakMemory memory;
  Thread threads[kThreadsMax];
  int current = 0;  // thread
  Location locations[kLocationsMax];
  int location_count = 0;
  char* ring_begin = nullptr;
  int8_t location_of[kRingBytesMax / 4];  // by offset; -1: none
  Lock locks[kLocksMax];
  uint32_t excused = 0;  // threads whose reads of data may be overwritten: evicted, or dead
  uint32_t asleep = 0;   // threads that somebody has to wake
  int deaths_left = 0;
  uint64_t next_number = 0;
  bool concurrent = false;
  bool tracing = false;
};
extern Execution now;

// Waits until the current thread's next step is chosen, where that matters; returns the message
// that it reads.
int Await(Kind kind, int location, uint64_t expected, bool matters);
inline void Learn(uint64_t what) {
  now.threads[now.current].history = Mix(now.threads[now.current].history, what);
}
// Whether one of these may die before its next store.
bool IsMortal(int thread);

// Where accesses were since ForgetPlaces(true), once each; with false, none are noted.
void ForgetPlaces(bool note);
const std::vector<Place>& NotedPlaces();

inline uint64_t Get(const void* address, size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, address, bytes);
  return value;
}

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_EXECUTION_H_

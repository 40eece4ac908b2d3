// Explorer: runs a scenario's threads through every schedule and every choice of what a load reads,
// and ends with the first failure.
//
// The threads are fibers of one real thread, which run the ring's own code; instrument.h leads its
// atomics here. Depth first: each execution follows the choices of the last one up to the deepest
// that has another option. Where a state was seen before (what each thread has read so far, all
// messages, all views), nothing new can follow, and the execution ends. So what it takes is memory,
// a word or two for each state.
//
// A thread goes on without asking as long as nobody could tell: at stores to what only it writes
// (others may go on reading older messages), and at loads of what nobody else will write.
#ifndef OMBUS_TESTS_MODEL_EXPLORER_H_
#define OMBUS_TESTS_MODEL_EXPLORER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/weak_memory.h"

namespace ombus::model {

struct Place {  // of an access in the source
  const char* file = "";
  int line = 0;
  int action = -1;  // of the thread
};

// What is done to one access, to see that something then fails.
enum class Change : uint8_t {
  kNone,
  kRelaxed,  // its order is; a fence is left out
  kNoSc,     // of a sequentially consistent fence acquire and release are left
  kBlind,    // a load finds what its thread wrote last, or what was there from the start
  kLeftOut,  // a store, or an exchange, which then says that it took place
  kForced,   // a compare-exchange takes place, whatever it finds
};
struct Mutant {
  Change change = Change::kNone;
  std::string file = {};  // how its path ends
  int first_line = 0, last_line = 0;
  int action = -1;  // only within this action of the threads; -1: within any
};

bool Reaches(const Mutant& mutant, Place place);

// What an address means to the model.
enum class Role : uint8_t { kWord, kData, kControl };

struct Scenario {
  const char* name;
  int threads;
  void (*set_up)();         // before the threads: memory as one thread sees it
  void (*run)(int thread);  // the threads
  void (*wind_up)();        // after them, again as one thread
  uint32_t mortal = 0;      // bit per thread: one of these may die before any of its stores
  // Bit per thread: each of these begins when thread 0, and those of them before it, are dead. Who
  // has one dies when it has nothing left to do.
  uint32_t successors = 0;
};

struct Findings {
  bool failed = false;
  bool complete = false;  // every state was seen
  std::string what;       // if it failed, or is not complete
  uint64_t executions = 0, states = 0;
  size_t bytes = 0;                // of memory, for the states
  std::vector<Place> places = {};  // of all accesses there were
};

Findings Explore(const Scenario& scenario, const Mutant& mutant);
// Prints each step of the execution that failed last.
void TraceLastFailure(const Scenario& scenario, const Mutant& mutant);

// --- For set_up --------------------------------------------------------------------------------
// From now on new objects belong to the thread, whose state they are part of.
void AllocateFor(int thread);
// An address of the ring. `writers`: a bit per thread that may store there.
void AddLocation(void* address, size_t bytes, Role role, uint32_t writers, const char* name);

// --- For the code under test, by way of instrument.h and stand_ins.cc
// ------------------------------
bool Concurrent();  // the threads run; else accesses go to memory as they are
uint64_t Load(const void* address, size_t bytes, Order order, Place place);
void Store(void* address, size_t bytes, uint64_t value, Order order, Place place);
bool CompareExchange(void* address, size_t bytes, uint64_t* expected, uint64_t value, Order order,
                     Place place);
enum class Update : uint8_t { kSet, kAdd, kOr };
uint64_t Exchange(void* address, size_t bytes, Update update, uint64_t operand, Order order,
                  Place place);
void Fence(Order order, Place place);
void FenceEverywhere(Place place);  // in each thread: membarrier(2)
// memcpy. A plain access to a payload may be torn, and valid() then says so: what a compiler makes
// of it is a relaxed one of each word.
void* Copy(void* to, const void* from, size_t bytes, Place place);

// futex(2), as the kernel does it: with full barriers, and so that who goes to sleep and who wakes
// do one after the other. Sleeps until it is woken, unless the word is something else than `seen`.
void SleepOn(const void* word, uint64_t seen);
void WakeAll(Place place);
bool Asleep(int thread);  // for wind_up

inline constexpr int kLocksMax = 4;
bool TryLock(int lock, int owner);  // owner: thread * kOwnersPerThread + n
bool Locked(int lock, int owner);   // by anybody else
void Unlock(int lock, int owner);
inline constexpr int kOwnersPerThread = 16;
int NextOwner();         // of the thread, or of the one that set_up allocates for
bool Alive(int thread);  // for wind_up
void TakeLine(const void* control, int thread);  // for set_up: whose it is

// --- For the threads of a scenario ---------------------------------------------------------------
// What is done next, and that it is done: all that counts from here on is in the thread's objects.
void BeginAction(int action);
void EndAction();
int ActionNow();
// Ends the exploration: this must not happen. As printf.
[[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
uint64_t NextNumber();               // 1, 2, … in each execution
uint64_t Peek(const void* address);  // what was written last, without being a step

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_EXPLORER_H_

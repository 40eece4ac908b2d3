// Fibers: stacks of their own for the threads of a model, switched by hand, and a heap for each
// that is emptied between executions. An execution may be abandoned anywhere: nothing is unwound.
#ifndef OMBUS_TESTS_MODEL_FIBERS_H_
#define OMBUS_TESTS_MODEL_FIBERS_H_

#include <cstddef>
#include <cstdint>

#include "tests/model/weak_memory.h"

namespace ombus::model {

// Runs body(i) on fiber i each time that it is started anew. Once, at the start of the program.
void MakeFibers(void (*body)(int fiber));
// All fibers are to begin anew.
void RestartFibers();
// From the main stack: goes on with a fiber, until one calls ReturnToMain.
void RunFibers(int first);
// From fiber `from`, which goes on when somebody switches to it.
void SwitchFiber(int from, int to);
// The same from a fiber that has ended.
[[noreturn]] void GoToFiber(int to);
[[noreturn]] void ReturnToMain();

// --- Heaps: operator new of the whole program takes from the one chosen
// ------------------------------
inline constexpr int kNoHeap = -1;  // the usual one
void UseHeap(int fiber);
void EmptyHeaps();
uint64_t HashHeap(int fiber, uint64_t seed);

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_FIBERS_H_

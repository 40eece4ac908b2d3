#include "tests/model/fibers.h"

#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace ombus::model {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kHeapBytes = 32 << 10;

// _setjmp keeps no signal mask: a switch is no system call. A fiber's first context is made by
// makecontext, and from then on it begins anew where it stands in `begin`.
struct Fiber {
  ucontext_t made;
  jmp_buf begin;
  jmp_buf here;
};

Fiber fibers[kThreadsMax];
ucontext_t maker;
jmp_buf main_stack;
alignas(64) char stacks[kThreadsMax][kStackBytes];
void (*fiber_body)(int) = nullptr;

alignas(64) char heaps[kThreadsMax][kHeapBytes];
size_t heap_used[kThreadsMax];
int heap = kNoHeap;

void Enter(int fiber) {
  if (_setjmp(fibers[fiber].begin) == 0) swapcontext(&fibers[fiber].made, &maker);
  fiber_body(fiber);
  std::abort();  // it ends with ReturnToMain or GoToFiber
}

void* Allocate(size_t bytes) {
  if (heap == kNoHeap) {
    void* const memory = std::malloc(bytes);
    if (memory == nullptr) std::abort();
    return memory;
  }
  char* const memory = heaps[heap] + heap_used[heap];
  heap_used[heap] += (bytes + 15) / 16 * 16;
  if (heap_used[heap] > kHeapBytes) {
    std::fputs("model: a thread's heap is full\n", stderr);
    std::abort();
  }
  return memory;
}

bool FromHeaps(const void* memory) {
  const auto* const at = static_cast<const char*>(memory);
  return at >= heaps[0] && at < heaps[0] + sizeof heaps;
}

}  // namespace

void MakeFibers(void (*body)(int fiber)) {
  fiber_body = body;
  for (int i = 0; i < kThreadsMax; ++i) {
    getcontext(&fibers[i].made);
    fibers[i].made.uc_stack.ss_sp = stacks[i];
    fibers[i].made.uc_stack.ss_size = kStackBytes;
    makecontext(&fibers[i].made, reinterpret_cast<void (*)()>(Enter), 1, i);
    swapcontext(&maker, &fibers[i].made);
  }
}

void RestartFibers() {
  for (Fiber& fiber : fibers) std::memcpy(fiber.here, fiber.begin, sizeof fiber.here);
}

void RunFibers(int first) {
  if (_setjmp(main_stack) == 0) _longjmp(fibers[first].here, 1);
}

void SwitchFiber(int from, int to) {
  if (_setjmp(fibers[from].here) == 0) _longjmp(fibers[to].here, 1);
}

void GoToFiber(int to) { _longjmp(fibers[to].here, 1); }

void ReturnToMain() { _longjmp(main_stack, 1); }

void UseHeap(int fiber) { heap = fiber; }

void EmptyHeaps() {
  for (int i = 0; i < kThreadsMax; ++i) {
    std::memset(heaps[i], 0, heap_used[i]);
    heap_used[i] = 0;
  }
}

uint64_t HashHeap(int fiber, uint64_t seed) {
  for (size_t at = 0; at < heap_used[fiber]; at += 16) {
    uint64_t words[2];
    std::memcpy(words, heaps[fiber] + at, sizeof words);
    seed = Mix(seed ^ words[0], words[1]);
  }
  return Mix(seed, heap_used[fiber]);
}

}  // namespace ombus::model

void* operator new(size_t bytes) { return ombus::model::Allocate(bytes); }
void operator delete(void* memory) noexcept {
  if (!ombus::model::FromHeaps(memory)) std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

// Included before everything else (-include) where the ring is compiled for the model: its atomics,
// fences, clock and copies of payloads become steps of the explorer. What is replaced is named by
// macros, after every header of the system that the ring includes; the ring's files are as they
// are.
//
// Not for x86-64: the model's processor is one that keeps no order by itself, so that where the
// ring has a version for that one (slot_access.h), the other is compiled.
#ifndef OMBUS_TESTS_MODEL_INSTRUMENT_H_
#define OMBUS_TESTS_MODEL_INSTRUMENT_H_

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/explorer.h"

namespace ombus::model {

inline constexpr Order OrderOf(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed:
      return Order::kRelaxed;
    case std::memory_order_consume:
    case std::memory_order_acquire:
      return Order::kAcquire;
    case std::memory_order_release:
      return Order::kRelease;
    case std::memory_order_acq_rel:
      return Order::kAcqRel;
    case std::memory_order_seq_cst:
      return Order::kSeqCst;
  }
  return Order::kSeqCst;
}

// std::atomic, as far as the ring uses it.
template <typename T>
class Atomic {
 public:
  static constexpr bool is_always_lock_free = true;

  T load(std::memory_order order, const char* file = __builtin_FILE(),
         int line = __builtin_LINE()) const {
    return static_cast<T>(
        Load(&value_, sizeof value_, OrderOf(order), {.file = file, .line = line}));
  }
  void store(T value, std::memory_order order, const char* file = __builtin_FILE(),
             int line = __builtin_LINE()) {
    Store(&value_, sizeof value_, value, OrderOf(order), {.file = file, .line = line});
  }
  T exchange(T value, std::memory_order order, const char* file = __builtin_FILE(),
             int line = __builtin_LINE()) {
    return Modify(Update::kSet, value, order, {.file = file, .line = line});
  }
  T fetch_add(T value, std::memory_order order, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
    return Modify(Update::kAdd, value, order, {.file = file, .line = line});
  }
  T fetch_or(T value, std::memory_order order, const char* file = __builtin_FILE(),
             int line = __builtin_LINE()) {
    return Modify(Update::kOr, value, order, {.file = file, .line = line});
  }
  bool compare_exchange_strong(T& expected, T value, std::memory_order order,
                               const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    uint64_t found = expected;
    const bool done = CompareExchange(&value_, sizeof value_, &found, value, OrderOf(order),
                                      {.file = file, .line = line});
    expected = static_cast<T>(found);
    return done;
  }
  bool compare_exchange_strong(T& expected, T value, std::memory_order order,
                               std::memory_order /*failure: relaxed*/,
                               const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return compare_exchange_strong(expected, value, order, file, line);
  }

 private:
  T Modify(Update update, T operand, std::memory_order order, Place place) {
    return static_cast<T>(Exchange(&value_, sizeof value_, update, operand, OrderOf(order), place));
  }

  T value_;
};

template <typename T>
T LoadBuiltin(const T* address, int order, const char* file, int line) {
  return static_cast<T>(Load(address, sizeof *address,
                             order == __ATOMIC_RELAXED ? Order::kRelaxed : Order::kAcquire,
                             {.file = file, .line = line}));
}
template <typename T>
void StoreBuiltin(T* address, T value, const char* file, int line) {
  Store(address, sizeof *address, value, Order::kRelaxed, {.file = file, .line = line});
}

uint64_t ModelNowNs();
// membarrier(2) for every thread of the model, and futex(2).
long Syscall(Place place, long number, long argument, ...);
// What raises an inotify event: the sleepers wake up.
ssize_t WriteThroughFile(const void* from, size_t bytes);

}  // namespace ombus::model

namespace std {  // where the ring looks for them
template <typename T>
using ModelAtomic = ombus::model::Atomic<T>;
inline void* ModelCopy(void* to, const void* from, size_t bytes,
                       const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return ombus::model::Copy(to, from, bytes, {.file = file, .line = line});
}
}  // namespace std

// In place of ring/fence.h and ring/clock.h.
#define OMBUS_RING_FENCE_H_
#define OMBUS_RING_CLOCK_H_
namespace ombus {
inline void AcquireFence(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  model::Fence(model::Order::kAcquire, {.file = file, .line = line});
}
inline void FullFence(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  model::Fence(model::Order::kSeqCst, {.file = file, .line = line});
}
inline uint64_t NowNs() { return model::ModelNowNs(); }
inline void CpuRelax() {}
}  // namespace ombus

#undef __x86_64__
#define atomic ModelAtomic
#define memcpy ModelCopy
#define __atomic_load_n(address, order) \
  ::ombus::model::LoadBuiltin(address, order, __FILE__, __LINE__)
#define __atomic_store_n(address, value, order) \
  ::ombus::model::StoreBuiltin(address, value, __FILE__, __LINE__)
#define __atomic_thread_fence(order) \
  ::ombus::model::Fence(::ombus::model::Order::kAcquire, {.file = __FILE__, .line = __LINE__})
#define getrandom(buffer, bytes, flags) \
  static_cast<ssize_t>((*(buffer) = ::ombus::model::NextNumber(), (bytes)))
#define syscall(number, argument, ...)                                                    \
  ::ombus::model::Syscall({.file = __FILE__, .line = __LINE__}, number, (long)(argument), \
                          __VA_ARGS__)
#define pwrite(descriptor, from, bytes, offset) ::ombus::model::WriteThroughFile(from, bytes)
#define fchmod(descriptor, mode) 0
#define getpid() 1
#define stat(path, info) -1

#endif  // OMBUS_TESTS_MODEL_INSTRUMENT_H_

// FanoutBoard: what the two processes of `ombus bench --mode fanout` share: which sender is at
// work, where it listens, and how much its receivers have. Zero at first.
//
// Threads: one per process; each field has one writer.
#ifndef OMBUS_TOOLS_FANOUT_BOARD_H_
#define OMBUS_TOOLS_FANOUT_BOARD_H_

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "tools/bench_process.h"

namespace ombus::tools {

// In the order in which they take their turn.
enum class Contender : uint8_t { kBare, kEncoded, kClassic, kUring, kEpoll };
inline constexpr size_t kContenders = 5;
inline constexpr const char* kContenderNames[kContenders] = {"bare", "encoded", "classic", "uring",
                                                             "epoll"};

inline constexpr uint32_t kNobody = 0, kAllDone = ~0u;  // of active; else 1 + the contender
inline constexpr size_t kFanoutRunsMax = 1000;

// What one contender did in one run, written by the sender. All of its blocks together.
struct FanoutTotals {
  uint64_t ns, cpu_ns, sending_ns, system_calls, frames;
};

struct FanoutBoard {
  alignas(128) std::atomic<uint32_t> active;
  std::array<std::atomic<uint32_t>, kContenders> ports;
  std::array<std::atomic<uint64_t>, kContenders> heap_bytes;             // per client
  alignas(128) std::array<std::atomic<uint64_t>, kContenders> received;  // bytes, all clients
  alignas(128) std::array<std::array<FanoutTotals, kContenders>, kFanoutRunsMax> runs;
};

// In memory that forked children share.
class SharedFanoutBoard {
 public:
  SharedFanoutBoard() {
    void* memory = mmap(nullptr, sizeof(FanoutBoard), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      std::abort();  // a few pages, at start: nothing sensible is left to do
    board_ = new (memory) FanoutBoard();
  }
  ~SharedFanoutBoard() { munmap(board_, sizeof(FanoutBoard)); }
  SharedFanoutBoard(const SharedFanoutBoard&) = delete;
  SharedFanoutBoard& operator=(const SharedFanoutBoard&) = delete;
  FanoutBoard& operator*() { return *board_; }
  FanoutBoard* operator->() { return board_; }

 private:
  FanoutBoard* board_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_FANOUT_BOARD_H_

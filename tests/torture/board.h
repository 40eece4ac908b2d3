// Board: what the processes of one round of the torture tell each other, in memory that they share
// and that outlives each of them. A killed process's counts stay.
#ifndef OMBUS_TESTS_TORTURE_BOARD_H_
#define OMBUS_TESTS_TORTURE_BOARD_H_

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdio>

namespace ombus::torture {

inline constexpr int kReadersMax = 8;

inline constexpr uint64_t kAttaching = ~uint64_t{0};

enum class Reading : uint8_t { kPoll, kBatch, kDrain, kCopy, kChurn };
inline constexpr int kReadings = 5;

// What a round does to its processes.
struct Plan {
  const char* name = nullptr;
  uint64_t share = 0;  // of all records, in thousandths
  uint32_t capacity = 256, slot_size = 256;
  bool crc32c = false;
  uint64_t staleness_ns = 0;  // 0: no record may be lost
  bool sleepers = false;      // readers sleep when there is nothing
  bool kills_readers = false, kills_producer = false, stalls = false, replaces = false;
};

// One reader's part; only its own process writes it.
struct alignas(128) ReaderBoard {
  std::atomic<uint64_t> records, lost, evictions, epochs, joins;
  std::atomic<uint64_t> torn_told;       // wrong bytes in a view that was said to be invalid
  std::atomic<uint64_t> attached_epoch;  // 0: not attached; kAttaching
};

enum class Fault : uint32_t { kNone, kTornRead, kSilentGap, kOther };

struct Board {
  uint64_t seed = 0;
  uint64_t records = 0;         // to publish
  uint32_t readers_wanted = 0;  // before the first record
  // The producers': a record's number is its position minus origin, across incarnations.
  std::atomic<uint64_t> origin{0}, published{0}, epoch{0}, takeovers{0}, replacements{0};
  std::atomic<bool> running{false};  // a producer has created the stream
  std::atomic<bool> stop{false};     // time is up: as if all were published
  std::atomic<bool> done{false};     // all was published, the end is being told
  std::atomic<uint32_t> fault{0};
  char fault_text[256] = {};
  ReaderBoard readers[kReadersMax] = {};

  // The first fault counts. Returns the exit code of who found it.
  __attribute__((format(printf, 3, 4))) int Report(Fault kind, const char* format, ...) {
    uint32_t none = 0;
    if (fault.compare_exchange_strong(none, static_cast<uint32_t>(kind))) {
      va_list arguments;
      va_start(arguments, format);
      vsnprintf(fault_text, sizeof fault_text, format, arguments);
      va_end(arguments);
    }
    return 1;
  }
};

inline void Add(std::atomic<uint64_t>& count, uint64_t n) {
  count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace ombus::torture

#endif  // OMBUS_TESTS_TORTURE_BOARD_H_

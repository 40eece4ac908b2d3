// The memory format of a ring: what lies where in the shared-memory object, byte for byte.
//
//   0                4096                     4096 + max_consumers*64          total_bytes
//   | header page    | consumer line 0 | 1 …  | slot 0 | slot 1 | …            |
//
// Lines of the header page with different writers never share a 128-byte pair.
// docs/memory-format.md says who writes which field when; docs/memory-order.md, who may rely on
// what.
#ifndef OMBUS_RING_LAYOUT_H_
#define OMBUS_RING_LAYOUT_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ombus {

inline constexpr uint32_t kRingMagic = 0x4F4D4253;  // "OMBS", the object's first four bytes
// 1 was libombus'. 2 was that of builds before the first release, whose producers urge no reader to
// look at an epoch that they begin: it would go on in the old one.
inline constexpr uint32_t kRingVersion = 3;
inline constexpr uint32_t kHeaderPageBytes = 4096;
inline constexpr uint32_t kConsumerLineBytes = 64;
inline constexpr uint32_t kSlotHeaderBytes = 24;
inline constexpr uint32_t kSlotBytesMin = 24;  // records without payload
inline constexpr uint32_t kSlotBytesMax = 65536 + 24;
inline constexpr uint32_t kPayloadBytesMax = 65535;  // payload lengths are 16 bits
inline constexpr uint32_t kDefaultSlotBytes = 256;
inline constexpr uint32_t kCapacityBySlotSize = 0;  // what a producer that has no wish says
inline constexpr uint32_t kDefaultMaxConsumers = 8;
inline constexpr uint32_t kRingNameBytesMax = 255;

inline constexpr uint32_t kRingFlagCrc32c = 1;
inline constexpr uint32_t kRingFlagRejectReorder = 2;  // all its consumers report reorders
inline constexpr uint32_t kRingFlagsKnown = kRingFlagCrc32c | kRingFlagRejectReorder;

// Slots of a ring whose producer has no wish: the power of two that 4 MiB hold, at least 4096. A
// ring that stays in a core's L2 cache takes two to five times as long between two cores as one
// that does not, and stays in L3 (docs/decisions/larger-than-l2.md).
inline constexpr uint32_t DefaultCapacity(uint32_t slot_size) {
  constexpr uint32_t kRingBytes = 4u << 20, kSlotsMin = 4096;
  return std::max(kSlotsMin, std::bit_floor(kRingBytes / std::max(slot_size, kSlotBytesMin)));
}

// What was asked for, if anything.
inline constexpr uint32_t CapacityOf(uint32_t asked, uint32_t slot_size) {
  return asked == kCapacityBySlotSize ? DefaultCapacity(slot_size) : asked;
}

inline constexpr size_t kBatchBuckets = 9;  // 1, 2…3, 4…7, …, 128…255, 256 and more

enum class RingState : uint32_t {
  kActive = 1,    // a producer owns the stream (or died owning it: its lock tells)
  kClosed = 2,    // the producer ended it in order: drain, then there is nothing more
  kReplaced = 3,  // another object has taken the name: drain, then open again
};

// What the low two bits of ConsumerLine::control say; the rest is the line's generation.
enum class LineState : uint64_t { kFree = 0, kLive = 1, kEvicted = 2 };
inline constexpr uint64_t kLineStateMask = 3;
// The fourth value of those bits: live, and asked by the producer to store its tail at the next
// poll, so that slow progress is seen as progress. The consumer answers by going back to live.
inline constexpr uint64_t kLineUrged = 3;

inline constexpr bool LineHoldsBack(uint64_t control) {
  const uint64_t state = control & kLineStateMask;
  return state == static_cast<uint64_t>(LineState::kLive) || state == kLineUrged;
}

// Bits of RingHeader::waiters.
inline constexpr uint32_t kWaiterFutex = 1;  // somebody sleeps on wake_word
inline constexpr uint32_t kWaiterFile = 2;   // somebody sleeps on an inotify watch of the object
inline constexpr uint32_t kReplacer = 4;     // nobody sleeps: the producer was replaced

struct RingHeader {
  // Written once, at create; magic last, with release.
  std::atomic<uint32_t> magic;
  uint32_t version;
  uint32_t slot_size;
  uint32_t capacity;
  uint32_t max_consumers;
  uint32_t flags;
  uint64_t consumers_offset;
  uint64_t slots_offset;
  uint64_t total_bytes;

  // Written by the producer, rarely.
  alignas(128) std::atomic<uint64_t> epoch;
  std::atomic<uint32_t> state;           // RingState
  std::atomic<uint32_t> producer_pid;    // for people
  std::atomic<uint64_t> epoch_position;  // the head at which this epoch began

  // Written by the producer with every record.
  alignas(128) std::atomic<uint64_t> head;

  // Written by the producer once per scan of the tails.
  alignas(128) std::atomic<uint64_t> min_tail;

  // Written around sleeps only: bits by sleepers, cleared by the producer, who counts wake_word up.
  alignas(128) std::atomic<uint32_t> waiters;
  std::atomic<uint32_t> wake_word;
  std::atomic<uint32_t> wake_touch;  // the producer writes it through the file to raise inotify

  // Written by the producer in its slow path: what other processes read as statistics.
  alignas(128) std::atomic<uint64_t> stalls;  // publishes that found the ring full
  std::atomic<uint64_t> stalled_ns;           // time spent waiting in them
  std::atomic<uint64_t> evictions;            // consumers that no longer held the producer back
  std::atomic<uint64_t> reclaimed;            // lines of dead consumers set free
  std::atomic<uint64_t> occupancy_max;        // most records that were unread when tails were read
  // Batches published, by size: bucket i counts those of 2^i … 2^(i+1) - 1 records, the last all
  // larger ones.
  std::atomic<uint64_t> batches[kBatchBuckets];

  alignas(128) char name[kRingNameBytesMax + 1];
};

// A consumer's line: its own, but for the scan that reads it and the eviction that ends it.
struct alignas(64) ConsumerLine {
  std::atomic<uint64_t> tail;     // the consumer's next position, stored late
  std::atomic<uint64_t> control;  // generation << 2 | LineState
  std::atomic<uint64_t> wal_seq;  // last sequence read, stored with the tail
  std::atomic<uint32_t> pid;      // 0 from when the line is taken until its consumer has joined
  std::atomic<uint32_t> reserved;
  std::atomic<uint64_t> evict_position;  // the producer's head when it evicted this line
};

// A slot's first 24 bytes; the payload follows.
struct SlotHeader {
  std::atomic<uint64_t> seq;  // position + 1 once the slot holds that position's record
  uint64_t wal_seq;
  uint8_t type;
  uint8_t reserved;
  uint16_t length;
  uint32_t crc32c;  // of wal_seq, type, length and payload; 0 without kRingFlagCrc32c
};

static_assert(offsetof(RingHeader, epoch) == 128);
static_assert(offsetof(RingHeader, head) == 256);
static_assert(offsetof(RingHeader, min_tail) == 384);
static_assert(offsetof(RingHeader, waiters) == 512);
static_assert(offsetof(RingHeader, stalls) == 640);
static_assert(offsetof(RingHeader, occupancy_max) == 672 && offsetof(RingHeader, batches) == 680);
static_assert(offsetof(RingHeader, name) == 768);
static_assert(sizeof(RingHeader) <= kHeaderPageBytes);
static_assert(sizeof(ConsumerLine) == kConsumerLineBytes);
static_assert(sizeof(SlotHeader) == kSlotHeaderBytes);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace ombus

#endif  // OMBUS_RING_LAYOUT_H_

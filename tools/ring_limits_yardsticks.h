// The yardsticks of `ombus bench --mode limits`: what the ring is measured against.
//
// BareLines stores and loads the same cache lines as a ring whose slots have that size, with no
// protocol: no sequence is checked, nothing is released record by record. Two processes agree on
// whole chunks of slots, often enough that the lines are still in the writer's cache and seldom
// enough to cost next to nothing.
//
// LeastRing is what any ring with one reader has to do, and nothing else: it looks for room and for
// the record's seq. Nobody is evicted from it, sleeps, comes second or loses a record, no size and
// no sequence is checked. What ombus takes longer is what that costs. With guards it stores head,
// looks for sleepers and at its own line, and checks sizes and sequence: ombus without what is due
// now and then.
//
// ClassicRing is the textbook's broadcast ring with the same layout: each publish reads the clock
// and scans all tails, each poll stores its tail. A batch does that once.
//
// Threads: one writes, one reads; in two processes each has its own copy over shared memory.
#ifndef OMBUS_TOOLS_RING_LIMITS_YARDSTICKS_H_
#define OMBUS_TOOLS_RING_LIMITS_YARDSTICKS_H_

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "ombus/record.h"
#include "ombus/ring_layout.h"
#include "ombus/slot_access.h"
#include "ring/clock.h"

namespace ombus::tools {

struct RingShape {
  uint32_t capacity = DefaultCapacity(kDefaultSlotBytes);
  uint32_t slot_size = kDefaultSlotBytes;
  uint32_t max_consumers = kDefaultMaxConsumers;

  uint64_t slots_offset() const {
    return kHeaderPageBytes + uint64_t{max_consumers} * kConsumerLineBytes;
  }
  uint64_t bytes() const { return slots_offset() + uint64_t{capacity} * slot_size; }
};

// A spin that lets others run where there are fewer cores than spinners.
class Spin {
 public:
  void Once() {
    if (++rounds_ % kRoundsBeforeYield == 0) sched_yield();
  }

 private:
  static constexpr uint32_t kRoundsBeforeYield = 100'000;
  uint32_t rounds_ = 0;
};

// One word of each line that the payload lies on: what a reader that uses its record loads.
inline uint64_t TouchPayload(const void* payload, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(payload);
  uint64_t sum = 0, word;
  for (size_t at = 0; at + sizeof word <= size;) {
    std::memcpy(&word, bytes + at, sizeof word);
    sum += word;
    at += at == 0 ? slot_access::kFirstLinePayloadBytes : slot_access::kCacheLineBytes;
  }
  return sum;
}

inline constexpr uint64_t kPrefetchAheadSlots = 8;

// The lines of a slot that a payload of that size takes.
inline void PrefetchForWrite(const SlotHeader* slot, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(slot);
  for (size_t at = 0; at < kSlotHeaderBytes + size; at += slot_access::kCacheLineBytes) {
    slot_access::PrefetchForWrite(bytes + at);
  }
}

// Nobody else sees a yardstick, so that its fields are registers and constants. In memory they are
// where a program finds those of a ring that it has in a library.
enum class Fields : uint8_t { kRegisters, kMemory };
template <Fields kFields, typename Ring>
__attribute__((always_inline)) inline void KeepFields(Ring*& ring) {
  if (kFields == Fields::kMemory) __asm__ volatile("" : "+r"(ring) : : "memory");
}

// The record of that position, if its seq says that it is there.
inline bool ReadSlot(const SlotHeader* slot, uint64_t position, Record* record) {
  if (slot->seq.load(std::memory_order_acquire) != position + 1) return false;
  const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
  *record = {slot_access::LoadWord(&slot->wal_seq), slot_access::Payload(slot),
             static_cast<uint16_t>(slot_access::MetaLength(meta)), slot_access::MetaType(meta), 0};
  return true;
}

class BareLines {
 public:
  static constexpr uint64_t kChunkSlots = 64;

  BareLines(std::byte* memory, const RingShape& shape)
      : written_(reinterpret_cast<std::atomic<uint64_t>*>(memory)),
        read_(reinterpret_cast<std::atomic<uint64_t>*>(memory + 256)),
        slots_(memory + shape.slots_offset()),
        mask_(shape.capacity - 1),
        slot_size_(shape.slot_size) {}

  SlotHeader* SlotAt(uint64_t position) const {
    return reinterpret_cast<SlotHeader*>(slots_ + (position & mask_) * slot_size_);
  }

  template <bool kPrefetch>
  __attribute__((always_inline)) void Store(uint64_t position, const void* payload,
                                            uint16_t size) const {
    if (kPrefetch) PrefetchForWrite(SlotAt(position + kPrefetchAheadSlots), size);
    SlotHeader* slot = SlotAt(position);
    slot_access::CopyPayload(slot_access::Payload(slot), payload, size);
    slot_access::StoreWord(&slot->wal_seq, position);
    slot_access::StoreWord(slot_access::MetaWord(slot), slot_access::PackMeta(1, size, 0));
    slot->seq.store(position + 1, std::memory_order_relaxed);
  }

  __attribute__((always_inline)) uint64_t Load(uint64_t position, uint16_t size) const {
    const SlotHeader* slot = SlotAt(position);
    return slot->seq.load(std::memory_order_relaxed) + slot->wal_seq +
           TouchPayload(slot_access::Payload(slot), size);
  }

  // Both loops are functions by themselves, on a copy: how fast they are must depend neither on
  // what is compiled beside them nor on what else the object's address was given to.
  template <bool kPrefetch, typename Size>
  __attribute__((noinline)) static void StoreAll(BareLines lines, uint64_t count,
                                                 const void* payload, Size size) {
    for (uint64_t at = 0; at < count;) {
      const uint64_t end = lines.AwaitRoom(at, count);
      for (; at < end; ++at) lines.Store<kPrefetch>(at, payload, size);
      lines.Written(at);
    }
  }

  template <typename Size>
  __attribute__((noinline)) static uint64_t LoadAll(BareLines lines, uint64_t count, Size size) {
    uint64_t sum = 0;
    for (uint64_t at = 0; at < count;) {
      const uint64_t end = lines.AwaitRecords(at);
      for (; at < end; ++at) sum += lines.Load(at, size);
      lines.Read(at);
    }
    return sum;
  }

  // How far one may write, and read, from at on; waits until that is some way.
  uint64_t AwaitRoom(uint64_t at, uint64_t count) const {
    Spin spin;
    while (at + kChunkSlots > read_->load(std::memory_order_acquire) + mask_ + 1) spin.Once();
    return at + kChunkSlots < count ? at + kChunkSlots : count;
  }
  uint64_t AwaitRecords(uint64_t at) const {
    uint64_t end;
    Spin spin;
    while ((end = written_->load(std::memory_order_acquire)) == at) spin.Once();
    return end;
  }
  void Written(uint64_t end) const { written_->store(end, std::memory_order_release); }
  void Read(uint64_t end) const { read_->store(end, std::memory_order_release); }

 private:
  std::atomic<uint64_t>* written_;
  std::atomic<uint64_t>* read_;
  std::byte* slots_;
  uint64_t mask_;
  uint32_t slot_size_;
};

template <bool kPrefetch, bool kGuards = false>
class LeastRing {
 public:
  LeastRing(std::byte* memory, const RingShape& shape)
      : header_(reinterpret_cast<RingHeader*>(memory)),
        line_(reinterpret_cast<ConsumerLine*>(memory + kHeaderPageBytes)),
        slots_(memory + shape.slots_offset()),
        mask_(shape.capacity - 1),
        slot_size_(shape.slot_size),
        size_end_(shape.slot_size - kSlotHeaderBytes + 1) {}

  bool Publish(const Record& record) {
    const uint64_t position = head_;
    if (kGuards && record.size >= size_end_) [[unlikely]]
      return false;
    if (position == limit_) [[unlikely]] {
      FindRoom();
      if (position == limit_) return false;
    }
    SlotHeader* const slot = slot_;
    slot_ = SlotAfter(slot, 1);
    if (kPrefetch) PrefetchForWrite(SlotAfter(slot, kPrefetchAheadSlots), record.size);
    slot_access::CopyPayload(slot_access::Payload(slot), record.payload, record.size);
    slot_access::StoreWord(&slot->wal_seq, record.wal_seq);
    slot_access::StoreWord(slot_access::MetaWord(slot),
                           slot_access::PackMeta(record.type, record.size, 0));
    slot->seq.store(position + 1, std::memory_order_release);
    head_ = position + 1;
    if (kGuards) {
      header_->head.store(position + 1, std::memory_order_release);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (header_->waiters.load(std::memory_order_relaxed) != 0) [[unlikely]]
        return false;
    }
    return true;
  }

  bool Poll(Record* record) {
    const uint64_t position = tail_;
    if (position == release_at_) [[unlikely]] {
      line_->tail.store(position, std::memory_order_release);
      release_at_ = position + kReleaseEvery;
    }
    if (!ReadSlot(SlotAt(position), position, record)) [[unlikely]]
      return false;
    if (kGuards && (record->size >= size_end_ || record->wal_seq != position ||
                    line_->control.load(std::memory_order_relaxed) != live_)) [[unlikely]]
      return false;
    tail_ = position + 1;
    return true;
  }

 private:
  static constexpr uint64_t kReleaseEvery = 64;

  SlotHeader* SlotAt(uint64_t position) const {
    return reinterpret_cast<SlotHeader*>(slots_ + (position & mask_) * slot_size_);
  }
  SlotHeader* SlotAfter(SlotHeader* slot, uint64_t slots) const {
    return reinterpret_cast<SlotHeader*>(reinterpret_cast<std::byte*>(slot) + slots * slot_size_);
  }

  // Up to the end of a lap, as ombus does.
  void FindRoom() {
    const uint64_t end = line_->tail.load(std::memory_order_acquire) + mask_ + 1;
    limit_ = std::min(end, (head_ | mask_) + 1);
    slot_ = SlotAt(head_);
  }

  RingHeader* header_;
  ConsumerLine* line_;
  std::byte* slots_;
  SlotHeader* slot_ = nullptr;
  uint64_t mask_;
  uint64_t slot_size_;
  uint32_t size_end_;
  uint64_t head_ = 0, limit_ = 0, tail_ = 0, release_at_ = 0;
  uint64_t live_ = 0;  // what the line of one who reads says, here
};

class ClassicRing {
 public:
  ClassicRing(std::byte* memory, const RingShape& shape)
      : header_(reinterpret_cast<RingHeader*>(memory)),
        lines_(reinterpret_cast<ConsumerLine*>(memory + kHeaderPageBytes)),
        slots_(memory + shape.slots_offset()),
        shape_(shape) {}

  // The reader joins, before the first record.
  void Join() { lines_[0].control.store(kLive, std::memory_order_release); }

  bool Publish(const Record& record) { return PublishBatch({&record, 1}) == 1; }

  // How many there was room for.
  size_t PublishBatch(std::span<const Record> records) {
    heartbeat_ns_ = NowNs();
    const uint64_t room = shape_.capacity - (head_ - MinTail());
    size_t done = 0;
    for (; done < records.size() && done < room; ++done) Write(head_ + done, records[done]);
    head_ += done;
    header_->head.store(head_, std::memory_order_release);
    return done;
  }

  bool Poll(Record* record) {
    if (!Take(record)) return false;
    lines_[0].tail.store(tail_, std::memory_order_release);
    return true;
  }

  template <typename F>
  size_t Drain(size_t max, F&& f) {
    size_t count = 0;
    Record record;
    for (; count < max && Take(&record); ++count) f(record);
    if (count > 0) lines_[0].tail.store(tail_, std::memory_order_release);
    return count;
  }

  uint64_t heartbeat_ns() const { return heartbeat_ns_; }

 private:
  static constexpr uint64_t kLive = static_cast<uint64_t>(LineState::kLive);

  SlotHeader* SlotAt(uint64_t position) const {
    return reinterpret_cast<SlotHeader*>(slots_ +
                                         (position & (shape_.capacity - 1)) * shape_.slot_size);
  }

  uint64_t MinTail() const {
    uint64_t min_tail = head_;
    for (uint32_t i = 0; i < shape_.max_consumers; ++i) {
      if (lines_[i].control.load(std::memory_order_acquire) != kLive) continue;
      const uint64_t tail = lines_[i].tail.load(std::memory_order_acquire);
      if (tail < min_tail) min_tail = tail;
    }
    return min_tail;
  }

  void Write(uint64_t position, const Record& record) {
    SlotHeader* slot = SlotAt(position);
    std::memcpy(slot_access::Payload(slot), record.payload, record.size);
    slot_access::StoreWord(&slot->wal_seq, record.wal_seq);
    slot_access::StoreWord(slot_access::MetaWord(slot),
                           slot_access::PackMeta(record.type, record.size, 0));
    slot->seq.store(position + 1, std::memory_order_release);
  }

  bool Take(Record* record) {
    if (!ReadSlot(SlotAt(tail_), tail_, record)) return false;
    ++tail_;
    return true;
  }

  RingHeader* header_;
  ConsumerLine* lines_;
  std::byte* slots_;
  RingShape shape_;
  uint64_t head_ = 0, tail_ = 0;
  uint64_t heartbeat_ns_ = 0;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_RING_LIMITS_YARDSTICKS_H_

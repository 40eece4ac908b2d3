// The inline half of Producer: what runs for every record. No system call, no allocation, no clock,
// no fence; the …Slow halves are in ring/producer*.cc. Include ombus/producer.h.
#ifndef OMBUS_PRODUCER_INLINE_H_
#define OMBUS_PRODUCER_INLINE_H_

#include <algorithm>

#include "ombus/producer.h"
#include "ombus/seal_short.h"
#include "ombus/slot_access.h"

namespace ombus {

inline constexpr size_t kPrefetchBytesMax = 512;
inline constexpr size_t kHeadStoreEvery = 32;  // in a batch

inline __attribute__((always_inline)) void Producer::PrefetchAhead(const SlotHeader* from,
                                                                   size_t payload_bytes) const {
  const auto* slot = reinterpret_cast<const std::byte*>(from) + prefetch_ahead_bytes_;
  slot_access::PrefetchForWrite(slot);
  const size_t bytes = kSlotHeaderBytes + payload_bytes;
  if (bytes <= slot_access::kCacheLineBytes) return;
  const size_t end = bytes < kPrefetchBytesMax ? bytes : kPrefetchBytesMax;
  for (size_t at = slot_access::kCacheLineBytes; at < end; at += slot_access::kCacheLineBytes) {
    slot_access::PrefetchForWrite(slot + at);
  }
}

inline void Producer::SealSlot(SlotHeader* slot, uint64_t position, uint64_t wal_seq,
                               uint64_t meta) {
  slot_access::StoreWord(&slot->wal_seq, wal_seq);
  slot_access::StoreWord(slot_access::MetaWord(slot), meta);
  slot->seq.store(position + 1, std::memory_order_release);  // pairs with Poll [record]
}

// A record that needs no seal.
inline __attribute__((always_inline)) void Producer::WriteSlot(SlotHeader* slot, uint64_t position,
                                                               uint64_t wal_seq,
                                                               const void* payload, uint16_t size,
                                                               uint8_t type) {
  PrefetchAhead(slot, size);
  slot_access::CopyPayload(slot_access::Payload(slot), payload, size);
  SealSlot(slot, position, wal_seq, slot_access::PackMeta(type, size, 0));
}

inline SlotHeader* Producer::SlotAfter(SlotHeader* slot) const {
  return reinterpret_cast<SlotHeader*>(reinterpret_cast<std::byte*>(slot) + slot_size_);
}

inline void Producer::StoreHead(uint64_t head, SlotHeader* slot) {
  head_ = head;
  slot_ = slot;
  RingHeader* const header = header_;
  header->head.store(head, std::memory_order_release);  // pairs with run-ahead [head]
  // The sleeper pays for the barrier between the stores above and this load. [wake]
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (header->waiters.load(std::memory_order_relaxed) != 0) [[unlikely]]
    WakeSlow();
}

// The record whose payload is in the slot, and head behind it.
inline __attribute__((always_inline)) void Producer::Show(SlotHeader* slot, uint64_t position,
                                                          uint64_t wal_seq, uint64_t meta) {
  SealSlot(slot, position, wal_seq, meta);
  StoreHead(position + 1, SlotAfter(slot));
}

inline __attribute__((always_inline)) bool Producer::TryPublishShort(uint64_t wal_seq, uint8_t type,
                                                                     const void* payload,
                                                                     size_t size) {
  const uint64_t position = head_;
  if (size >= short_size_end_ || position == limit_) [[unlikely]]
    return false;
  if (size > slot_access::kFirstLinePayloadBytes) __builtin_unreachable();
  SlotHeader* const slot = slot_;
  PrefetchAhead(slot, 0);
  slot_access::CopyShort(slot_access::Payload(slot), static_cast<const std::byte*>(payload), size);
  Show(slot, position, wal_seq, slot_access::PackMeta(type, size, 0));
  return true;
}

// Publishes a record of a sealed stream, if its payload is short and there is room: here, since the
// calls cost as much as the sum, of which g++ leaves out the more the more it knows of the size.
inline __attribute__((always_inline)) bool Producer::PublishSealed(
    [[maybe_unused]] uint64_t position, [[maybe_unused]] const Record& record) {
#if defined(__x86_64__)
  const size_t size = record.size;
  if (size >= short_seal_end_ || position == limit_) return false;
  if (size >= seal_short::kBytesEnd) __builtin_unreachable();
  SlotHeader* const slot = slot_;
  PrefetchAhead(slot, size);
  const uint64_t meta = slot_access::PackMeta(record.type, size, 0);
  // Of the caller's bytes, which are nearer than the slot's. Through a pointer of which g++ knows
  // nothing: it warns of the branches for sizes that the caller's object has not.
  const auto* payload = static_cast<const std::byte*>(record.payload);
  __asm__("" : "+r"(payload));
  const uint64_t seal = seal_short::Seal(record.wal_seq, meta, payload, size);
  slot_access::CopyFewLines(slot_access::Payload(slot), payload, size);
  Show(slot, position, record.wal_seq, meta | seal << 32);
  return true;
#else
  return false;
#endif
}

inline __attribute__((always_inline)) PublishResult Producer::TryPublish(const Record& record) {
  const uint64_t position = head_;
  if (slot_access::Rarely(record.size >= plain_size_end_ || position == limit_)) {
    if (PublishSealed(position, record)) return PublishResult::kOk;
    return TryPublishSlow(record.wal_seq, record.payload, record.size, record.type);
  }
  SlotHeader* const slot = slot_;
  WriteSlot(slot, position, record.wal_seq, record.payload, record.size, record.type);
  StoreHead(position + 1, SlotAfter(slot));
  return PublishResult::kOk;
}

inline __attribute__((always_inline)) PublishResult Producer::Publish(const Record& record,
                                                                      uint64_t timeout_ns) {
  const uint64_t position = head_;
  if (slot_access::Rarely(record.size >= plain_size_end_ || position == limit_)) {
    if (PublishSealed(position, record)) return PublishResult::kOk;
    return PublishSlow(record.wal_seq, record.payload, record.size, record.type, timeout_ns);
  }
  SlotHeader* const slot = slot_;
  WriteSlot(slot, position, record.wal_seq, record.payload, record.size, record.type);
  StoreHead(position + 1, SlotAfter(slot));
  return PublishResult::kOk;
}

inline void* Producer::TryReserve() {
  const uint64_t position = head_;
  if (position == limit_) [[unlikely]] {
    if (FindRoomSlow() != PublishResult::kOk) return nullptr;
  }
  reserved_ = position;
  SlotHeader* const slot = slot_;
  PrefetchAhead(slot, 0);  // how much will be written is not known yet
  void* room = slot_access::Payload(slot);
  if (room == nullptr) __builtin_unreachable();  // or callers look for themselves
  return room;
}

inline PublishResult Producer::Commit(uint64_t wal_seq, uint8_t type, uint16_t size) {
  const uint64_t position = head_;
  if (size >= plain_size_end_ || position != reserved_) [[unlikely]]
    return CommitSlow(wal_seq, type, size);
  SlotHeader* const slot = slot_;
  Show(slot, position, wal_seq, slot_access::PackMeta(type, size, 0));
  return PublishResult::kOk;
}

// A Fill under way. What has its seq can be read, and counts, also if a callback throws.
struct Producer::Filling {
  Producer* producer;
  size_t* published;
  uint64_t first, position;
  SlotHeader* slot;

  void Show() const {
    if (position != producer->head_) producer->StoreHead(position, slot);
  }
  ~Filling() {
    Show();
    const size_t done = position - first;
    if (done > 0) producer->CountBatch(done);
    if (published != nullptr) *published = done;
  }
};

template <typename F>
PublishResult Producer::Fill(size_t count, F&& f, uint64_t timeout_ns, size_t* published) {
  Filling at{this, published, head_, head_, slot_};
  reserved_ = head_ - 1;  // the room is ours
  for (uint64_t left = count; left > 0; left = count - (at.position - at.first)) {
    if (head_ == limit_) [[unlikely]] {
      const PublishResult result = RoomSlow(timeout_ns);
      if (result != PublishResult::kOk) return result;
    }
    at.slot = slot_;  // the ring's first again, after a lap
    const uint64_t end = head_ + std::min({left, uint64_t{kHeadStoreEvery}, limit_ - head_});
    for (; at.position != end; ++at.position, at.slot = SlotAfter(at.slot)) {
      SlotHeader* const slot = at.slot;
      void* room = slot_access::Payload(slot);
      const Written written = f(room, static_cast<size_t>(at.position - at.first));
      PrefetchAhead(slot, written.size);  // of a size that is known by now
      uint64_t meta = slot_access::PackMeta(written.type, written.size, 0);
      if (written.size >= plain_size_end_) [[unlikely]] {
        if (written.size > payload_max_) return PublishResult::kTooLarge;
        meta = MetaSlow(written.wal_seq, written.type, written.size, room);
      }
      SealSlot(slot, at.position, written.wal_seq, meta);
    }
    at.Show();
  }
  return PublishResult::kOk;
}

}  // namespace ombus

#endif  // OMBUS_PRODUCER_INLINE_H_

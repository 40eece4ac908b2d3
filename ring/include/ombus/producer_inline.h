// The inline half of Producer: what runs for every record. No system call, no allocation, no clock,
// no fence; the …Slow halves are in ring/producer.cc. Include ombus/producer.h.
#ifndef OMBUS_PRODUCER_INLINE_H_
#define OMBUS_PRODUCER_INLINE_H_

#include "ombus/producer.h"
#include "ombus/slot_access.h"

namespace ombus {

// Far enough to hide the transfer of a line from the consumer's core (17.5 against 27 ns a record
// without), near enough to be still there when it is written.
inline constexpr uint64_t kPrefetchAheadSlots = 8;
inline constexpr size_t kPrefetchBytesMax = 512;
inline constexpr size_t kHeadStoreEvery = 32;  // in a batch

inline void Producer::PrefetchAhead(uint64_t position, size_t payload_bytes) const {
  const auto* slot = reinterpret_cast<const std::byte*>(SlotAt(position + kPrefetchAheadSlots));
  slot_access::PrefetchForWrite(slot);
  const size_t bytes = kSlotHeaderBytes + payload_bytes;
  if (bytes <= slot_access::kCacheLineBytes) return;
  const size_t end = bytes < kPrefetchBytesMax ? bytes : kPrefetchBytesMax;
  for (size_t at = slot_access::kCacheLineBytes; at < end; at += slot_access::kCacheLineBytes) {
    slot_access::PrefetchForWrite(slot + at);
  }
}

inline void Producer::SealSlot(SlotHeader* slot, uint64_t position, uint64_t wal_seq, uint8_t type,
                               uint16_t size) {
  uint64_t meta = slot_access::PackMeta(type, size, 0);
  if (crc32c_ != nullptr) [[unlikely]] {
    meta |= uint64_t{SealOf(wal_seq, meta, slot_access::Payload(slot), size)} << 32;
  }
  slot_access::StoreWord(&slot->wal_seq, wal_seq);
  slot_access::StoreWord(slot_access::MetaWord(slot), meta);
  slot->seq.store(position + 1, std::memory_order_release);  // pairs with Poll [record]
}

inline __attribute__((always_inline)) void Producer::WriteSlot(uint64_t position,
                                                               const Record& record) {
  PrefetchAhead(position, record.size);
  SlotHeader* slot = SlotAt(position);
  slot_access::CopyPayload(slot_access::Payload(slot), record.payload, record.size);
  SealSlot(slot, position, record.wal_seq, record.type, record.size);
}

inline void Producer::StoreHead(uint64_t head) {
  head_ = head;
  header_->head.store(head, std::memory_order_release);  // pairs with run-ahead [head]
  // The sleeper pays for the barrier between the stores above and this load. [wake]
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (header_->waiters.load(std::memory_order_relaxed) != 0) [[unlikely]]
    WakeSlow();
}

inline PublishResult Producer::TryPublish(const Record& record) {
  if (record.size > payload_max_) [[unlikely]]
    return PublishResult::kTooLarge;
  const uint64_t position = head_;
  if (position == limit_) [[unlikely]] {
    const PublishResult room = FindRoomSlow();
    if (room != PublishResult::kOk) return room;
  }
  WriteSlot(position, record);
  StoreHead(position + 1);
  return PublishResult::kOk;
}

inline PublishResult Producer::Publish(const Record& record, uint64_t timeout_ns) {
  if (record.size > payload_max_) [[unlikely]]
    return PublishResult::kTooLarge;
  const uint64_t position = head_;
  if (position == limit_) [[unlikely]] {
    const PublishResult room = WaitForRoomSlow(timeout_ns);
    if (room != PublishResult::kOk) return room;
  }
  WriteSlot(position, record);
  StoreHead(position + 1);
  return PublishResult::kOk;
}

inline void* Producer::TryReserve() {
  if (head_ == limit_) [[unlikely]] {
    if (FindRoomSlow() != PublishResult::kOk) return nullptr;
  }
  PrefetchAhead(head_, 0);  // how much will be written is not known yet
  return slot_access::Payload(SlotAt(head_));
}

inline PublishResult Producer::Commit(uint64_t wal_seq, uint8_t type, uint16_t size) {
  if (size > payload_max_) [[unlikely]]
    return PublishResult::kTooLarge;
  const uint64_t position = head_;
  if (position == limit_) [[unlikely]] {  // nothing was reserved, or it was closed since
    const PublishResult room = FindRoomSlow();
    if (room != PublishResult::kOk) return room;
  }
  SealSlot(SlotAt(position), position, wal_seq, type, size);
  StoreHead(position + 1);
  return PublishResult::kOk;
}

}  // namespace ombus

#endif  // OMBUS_PRODUCER_INLINE_H_

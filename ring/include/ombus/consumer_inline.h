// The inline half of Consumer: what runs for every record. No system call, no allocation, no clock;
// the …Slow halves are in ring/consumer.cc. Include ombus/consumer.h.
#ifndef OMBUS_CONSUMER_INLINE_H_
#define OMBUS_CONSUMER_INLINE_H_

#include "ombus/consumer.h"
#include "ombus/slot_access.h"

namespace ombus {

// After so many records found one by one there probably are more: look at head once and run.
inline constexpr uint32_t kHitsBeforeRunAhead = 4;
inline constexpr uint64_t kConsumerPrefetchSlots = 16;
inline constexpr size_t kConsumerPrefetchBytesMax = 256;

// Whether a poll that ended so returned a record.
inline constexpr bool IsRecord(PollResult result) {
  return result == PollResult::kRecord || result == PollResult::kGap ||
         result == PollResult::kReorder;
}

inline void Consumer::StoreTail() {
  line_->wal_seq.store(wal_seq_, std::memory_order_relaxed);
  line_->tail.store(tail_, std::memory_order_release);  // pairs with the producer's scan [tail]
  stored_tail_ = tail_;
}

// Called when all that was returned before is done with, hence never gives up a view still held.
inline void Consumer::ReleaseWhenDue() {
  if (tail_ - stored_tail_ >= release_every_) [[unlikely]]
    StoreTail();
  view_ = live_;
}

// Whether our line still is what it was when its control was `live`. Urged is fine too.
inline bool Consumer::LineIsOurs(uint64_t live) const {
  constexpr uint64_t kUrgedBit = kLineUrged ^ static_cast<uint64_t>(LineState::kLive);
  return (line_->control.load(std::memory_order_acquire) | kUrgedBit) == (live | kUrgedBit);
}

inline bool Consumer::valid() const {
  slot_access::LoadFence();  // after the caller's reads of the payload [evict]
  return LineIsOurs(view_);
}

inline void Consumer::Release() {
  view_ = live_;
  if (tail_ != stored_tail_) StoreTail();
  if (line_->control.load(std::memory_order_relaxed) != live_) [[unlikely]]
    AnswerUrge();
}

// Prefetches inside the bound only: a line the producer is still to write would be torn from it.
inline void Consumer::Prefetch(uint64_t position) {
  const uint64_t ahead = position + kConsumerPrefetchSlots;
  while (prefetched_ != bound_ && prefetched_ != ahead) {
    __builtin_prefetch(SlotAt(prefetched_++));
  }
}

// Whether the record at position is published. Looks at its seq, and after some hits at head.
inline bool Consumer::Advance(const SlotHeader* slot, uint64_t position) {
  if (slot->seq.load(std::memory_order_acquire) != position + 1) return false;  // [record]
  if (++hits_ > kHitsBeforeRunAhead) {
    const uint64_t ahead = header_->head.load(std::memory_order_acquire) - position;  // [head]
    if (ahead - 1 <= mask_) {  // 1…capacity; anything else is no bound
      bound_ = position + ahead;
      if (ahead == 1) hits_ = 0;  // at the live edge: leave the producer's head alone for a while
    }
  }
  // After seq and head: records of a new epoch are not passed off as the old one's. [epoch]
  return header_->epoch.load(std::memory_order_relaxed) == epoch_;
}

inline void Consumer::CheckSequence(Record* record) {
  const uint64_t wal_seq = record->wal_seq;
  wal_seq_ = wal_seq;
  if (wal_seq == expected_wal_seq_) [[likely]] {
    expected_wal_seq_ = wal_seq + 1;
  } else {
    CheckSequenceSlow(record);
  }
}

// Takes the record at tail_ if it is there and sound. If not, PollSlow finds out why.
inline __attribute__((always_inline)) bool Consumer::Take(Record* record) {
  const uint64_t position = tail_;
  const SlotHeader* slot = SlotAt(position);
  if (position == bound_) {
    if (!Advance(slot, position)) {
      bound_ = position;
      return false;
    }
    prefetched_ = position + 1;
    if (position == bound_) bound_ = position + 1;
  }
  Prefetch(position);
  const uint64_t wal_seq = slot_access::LoadWord(&slot->wal_seq);
  const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
  const uint16_t size = slot_access::MetaLength(meta);
  if (size > payload_max_) [[unlikely]]
    return false;
  if (crc32c_ != nullptr) [[unlikely]] {
    if (!SealHolds(wal_seq, meta, slot_access::Payload(slot))) return false;
  }
  // After the slot's words: while the line is ours, what was read has not been overwritten. [evict]
  if (line_->control.load(std::memory_order_relaxed) != live_) [[unlikely]]
    return false;
  record->wal_seq = wal_seq;
  record->payload = slot_access::Payload(slot);
  record->size = size;
  record->type = slot_access::MetaType(meta);
  record->flags = 0;
  tail_ = position + 1;
  CheckSequence(record);
  return true;
}

inline PollResult Consumer::ResultOf(const Record& record) const {
  if (record.flags == 0) [[likely]]
    return PollResult::kRecord;
  if ((record.flags & kRecordGap) != 0) return PollResult::kGap;
  return reject_reorder_ ? PollResult::kReorder : PollResult::kRecord;
}

inline PollResult Consumer::Poll(Record* record) {
  ReleaseWhenDue();
  if (!Take(record)) [[unlikely]]
    return PollSlow(record);
  return ResultOf(*record);
}

inline BatchResult Consumer::PollBatch(std::span<Record> out) {
  ReleaseWhenDue();
  BatchResult result = {.count = 0, .end = PollResult::kRecord};
  while (result.count < out.size()) {
    if (!Take(&out[result.count])) [[unlikely]] {
      result.end = result.count > 0 ? AfterBatch() : PollSlow(&out[0]);
      if (result.count > 0 || !IsRecord(result.end)) return result;
    }
    ++result.count;
  }
  result.end = PollResult::kRecord;
  return result;
}

template <typename F>
BatchResult Consumer::Drain(size_t max, F&& f) {
  BatchResult result;
  Record record;
  while (result.count < max) {
    ReleaseWhenDue();
    if (!Take(&record)) {
      if (result.count > 0) {
        result.end = AfterBatch();
        return result;
      }
      result.end = PollSlow(&record);
      if (!IsRecord(result.end)) return result;
    }
    f(static_cast<const Record&>(record));
    ++result.count;
  }
  result.end = PollResult::kRecord;
  return result;
}

}  // namespace ombus

#endif  // OMBUS_CONSUMER_INLINE_H_

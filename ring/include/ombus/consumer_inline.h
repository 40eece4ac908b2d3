// The inline half of Consumer: what runs for every record. No system call, no allocation, no clock;
// the …Slow halves are in ring/consumer.cc. Include ombus/consumer.h.
#ifndef OMBUS_CONSUMER_INLINE_H_
#define OMBUS_CONSUMER_INLINE_H_

#include "ombus/consumer.h"
#include "ombus/slot_access.h"

namespace ombus {

// Records whose lines are fetched ahead of the one being read.
inline constexpr uint64_t kConsumerPrefetchSlots = 16;

// Whether a poll that ended so returned a record.
inline constexpr bool IsRecord(PollResult result) {
  return result == PollResult::kRecord || result == PollResult::kGap ||
         result == PollResult::kReorder;
}

inline void Consumer::StoreTail() {
  line_->wal_seq.store(wal_seq_, std::memory_order_relaxed);
  line_->tail.store(tail_, std::memory_order_release);  // pairs with the producer's scan [tail]
  stored_tail_ = tail_;
  release_at_ = tail_ + release_every_;
}

// Called when all that was returned before is done with, hence never gives up a view still held.
inline void Consumer::ReleaseWhenDue() {
  if (static_cast<int64_t>(tail_ - release_at_) >= 0) [[unlikely]]
    StoreTail();
}

// Whether our line still is what it was when its control was `live`. Urged is fine too.
inline bool Consumer::LineIsOurs(uint64_t live) const {
  constexpr uint64_t kUrgedBit = kLineUrged ^ static_cast<uint64_t>(LineState::kLive);
  return (line_->control.load(std::memory_order_relaxed) | kUrgedBit) == (live | kUrgedBit);
}

inline bool Consumer::valid() const {
  slot_access::LoadFence();  // after the caller's reads of the payload [evict]
  return LineIsOurs(view_);
}

inline void Consumer::Release() {
  if (tail_ != stored_tail_) StoreTail();
  if (line_->control.load(std::memory_order_relaxed) != live_) [[unlikely]]
    AnswerUrge();
}

// Whether the record at position, the first that is not known to be published, is. Looks at its
// seq; every so often RunAheadSlow looks at head too, and records up to there need no look.
inline __attribute__((always_inline)) bool Consumer::Advance(const SlotHeader* slot,
                                                             uint64_t position) {
  if (slot->seq.load(std::memory_order_acquire) != position + 1) return false;  // [record]
  const uint64_t bound = --looks_before_head_ == 0 ? RunAheadSlow(position) : position + 1;
  // After seq and head: records of a new epoch are not passed off as the old one's. [epoch]
  if (header_->epoch.load(std::memory_order_relaxed) != epoch_) [[unlikely]]
    return false;
  bound_ = bound;
  return true;
}

// Takes the record at tail_ if it is there and sound, but for its sequence. If not, PollSlow finds
// out why.
inline __attribute__((always_inline)) bool Consumer::Take(Record* record) {
  const uint64_t position = tail_;
  const SlotHeader* slot = SlotAt(position);
  const uint64_t known = bound_ - position;
  if (known == 0) {
    if (!Advance(slot, position)) return false;
  } else if (known > kConsumerPrefetchSlots) {
    // Inside the bound only: a line the producer is still to write would be torn from it.
    __builtin_prefetch(SlotAt(position + kConsumerPrefetchSlots));
  }
  const uint64_t wal_seq = slot_access::LoadWord(&slot->wal_seq);
  const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
  const uint16_t size = slot_access::MetaLength(meta);
  if (size >= plain_size_end_) [[unlikely]] {
    if (!SoundSlow(wal_seq, meta, slot_access::Payload(slot))) return false;
  }
  // After the slot's words: while the line is ours, what was read has not been overwritten. [evict]
  if (line_->control.load(std::memory_order_relaxed) != live_) [[unlikely]]
    return false;
  record->wal_seq = wal_seq;
  record->payload = slot_access::Payload(slot);
  slot_access::UnpackMeta(meta, record);
  wal_seq_ = wal_seq;
  tail_ = position + 1;
  return true;
}

// Whether the record just taken is the expected one. If not, OutOfSequence says what it is.
inline __attribute__((always_inline)) bool Consumer::InSequence() {
  const bool in_sequence = wal_seq_ == expected_wal_seq_;
  if (in_sequence) expected_wal_seq_ = wal_seq_ + 1;
  return in_sequence;
}

inline PollResult Consumer::Poll(Record* record) {
  ReleaseWhenDue();
  if (!Take(record)) [[unlikely]]
    return PollSlow(record);
  if (!InSequence()) [[unlikely]]
    return OutOfSequence(record);
  return PollResult::kRecord;
}

template <size_t kBytesMax>
inline __attribute__((always_inline)) bool Consumer::TryCopyOut(std::byte* to, Record* record) {
  static_assert(kBytesMax <= slot_access::kInlineCopyBytesMax);
  const uint64_t position = tail_;
  const SlotHeader* slot = SlotAt(position);
  if (slot->seq.load(std::memory_order_acquire) != position + 1) return false;  // [record]
  const uint64_t wal_seq = slot_access::LoadWord(&slot->wal_seq);
  const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
  const uint32_t size = static_cast<uint32_t>(meta) >> 16;
  if (wal_seq != expected_wal_seq_ || size >= plain_size_end_ || size > kBytesMax ||
      epoch_changed()) [[unlikely]]
    return false;
  if (bound_ == position) {
    // Before the copy: whoever spins in it may be evicted meanwhile.
    if (looks_before_head_ == 1) [[unlikely]]
      return false;
    --looks_before_head_;
    bound_ = position + 1;
  }
  slot_access::CopyInline(to, slot_access::Payload(slot), size);
  slot_access::LoadFence();  // the copy before the look at control [evict]
  // One look is enough for both: nothing read so far was overwritten, and nobody urges us. [evict]
  ConsumerLine* const line = line_;
  if (line->control.load(std::memory_order_relaxed) != live_) [[unlikely]]
    return false;
  wal_seq_ = wal_seq;
  expected_wal_seq_ = wal_seq + 1;
  tail_ = position + 1;
  // Not StoreTail: that stored_tail_ and release_at_ lag behind costs the next Poll one store more.
  line->wal_seq.store(wal_seq, std::memory_order_relaxed);
  line->tail.store(position + 1, std::memory_order_release);  // [tail]
  record->wal_seq = wal_seq;
  record->payload = to;
  record->size = static_cast<uint16_t>(size);
  record->type = slot_access::MetaType(meta);
  record->flags = 0;
  return true;
}

inline BatchResult Consumer::PollBatch(std::span<Record> out) {
  ReleaseWhenDue();
  BatchResult result = {.count = 0, .end = PollResult::kRecord};
  while (result.count < out.size()) {
    Record* record = &out[result.count];
    if (!Take(record)) [[unlikely]] {
      result.end = result.count > 0 ? AfterBatch() : PollSlow(record);
      if (!IsRecord(result.end) || result.count > 0) return result;
    } else if (!InSequence()) [[unlikely]] {
      (void)OutOfSequence(record);
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
    if (!Take(&record)) [[unlikely]] {
      if (result.count > 0) {
        result.end = AfterBatch();
        return result;
      }
      result.end = PollSlow(&record);
      if (!IsRecord(result.end)) return result;
    } else if (!InSequence()) [[unlikely]] {
      (void)OutOfSequence(&record);
    }
    f(static_cast<const Record&>(record));
    ++result.count;
  }
  result.end = PollResult::kRecord;
  return result;
}

}  // namespace ombus

#endif  // OMBUS_CONSUMER_INLINE_H_

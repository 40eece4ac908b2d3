// The inline half of Consumer: what runs for every record. No system call, no allocation, no clock;
// the …Slow halves are in ring/consumer.cc. Include ombus/consumer.h.
#ifndef OMBUS_CONSUMER_INLINE_H_
#define OMBUS_CONSUMER_INLINE_H_

#include "ombus/consumer.h"
#include "ombus/seal_short.h"
#include "ombus/slot_access.h"

namespace ombus {

// Whether a poll that ended so returned a record.
inline constexpr bool IsRecord(PollResult result) {
  return result == PollResult::kRecord || result == PollResult::kGap ||
         result == PollResult::kReorder;
}

inline void Consumer::StoreTail() {
  line_->wal_seq.store(wal_seq(), std::memory_order_relaxed);
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

// Whether the record is sound: its length is possible, and if the stream is sealed its seal holds.
// Also fetches the other lines of the record that is to be fetched: checking a payload waits for
// them, where most readers do not. Short ones are checked here: a call costs a third of the check.
inline __attribute__((always_inline)) bool Consumer::Sound(const SlotHeader* slot, uint64_t wal_seq,
                                                           uint64_t meta) const {
#if defined(__x86_64__)
  const size_t size = slot_access::InOneRegister(slot_access::MetaLength(meta));
  if (size < short_seal_end_) [[likely]] {
    if (size > slot_access::kFirstLinePayloadBytes &&
        static_cast<int64_t>(tail_ - fetch_end_) < 0) {
      const auto* ahead = reinterpret_cast<const std::byte*>(slot) + fetch_ahead_bytes_;
      __builtin_prefetch(ahead + slot_access::kCacheLineBytes);
      if (size > slot_access::kFirstLinePayloadBytes + slot_access::kCacheLineBytes) [[unlikely]]
        __builtin_prefetch(ahead + 2 * slot_access::kCacheLineBytes);
    }
    if (size >= seal_short::kBytesEnd) __builtin_unreachable();
    const uint32_t seal =
        seal_short::Seal(wal_seq, meta & 0xFFFFFFFF, slot_access::Payload(slot), size);
    const bool holds = seal == slot_access::MetaCrc(meta);
    // Before the caller's look at its line [evict]. This processor keeps loads in order.
    std::atomic_signal_fence(std::memory_order_acquire);
    return holds;
  }
#endif
  return SoundSlow(wal_seq, meta, slot_access::Payload(slot));
}

// Takes the record at tail_, whose seq was seen, if it is sound.
inline __attribute__((always_inline)) bool Consumer::TakeFrom(const SlotHeader* slot,
                                                              uint64_t position, Record* record) {
  const uint64_t wal_seq = slot_access::LoadWord(&slot->wal_seq);
  const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
  if (slot_access::Rarely(slot_access::MetaLength(meta) >= plain_size_end_)) {
    if (!Sound(slot, wal_seq, meta)) return false;
  }
  // After the slot's words: while the line is ours, what was read has not been overwritten. [evict]
  if (line_->control.load(std::memory_order_relaxed) != live_) [[unlikely]]
    return false;
  record->wal_seq = wal_seq;
  record->payload = slot_access::Payload(slot);
  slot_access::UnpackMeta(meta, record);
  tail_ = position + 1;
  return true;
}

// Takes the record at tail_ if it is there and sound, and nothing else is due. If not, PollSlow
// finds out why. That the epoch is still the same needs no look: who begins another urges us before
// its first record. [epoch]
inline __attribute__((always_inline)) bool Consumer::Take(Record* record) {
  const uint64_t position = tail_;
  const SlotHeader* slot = SlotAt(position);
  if (position == stop_ || slot->seq.load(std::memory_order_acquire) != position + 1)  // [record]
      [[unlikely]]
    return false;
  // Not a line that the producer is still to write: it would be torn from it.
  if (static_cast<int64_t>(position - fetch_end_) < 0)
    __builtin_prefetch(reinterpret_cast<const std::byte*>(slot) + fetch_ahead_bytes_);
  return TakeFrom(slot, position, record);
}

inline void Consumer::HoldBack() { stop_ = tail_; }

// Whether the record that Take took is the expected one. If not, Classify says what it is.
inline __attribute__((always_inline)) bool Consumer::InSequence(const Record& record) const {
  return record.wal_seq - (tail_ - 1) == wal_seq_offset_;
}

// The slow halves get a record of their own: the caller's, whose address is then never given away,
// can stay in registers.
inline __attribute__((always_inline)) PollResult Consumer::PolledSlowly(Record* record) {
  Record own;
  const PollResult result = PollSlow(&own);
  if (IsRecord(result)) *record = own;
  return result;
}

inline __attribute__((always_inline)) bool Consumer::TakenMore(Record* record) {
  Record own;
  const bool taken = TakeMore(&own);
  if (taken) *record = own;
  return taken;
}

inline __attribute__((always_inline)) PollResult Consumer::Classified(Record* record) {
  Record own = *record;
  const PollResult result = Classify(&own);
  record->flags = own.flags;
  return result;
}

inline __attribute__((always_inline)) PollResult Consumer::Poll(Record* record) {
  ReleaseWhenDue();
  if (!Take(record)) [[unlikely]]
    return PolledSlowly(record);
  if (!InSequence(*record)) [[unlikely]]
    return Classified(record);
  return PollResult::kRecord;
}

// A payload as large as that is not one for TryCopyOut.
template <size_t kBytesMax>
inline __attribute__((always_inline)) size_t Consumer::CopyableSizeEnd() const {
  if (kBytesMax == slot_access::kFirstLinePayloadBytes) return short_size_end_;
  return plain_size_end_ > kBytesMax ? kBytesMax + 1 : plain_size_end_;
}

template <size_t kBytesMax>
inline __attribute__((always_inline)) bool Consumer::TryCopyOut(std::byte* to, Record* record) {
  static_assert(kBytesMax <= slot_access::kInlineCopyBytesMax);
  const uint64_t position = tail_;
  const SlotHeader* slot = SlotAt(position);
  if (position == stop_ || slot->seq.load(std::memory_order_acquire) != position + 1)  // [record]
      [[unlikely]]
    return false;
  const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
  const size_t size = slot_access::InOneRegister(slot_access::MetaLength(meta));
  if (slot_access::LoadWord(&slot->wal_seq) != position + wal_seq_offset_ ||
      size >= CopyableSizeEnd<kBytesMax>()) [[unlikely]]
    return false;
  if (size > kBytesMax) __builtin_unreachable();
  if (kBytesMax == slot_access::kFirstLinePayloadBytes) {
    slot_access::CopyShort(to, slot_access::Payload(slot), size);
  } else {
    slot_access::CopyInline(to, slot_access::Payload(slot), size);
  }
  slot_access::LoadFence();  // the copy before the look at control [evict]
  // One look is enough for both: nothing read so far was overwritten, and nobody urges us. [evict]
  ConsumerLine* const line = line_;
  if (line->control.load(std::memory_order_relaxed) != live_) [[unlikely]]
    return false;
  // Loaded again, not kept over the copy, which needs the registers.
  const uint64_t next = tail_ + 1, wal_seq = tail_ + wal_seq_offset_;
  tail_ = next;
  // Not StoreTail: that stored_tail_ and release_at_ lag behind costs the next Poll one store more.
  line->wal_seq.store(wal_seq, std::memory_order_relaxed);
  line->tail.store(next, std::memory_order_release);  // [tail]
  record->wal_seq = wal_seq;
  record->payload = to;
  slot_access::UnpackMeta(meta, record);
  return true;
}

// The next record of a batch that has so many. False: none, and batch->end says why.
inline __attribute__((always_inline)) bool Consumer::TakeNext(BatchResult* batch, Record* record) {
  if (Take(record)) [[likely]] {
    if (!InSequence(*record)) [[unlikely]]
      (void)Classified(record);
    return true;
  }
  if (batch->count == 0) {
    batch->end = PolledSlowly(record);
    return IsRecord(batch->end);
  }
  if (TakenMore(record)) return true;
  batch->end = AfterBatch();
  return false;
}

inline BatchResult Consumer::PollBatch(std::span<Record> out) {
  ReleaseWhenDue();
  BatchResult result;
  for (; result.count < out.size(); ++result.count) {
    if (!TakeNext(&result, &out[result.count])) return result;
  }
  result.end = PollResult::kRecord;
  return result;
}

template <typename F>
BatchResult Consumer::Drain(size_t max, F&& f) {
  BatchResult result;
  Record record;
  for (; result.count < max; ++result.count) {
    ReleaseWhenDue();
    if (!TakeNext(&result, &record)) return result;
    f(static_cast<const Record&>(record));
  }
  result.end = PollResult::kRecord;
  return result;
}

}  // namespace ombus

#endif  // OMBUS_CONSUMER_INLINE_H_

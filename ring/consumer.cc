// The slow halves of Consumer: everything a poll may have to say that is not "here is the next
// record". Attaching and leaving are in consumer_open.cc, sleeping in consumer_wait.cc.
#include "ombus/consumer.h"

#include <algorithm>

#include "ring/clock.h"
#include "ring/consumer_cold.h"
#include "ring/crc32c_inline.h"
#include "ring/fence.h"

namespace ombus {
namespace {

constexpr uint32_t kLooksBeforeHeadMax = 1 << 16;
// How often an empty poll looks at head, which its producer writes all the time: only for slots
// whose seq was damaged, where looking at seq alone would wait for ever.
constexpr uint32_t kLookAtHeadEvery = 64;
// No line ever holds it, so every poll takes its slow half.
constexpr uint64_t kNeverLive = ~uint64_t{0} << 2;

}  // namespace

// Makes our line hold the producer back from its head on. Announce, fence, look again: the
// producer's scan does the mirror image. [join]
void Consumer::Join() {
  Announce(header_->head.load(std::memory_order_relaxed));
  MoveTo(header_->head.load(std::memory_order_relaxed));
  StoreTail();
}

void Consumer::Announce(uint64_t tail) {
  // The lock makes it ours. Acquired: our store below takes the place of the one with which its
  // former owner left, and the producer, who sees only ours, must know those reads to be over.
  // [leave]
  const uint64_t control = line_->control.load(std::memory_order_acquire);
  live_ = (((control >> 2) + 1) << 2) | static_cast<uint64_t>(LineState::kLive);
  // Released: a producer that still takes the line for its former owner's, and finds this tail in
  // it, overwrites what that one has read. [tail]
  line_->tail.store(tail, std::memory_order_release);
  // Released: who sees us live sees this tail, and not a former owner's, which may be further.
  // [join]
  line_->control.store(live_, std::memory_order_release);
  FullFence();
}

// The same from the epoch's first record. The producer scans at the end of the epoch's first lap
// whatever the tails: so while its head is before that end, nothing of the epoch is overwritten
// without a look at our line. [join]
void Consumer::JoinAtEpochStart() {
  const uint64_t start = header_->epoch_position.load(std::memory_order_relaxed);  // [epoch]
  Announce(start);
  const uint64_t head = header_->head.load(std::memory_order_acquire);  // [head]
  const bool all_there =
      head - start <= mask_ && header_->epoch.load(std::memory_order_acquire) == epoch_;  // [epoch]
  if (!all_there && static_cast<int64_t>(head - start) > 0) missed_records_ = head - start;
  MoveTo(all_there ? start : head);
  StoreTail();
}

void Consumer::MoveTo(uint64_t position) {
  if (first_position_ == tail_) first_position_ = position;  // nothing was read so far
  wal_seq_offset_ += tail_ - position;                       // the same sequence is expected
  tail_ = look_at_ = stop_ = position;  // the next record's view is taken in PollSlow
  SetBound(position);
}

void Consumer::SetBound(uint64_t bound) {
  bound_ = bound;
  fetch_end_ = bound - fetch_ahead_slots_;
}

// How far Take may go. It does not tell the last sequence from the one before the expected one.
void Consumer::SetStop() {
  const bool all_is_well = behind_ == 1 && static_cast<int64_t>(look_at_ - tail_) > 0;
  stop_ = all_is_well ? look_at_ : tail_;
}

// How far records are known to be published: head, if that is a bound at all. Within it their lines
// can be fetched ahead, and a slot without its seq is damaged.
//
// Only a run of records found one after another leads here. Who follows a busy producer at its
// heels takes each line from it while it is being written, and head, too: then both wait for lines
// most of the time. So near the live edge we let the producer get ahead for a moment (not so with
// RingProfile::kLatency), and take many records at once.
uint64_t Consumer::RunAhead(uint64_t position) {
  uint64_t ahead = header_->head.load(std::memory_order_acquire) - position;  // [head]
  if (static_cast<int64_t>(ahead) < int64_t{cold_->near_records})
    ahead = LetGetAhead(position, ahead);
  const bool known = ahead - 1 <= mask_;  // 1…capacity; anything else is no bound
  const uint64_t bound = position + (known ? ahead : 1);
  // At the live edge: leave the producer's head alone for a while. Else look again at the end.
  look_at_ = ahead == 1 ? position + cold_->looks_before_head : bound;
  if (!known) return bound;
  const uint64_t fetched = std::min(ahead, fetch_ahead_slots_ + 1);
  for (uint64_t i = 1; i < fetched; ++i) __builtin_prefetch(SlotAt(position + i));
  return bound;
}

uint64_t Consumer::LetGetAhead(uint64_t position, uint64_t ahead) {
  const uint32_t steps = cold_->near_wait.Steps();
  if (steps == 0) return ahead;
  for (uint32_t i = 0; i < steps; ++i) CpuRelax();
  const uint64_t now = header_->head.load(std::memory_order_acquire) - position;  // [head]
  cold_->near_wait.Gained(now - ahead);
  uint32_t& looks = cold_->looks_before_head;
  looks = now != ahead ? Cold::kLooksBeforeHead : std::min(2 * looks, kLooksBeforeHeadMax);
  return now;
}

// Called for the sealed records that Sound does not check itself, and for impossible lengths.
bool Consumer::SoundSlow(uint64_t wal_seq, uint64_t meta, const void* payload) const {
  if (slot_access::MetaLength(meta) > payload_max_) return false;
  return seal_check_(*this, wal_seq, meta, payload);
}

// Whether a record's seal holds. Also fetches the lines but the first of the record that is to be
// fetched: checking a payload waits for each of its lines, where most readers do not.
struct Consumer::SealChecks {
  static bool Compare(uint32_t seal, uint64_t meta) {
    const bool holds = seal == slot_access::MetaCrc(meta);
    AcquireFence();  // before the caller's look at its line [evict]
    return holds;
  }

  // The slot to fetch, else one that is at hand.
  static const std::byte* Ahead(const Consumer& consumer, const void* payload) {
    const auto* slot = static_cast<const std::byte*>(payload) - kSlotHeaderBytes;
    const bool known = static_cast<int64_t>(consumer.tail_ - consumer.fetch_end_) < 0;
    if (known) [[likely]]
      return slot + consumer.fetch_ahead_bytes_;
    return slot;
  }

  static void PrefetchRest(const std::byte* slot, size_t size) {
    const size_t end = kSlotHeaderBytes + size;
    for (size_t at = slot_access::kCacheLineBytes; at < end; at += slot_access::kCacheLineBytes)
      __builtin_prefetch(slot + at);
  }

  static bool ByFunction(const Consumer& consumer, uint64_t wal_seq, uint64_t meta,
                         const void* payload) {
    const size_t size = slot_access::MetaLength(meta);
    PrefetchRest(Ahead(consumer, payload), size);
    return Compare(consumer.seal_(wal_seq, meta & 0xFFFFFFFF, payload, size), meta);
  }

#if defined(__x86_64__)
  // seal_short::kBytesEnd or more.
  OMBUS_CLMUL_TARGET static bool Long(const Consumer& consumer, uint64_t wal_seq, uint64_t meta,
                                      const void* payload) {
    const size_t size = slot_access::MetaLength(meta);
    if (size > crc32c::kLongBytesMax) return ByFunction(consumer, wal_seq, meta, payload);
    const std::byte* ahead = Ahead(consumer, payload);
    __builtin_prefetch(ahead + slot_access::kCacheLineBytes);
    const std::byte* line = ahead + kSlotHeaderBytes - 1 + size;
    const auto* bytes = static_cast<const uint8_t*>(payload);
    const uint32_t seal = crc32c::SealLong(wal_seq, meta & 0xFFFFFFFF, bytes, size, [&line] {
      __builtin_prefetch(line);
      line -= crc32c::kStepBytes;
    });
    return Compare(seal, meta);
  }
#endif
};

Consumer::SealCheck Consumer::ResolveSealCheck() {
#if defined(__x86_64__)
  if (crc32c::Usable()) return SealChecks::Long;
#endif
  return SealChecks::ByFunction;
}

// The record at tail_, whatever its sequence, if it is there and sound; nothing that was returned
// is still in use, or it is wanted in the same batch.
bool Consumer::TakeSlow(Record* record) {
  const uint64_t position = tail_;
  const SlotHeader* slot = SlotAt(position);
  if (slot->seq.load(std::memory_order_acquire) != position + 1) return false;  // [record]
  if (!InRun()) {
    const bool due = static_cast<int64_t>(position - look_at_) >= 0;
    SetBound(due ? RunAhead(position) : position + 1);
  }
  return TakeFrom(slot, position, record);
}

// Within a batch, whose records are still in use. At the end of the old epoch PollSlow, which has
// answered the urge, is to say so.
bool Consumer::TakeMore(Record* record) {
  if ((!InRun() && epoch_changed()) || !TakeSlow(record)) return false;
  (void)Classify(record);
  return true;
}

// What the record just taken is. The expectation never goes back: a late record does not make the
// ones after it look like a gap.
PollResult Consumer::Classify(Record* record) {
  const uint64_t expected = tail_ - 1 + wal_seq_offset_;
  const bool anew = tail_ - 1 == anew_position_ && record->wal_seq < expected;
  const bool first = tail_ - 1 == first_position_ || anew;
  const uint64_t next = first || record->wal_seq >= expected ? record->wal_seq + 1 : expected;
  wal_seq_offset_ = next - tail_;
  behind_ = next - record->wal_seq;
  SetStop();
  if (first || record->wal_seq == expected) return PollResult::kRecord;
  if (record->wal_seq > expected) {
    record->flags = kRecordGap;
    gap_expected_wal_seq_ = expected;
    return PollResult::kGap;
  }
  record->flags = kRecordReorder;
  return reject_reorder_ ? PollResult::kReorder : PollResult::kRecord;
}

// Take did not take the record at tail_. Nothing that was returned is still in use.
PollResult Consumer::PollSlow(Record* record) {
  if (cold_->replaced) return PollResult::kClosed;
  AnswerUrge();
  if (!LineIsOurs(live_)) return Rejoin();
  if (tail_ != stored_tail_) StoreTail();

  // Epoch first: who sees a new one sees its state, and says both with one report. [epoch]
  const uint64_t epoch = header_->epoch.load(std::memory_order_acquire);
  // Before the last look at the slot: who sees the end sees all records before it. [state]
  const auto state = static_cast<RingState>(header_->state.load(std::memory_order_acquire));
  if (epoch != epoch_ || state == RingState::kReplaced) {
    // Acquired, too: it may be the one of a still newer epoch, up to which we are to see all.
    // [epoch]
    const uint64_t left = header_->epoch_position.load(std::memory_order_acquire) - tail_;
    if (left - 1 > mask_) return ReportEpoch(epoch, state);
    look_at_ = tail_ + left;  // drain the old epoch first
    SetBound(look_at_);
  }
  view_ = live_;
  if (TakeSlow(record)) return Classify(record);
  // Urged or evicted this very moment: the next poll's.
  if (line_->control.load(std::memory_order_relaxed) != live_) return PollResult::kEmpty;
  if (InRun()) return SkipDamaged();
  look_at_ = tail_ + cold_->looks_before_head - 1;
  SetStop();
  const bool closed = state == RingState::kClosed;
  if (closed || cold_->orphaned || SlotIsStrange() || ++empty_polls_ % kLookAtHeadEvery == 0) {
    const PollResult found = CompareWithHead();
    if (found != PollResult::kEmpty) return found;
  }
  if (cold_->orphaned) return ReportEpoch(epoch, RingState::kReplaced);
  return closed ? PollResult::kClosed : PollResult::kEmpty;
}

PollResult Consumer::ReportEpoch(uint64_t epoch, RingState state) {
  epoch_ = epoch;
  MoveTo(tail_);
  anew_position_ = tail_;  // sequences may begin anew: neither a gap nor a reorder
  if (state == RingState::kReplaced) {
    cold_->replaced = true;
    live_ = kNeverLive;  // nothing that its former owner may still write is ours to read
  }
  return PollResult::kEpochChanged;
}

bool Consumer::SomethingPublished() const {
  return SlotAt(tail_)->seq.load(std::memory_order_relaxed) == tail_ + 1;
}

// Whether the seq at tail_ is one of a later lap: we were lapped, or the slot was scribbled over.
bool Consumer::SlotIsStrange() const {
  const uint64_t seq = SlotAt(tail_)->seq.load(std::memory_order_acquire);  // [evict]
  return static_cast<int64_t>(seq - (tail_ + 1)) > 0;
}

// The seq at tail_ is not its record's; kEmpty if that is no wonder.
PollResult Consumer::CompareWithHead() {
  const uint64_t head = header_->head.load(std::memory_order_acquire);  // [head]
  if (SomethingPublished()) return PollResult::kEmpty;  // it came this moment: the next poll's
  // After the looks at slot and head: lapped because we were evicted just now, not damaged. [evict]
  if (line_->control.load(std::memory_order_relaxed) != live_) return PollResult::kEmpty;
  const uint64_t behind = head - tail_;
  if (behind == 0) return PollResult::kEmpty;
  if (behind - 1 <= mask_) return SkipDamaged();
  const uint64_t ahead = tail_ - head;
  // We may be ahead of a head that is stored late, or that a crash set back.
  if (ahead - 1 <= mask_) return PollResult::kEmpty;
  return ResyncTo(head);
}

// The record at tail_ was published, and its slot is damaged: pass over it.
PollResult Consumer::SkipDamaged() {
  const uint64_t bound = bound_;
  const bool inside = InRun();
  MoveTo(tail_ + 1);
  if (inside) SetBound(look_at_ = bound);
  return PollResult::kCorrupt;
}

// We are nowhere near the producer (lapped without notice, or head was damaged): go on where it is.
PollResult Consumer::ResyncTo(uint64_t head) {
  const bool forward = static_cast<int64_t>(head - tail_) > 0;
  if (forward) lost_records_ += head - tail_;
  MoveTo(head);
  return forward ? PollResult::kEvicted : PollResult::kCorrupt;
}

// The producer went on without us. Our lock still holds the line: announce ourselves again.
PollResult Consumer::Rejoin() {
  const uint64_t from = tail_;
  Join();
  if (static_cast<int64_t>(tail_ - from) > 0) lost_records_ += tail_ - from;
  return PollResult::kEvicted;
}

// A blocked producer asked for our tail: our callers store it, and that we answer shows that we
// make progress. Or another one began an epoch: the next poll, which does not get by stop_, looks
// for that. [epoch]
void Consumer::AnswerUrge() {
  uint64_t urged = (live_ & ~kLineStateMask) | kLineUrged;
  if (line_->control.load(std::memory_order_relaxed) != urged) return;
  stop_ = tail_;
  (void)line_->control.compare_exchange_strong(urged, live_, std::memory_order_acquire);
}

bool Consumer::SomethingToPoll() const {
  return InRun() || SomethingPublished() || SlotIsStrange() ||
         line_->control.load(std::memory_order_relaxed) != live_ ||
         header_->epoch.load(std::memory_order_relaxed) != epoch_ ||
         header_->state.load(std::memory_order_relaxed) !=
             static_cast<uint32_t>(RingState::kActive);
}

// Why a batch ended before its maximum. Changes nothing: its records are still in use.
PollResult Consumer::AfterBatch() const {
  return SomethingToPoll() ? PollResult::kRecord : PollResult::kEmpty;
}

uint64_t Consumer::epoch_position() const {
  // By who has acquired the epoch that goes with it. [epoch]
  return header_->epoch_position.load(std::memory_order_relaxed);
}

const MemoryReport& Consumer::memory() const { return cold_->memory; }

uint64_t Consumer::head() const {
  return header_->head.load(std::memory_order_acquire);  // [head]
}

bool Consumer::replaced() const {
  if (header_->state.load(std::memory_order_acquire) ==  // [epoch]
      static_cast<uint32_t>(RingState::kReplaced)) {
    return true;
  }
  return cold_->object.LostNameToAnother();
}

}  // namespace ombus

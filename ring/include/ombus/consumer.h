// Consumer: a reader of a stream on the same host. It claims one line of the ring, polls records in
// place, and holds the producer back until it has read them.
//
//   auto consumer = ombus::Consumer::Open({.name = "/orders"});
//   if (!consumer.ok()) …;
//   ombus::Record record;
//   while ((*consumer)->Poll(&record) == ombus::PollResult::kRecord) Use(record);
//
// Threads: one thread at a time uses a Consumer. A payload points into the ring and lives until the
// next call of Poll, PollBatch, Drain, TryCopyOut, Release, Wait, ArmWake or the destructor; if the
// producer may evict (staleness), ask valid() after use: false means that the bytes read may have
// been overwritten. A thread that is producer and consumer at once must call Release() before it
// publishes into a full ring: tails are stored late.
#ifndef OMBUS_CONSUMER_H_
#define OMBUS_CONSUMER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ombus/record.h"
#include "ombus/ring_layout.h"
#include "ombus/ring_memory.h"
#include "ombus/ring_profile.h"
#include "ombus/status.h"

namespace ombus {

inline constexpr uint32_t kAnyConsumerIndex = ~uint32_t{0};

enum class ConsumerStart : uint8_t {
  kLive,        // with what is published from now on
  kEpochStart,  // with the first record of the producer's epoch, if all of them are still in the
                // ring (fewer than its capacity were published); else live, and missed_records()
                // says how many were published before
};

struct ConsumerOptions {
  std::string name = {};
  ConsumerStart start = ConsumerStart::kLive;
  uint32_t consumer_index = kAnyConsumerIndex;  // a line of one's own choice, or any free one
  bool reject_reorder =
      false;  // report kReorder, as if the stream said so; else a lower wal_seq passes
  // With kThroughput a poll within a run of records, close behind a fast producer, may wait 0.4 µs
  // once for more to come, up to 4 µs where cache lines travel far; a record that comes alone never
  // waits.
  RingProfile profile = RingProfile::kThroughput;
  MemoryOptions memory = {};  // huge pages and locking, for our mapping
};

enum class [[nodiscard]] PollResult : uint8_t{
    kEmpty,    // nothing now
    kRecord,   // a record
    kGap,      // a record, and sequences before it are missing; expected_wal_seq() said which
    kReorder,  // a record whose wal_seq is below the expected one (with reject_reorder, here or of
               // the stream)
    kCorrupt,  // a record whose length or CRC is wrong was skipped; it is not returned
    kEvicted,  // the producer went on without this consumer: lost_records() are gone; poll goes on
               // from the live head
    kEpochChanged,  // another producer owns the stream now; records before the change were
                    // delivered. Poll on, unless replaced(): then open again
    kClosed,        // the producer ended the stream and everything was delivered
};

struct BatchResult {
  size_t count = 0;  // records delivered
  // Why there are no more. With count > 0 either kEmpty, or kRecord: max was reached or the next
  // call has something else to say. Everything else comes alone, with count 0.
  PollResult end = PollResult::kEmpty;
};

class OMBUS_API Consumer {
 public:
  // Attaches and claims a line, starting at the live head. kNotFound, kUnavailable (being created
  // or replaced: try again), kCorrupt, kVersionMismatch, kAlreadyExists (index taken),
  // kResourceExhausted (no free line).
  static Result<std::unique_ptr<Consumer>> Open(const ConsumerOptions& options);
  ~Consumer();  // leaves: no longer holds the producer back
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // One record, or why not; *record is set where there is one. A few nanoseconds; see
  // ConsumerOptions::profile.
  PollResult Poll(Record* record);

  // Copies the next record's payload to `to` (room for payload_max() bytes), where record->payload
  // then points, and releases it: if it is there, in sequence, of the epoch that polls have told
  // of, not sealed and of at most kBytesMax (512 at most). False: nothing was taken; Poll says why.
  // The cheapest way for who copies each record out, the more so with a small kBytesMax.
  template <size_t kBytesMax>
  __attribute__((visibility("hidden"))) bool TryCopyOut(std::byte* to, Record* record);

  // Until the next Poll, PollBatch or Drain, TryCopyOut takes nothing: for who has something else
  // to say first, and no time to look for that before each record.
  void HoldBack();

  // Up to out.size() records at once; flags of each say gap and reorder. All payloads stay until
  // the next call.
  BatchResult PollBatch(std::span<Record> out);

  // Calls f(const Record&) for up to max records in place: the fastest way to read. A payload lives
  // until f returns. f must not call this Consumer, but for valid().
  template <typename F>
  __attribute__((visibility("hidden"))) BatchResult Drain(size_t max, F&& f);

  // Whether the payloads last returned are still what was published.
  bool valid() const;

  // Tells the producer that all records returned are done with. About a nanosecond.
  void Release();

  // Spins for spin_ns, then sleeps until the producer publishes or timeout_ns is over. True: there
  // is something to poll. Costs the producer nothing while nobody sleeps. Does what CheckName does.
  bool Wait(uint64_t timeout_ns, uint64_t spin_ns = 20'000);

  // For who only ever polls, after each poll that found nothing; Wait and ArmWake do it themselves.
  // Looks whether the name leads to another object, since somebody removed this one: the next poll
  // that finds no record says so, with kEpochChanged, and what a producer may still publish to this
  // one is not read. One call in 64 reads the clock, and makes a system call of 2 µs if the last
  // was 100 ms ago; the others count.
  void CheckName();

  // Sleeping together with sockets: a descriptor that becomes readable when the producer publishes
  // while armed. ArmWake returns false if there is something to poll already (do not sleep); after
  // a wake-up, call DisarmWake. Timeouts are the caller's; keep one.
  //
  // The descriptor is the consumer's and always the same. Closing it, which the destructor does,
  // waits in the kernel for 5 to 30 ms; who must not wait lends an inotify descriptor of its own
  // (IN_NONBLOCK) that outlives the consumer and may then be lent to the next, one at a time.
  Result<int> WakeDescriptor(int lent = -1);
  bool ArmWake();
  void DisarmWake();

  uint32_t index() const { return index_; }
  uint64_t tail() const { return tail_; }  // next position to read
  uint64_t head() const;                   // the producer's, as last stored
  uint64_t epoch() const { return epoch_; }
  // The position at which the producer's epoch began, as the object says now.
  uint64_t epoch_position() const;
  // Records of the epoch published before Open that this consumer does not get; with kEpochStart.
  uint64_t missed_records() const { return missed_records_; }
  uint64_t wal_seq() const { return tail_ + wal_seq_offset_ - behind_; }  // last sequence read
  // What would have followed without the gap last reported.
  uint64_t expected_wal_seq() const { return gap_expected_wal_seq_; }
  uint64_t lost_records() const { return lost_records_; }  // by evictions, since Open
  // Whether a poll will report kEpochChanged, once what was published before is read. A load.
  bool epoch_changed() const {
    return header_->epoch.load(std::memory_order_relaxed) != epoch_;  // [epoch]
  }
  bool replaced() const;  // the name belongs to another object now; one system call, 2 µs
  uint32_t payload_max() const { return payload_max_; }
  const MemoryReport& memory() const;  // what came of ConsumerOptions::memory

 private:
  struct Cold;  // what only the slow halves need
  struct __attribute__((visibility("hidden"))) SealChecks;
  using Seal = uint32_t (*)(uint64_t wal_seq, uint64_t meta, const void* payload, size_t size);
  using SealCheck = bool (*)(const Consumer& consumer, uint64_t wal_seq, uint64_t meta,
                             const void* payload);

  explicit Consumer(std::unique_ptr<Cold> cold, uint32_t index, const ConsumerOptions& options);

  const SlotHeader* SlotAt(uint64_t position) const {
    return reinterpret_cast<const SlotHeader*>(slots_ + (position & mask_) * slot_size_);
  }
  bool InRun() const { return static_cast<int64_t>(bound_ - tail_) > 0; }
  template <size_t kBytesMax>
  size_t CopyableSizeEnd() const;
  bool TakeFrom(const SlotHeader* slot, uint64_t position, Record* record);
  bool Take(Record* record);
  bool InSequence(const Record& record) const;
  PollResult PolledSlowly(Record* record);
  bool TakenMore(Record* record);
  PollResult Classified(Record* record);
  bool TakeNext(BatchResult* batch, Record* record);
  void ReleaseWhenDue();
  void StoreTail();

  bool TakeSlow(Record* record);
  bool TakeMore(Record* record);
  uint64_t RunAhead(uint64_t position);
  uint64_t LetGetAhead(uint64_t position, uint64_t ahead);
  void SetBound(uint64_t bound);
  void SetStop();
  bool Sound(const SlotHeader* slot, uint64_t wal_seq, uint64_t meta) const;
  bool SoundSlow(uint64_t wal_seq, uint64_t meta, const void* payload) const;
  static SealCheck ResolveSealCheck();
  PollResult Classify(Record* record);
  PollResult PollSlow(Record* record);
  PollResult AfterBatch() const;
  PollResult Rejoin();
  PollResult ReportEpoch(uint64_t epoch, RingState state);
  PollResult CompareWithHead();
  PollResult SkipDamaged();
  PollResult ResyncTo(uint64_t head);
  void MoveTo(uint64_t position);
  bool SlotIsStrange() const;
  bool SomethingPublished() const;
  void AnswerUrge();
  bool LineIsOurs(uint64_t live) const;
  void Join();
  void JoinAtEpochStart();
  void Announce(uint64_t tail);
  bool SomethingToPoll() const;
  bool WorthPolling() const;

  // In the order in which a poll touches them.
  uint64_t tail_ = 0;        // next position to read
  uint64_t release_at_ = 0;  // the tail is stored once it has come so far
  uint64_t stop_ = 0;        // here something else is due first; not behind tail_
  const std::byte* slots_ = nullptr;
  uint64_t mask_ = 0;
  uint64_t slot_size_ = 0;
  uint32_t plain_size_end_ = 0;     // a payload as large as that needs a closer look
  uint32_t short_seal_end_ = 0;     // a sealed payload as large as that is checked by a function
  size_t short_size_end_ = 0;       // the same, or is not all in the first line
  uint64_t fetch_end_ = 0;          // below it, the record fetch_ahead_slots_ ahead is published
  uint64_t fetch_ahead_bytes_ = 0;  // to that one's slot, but at the end of a lap
  uint64_t wal_seq_offset_ = 0;     // the expected sequence less tail_: the same while all is well
  ConsumerLine* line_ = nullptr;
  uint64_t live_ = 0;  // our line's control as long as all is well

  uint64_t view_ = 0;         // live_ when the records last returned were taken
  uint64_t stored_tail_ = 0;  // as the producer sees it
  uint64_t bound_ = 0;        // positions from tail_ to here, if any, are known to be published
  uint64_t look_at_ = 0;      // from here on, beyond bound_, a look at head is due
  uint64_t behind_ = 0;       // the expected sequence less the last one; 1 unless that was late
  uint64_t epoch_ = 0;
  RingHeader* header_ = nullptr;
  Seal seal_ = nullptr;  // null: records are not sealed
  SealCheck seal_check_ = nullptr;
  uint64_t fetch_ahead_slots_ = 0;
  uint32_t release_every_ = 1;  // records
  uint32_t payload_max_ = 0;
  uint32_t index_ = 0;
  uint32_t empty_polls_ = 0;
  bool reject_reorder_ = false;
  uint64_t first_position_ = 0;            // of the first record; it reports no gap
  uint64_t anew_position_ = ~uint64_t{0};  // of an epoch's first record; it may begin anew
  uint64_t gap_expected_wal_seq_ = 0;
  uint64_t lost_records_ = 0, missed_records_ = 0;
  std::unique_ptr<Cold> cold_;
};

}  // namespace ombus

#include "ombus/consumer_inline.h"  // IWYU pragma: export

#endif  // OMBUS_CONSUMER_H_

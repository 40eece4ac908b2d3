// Consumer: a reader of a stream on the same host. It claims one line of the ring, polls records in
// place, and holds the producer back until it has read them.
//
//   auto consumer = ombus::Consumer::Open({.name = "/orders"});
//   if (!consumer.ok()) …;
//   ombus::Record record;
//   while ((*consumer)->Poll(&record) == ombus::PollResult::kRecord) Use(record);
//
// Threads: one thread at a time uses a Consumer. A payload points into the ring and lives until the
// next call of Poll, PollBatch, Drain, Release or the destructor; if the producer may evict
// (staleness), ask valid() after use: false means that the bytes read may have been overwritten.
// A thread that is producer and consumer at once must call Release() before it publishes into a
// full ring: tails are stored late.
#ifndef OMBUS_CONSUMER_H_
#define OMBUS_CONSUMER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ombus/record.h"
#include "ombus/ring_layout.h"
#include "ombus/status.h"

namespace ombus {

inline constexpr uint32_t kAnyConsumerIndex = ~uint32_t{0};

struct ConsumerOptions {
  std::string name;
  uint32_t consumer_index = kAnyConsumerIndex;  // a line of one's own choice, or any free one
  bool reject_reorder = false;                  // report kReorder; else a lower wal_seq passes
};

enum class [[nodiscard]] PollResult : uint8_t{
    kEmpty,    // nothing now
    kRecord,   // a record
    kGap,      // a record, and sequences before it are missing; expected_wal_seq() said which
    kReorder,  // a record whose wal_seq is below the expected one (with reject_reorder)
    kCorrupt,  // a record whose length or CRC is wrong was skipped; it is not returned
    kEvicted,  // the producer went on without this consumer: lost_records() are gone; poll goes on
               // from the live head
    kEpochChanged,  // another producer owns the stream now; records before the change were
                    // delivered. Poll on, unless replaced(): then open again
    kClosed,  // the producer ended the stream and everything was delivered
};

struct BatchResult {
  size_t count = 0;                     // records delivered
  PollResult end = PollResult::kEmpty;  // why there are no more: kRecord if max was reached, else
                                        // what the next poll had to say (not a record's result)
};

class OMBUS_API Consumer {
 public:
  // Attaches and claims a line, starting at the live head. kNotFound, kUnavailable (being created:
  // try again), kCorrupt, kVersionMismatch, kAlreadyExists (index taken), kResourceExhausted (no
  // free line).
  static Result<std::unique_ptr<Consumer>> Open(const ConsumerOptions& options);
  ~Consumer();  // leaves: no longer holds the producer back
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // One record, or why not. Never waits; a few nanoseconds.
  PollResult Poll(Record* record);

  // Up to out.size() records at once; flags of each say gap and reorder. All payloads stay until
  // the next call.
  BatchResult PollBatch(std::span<Record> out);

  // Calls f(const Record&) for up to max records in place: the fastest way to read. f must not call
  // this Consumer.
  template <typename F>
  BatchResult Drain(size_t max, F&& f);

  // Whether the payloads last returned are still what was published.
  bool valid() const;

  // Tells the producer that all records returned are done with.
  void Release();

  // Spins for spin_ns, then sleeps until the producer publishes or timeout_ns is over. True: there
  // is something to poll. Costs the producer nothing while nobody sleeps.
  bool Wait(uint64_t timeout_ns, uint64_t spin_ns = 20'000);

  // Sleeping together with sockets: a descriptor that becomes readable when the producer publishes
  // while armed. ArmWake returns false if there is something to poll already (do not sleep); after
  // a wake-up, call DisarmWake. Timeouts are the caller's; keep one.
  Result<int> WakeDescriptor();
  bool ArmWake();
  void DisarmWake();

  uint32_t index() const;
  uint64_t tail() const;  // next position to read
  uint64_t head() const;  // the producer's, as last stored
  uint64_t epoch() const;
  uint64_t wal_seq() const;           // last sequence read
  uint64_t expected_wal_seq() const;  // what would have followed without the gap last reported
  uint64_t lost_records() const;      // by evictions, since Open
  bool replaced() const;              // the name belongs to another object now
  uint32_t payload_max() const;
};

}  // namespace ombus

#endif  // OMBUS_CONSUMER_H_

// A consumer of a stream on the same host, in C. It claims one line of the ring, polls records in
// place, and holds the producer back until it has read them.
//
//   ombus_consumer_options options;
//   ombus_consumer_options_init(&options, sizeof options);
//   options.name = "/orders";
//   ombus_consumer* consumer = ombus_consumer_open(&options, &error);
//   ombus_record record;
//   while (ombus_consumer_poll(consumer, &record) == OMBUS_POLL_RECORD) use(&record);
//
// Threads: one thread at a time uses a consumer.
// Payloads point into the ring. One lives until the next poll, poll_batch, drain, release, wait,
// arm_wake or close of that consumer. If the producer may evict (staleness_ns), ask
// ombus_consumer_valid() after use: 0 means that the bytes read may have been overwritten.
// A thread that is producer and consumer at once must release before it publishes into a full
// ring: what was read is handed back late.
#ifndef OMBUS_OMBUS_CONSUMER_H_
#define OMBUS_OMBUS_CONSUMER_H_

#include "ombus/ombus_base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ombus_consumer ombus_consumer;

#define OMBUS_ANY_CONSUMER_INDEX UINT32_MAX

// With which record a consumer starts.
enum {
  OMBUS_START_LIVE = 0,  // with what is published from now on
  OMBUS_START_EPOCH_START =
      1  // with the first of the producer's epoch, if all of them are still in
         // the ring; else live, and missed_records says how many there were
};

typedef struct ombus_consumer_options {
  uint64_t size;            // of this struct; set by ombus_consumer_options_init
  const char* name;         // required
  uint32_t consumer_index;  // a line of one's own choice; OMBUS_ANY_CONSUMER_INDEX: any free one
  uint32_t reject_reorder;  // 1: report REORDER, as if the stream said so; 0
  uint32_t start;           // an OMBUS_START_…; LIVE
  uint32_t profile;         // an OMBUS_PROFILE_…; THROUGHPUT
  uint32_t huge_pages;      // 1: our mapping in pages of 2 MiB; 0
  uint32_t lock_memory;     // 1: our mapping is never swapped out; 0
} ombus_consumer_options;

typedef enum ombus_poll_result {
  OMBUS_POLL_INVALID = -1,  // a NULL consumer, record or callback
  OMBUS_POLL_EMPTY = 0,     // nothing now
  OMBUS_POLL_RECORD = 1,    // a record
  OMBUS_POLL_GAP = 2,       // a record, and sequences before it are missing
  OMBUS_POLL_REORDER = 3,   // a record whose wal_seq is below the expected one (reject_reorder,
                            // here or of the stream)
  OMBUS_POLL_CORRUPT = 4,   // a record whose length or CRC is wrong was skipped; not returned
  OMBUS_POLL_EVICTED = 5,   // the producer went on without this consumer: lost_records are gone;
                            // the next poll goes on from the live head
  OMBUS_POLL_EPOCH_CHANGED = 6,  // another producer owns the stream; records before the change were
                                 // delivered. Poll on, unless replaced: then open again
  OMBUS_POLL_CLOSED = 7          // the producer ended the stream; everything was delivered
} ombus_poll_result;

// Fills in the defaults. size: sizeof(ombus_consumer_options) as the caller knows it.
// INVALID_ARGUMENT for NULL, and for a size that cannot be, as that of a pointer.
OMBUS_API ombus_status ombus_consumer_options_init(ombus_consumer_options* options,
                                                   size_t size) OMBUS_NOEXCEPT;

// Attaches and claims a line. NULL on error: INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE
// (being created: try again), CORRUPT, VERSION_MISMATCH, ALREADY_EXISTS (index taken),
// RESOURCE_EXHAUSTED (no free line). Allocates; system calls.
OMBUS_API ombus_consumer* ombus_consumer_open(const ombus_consumer_options* options,
                                              ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Leaves the ring, so that the producer no longer waits for it, and frees the handle.
OMBUS_API void ombus_consumer_close(ombus_consumer* consumer) OMBUS_NOEXCEPT;

// One record, or why not. *record is set for RECORD, GAP and REORDER. Never waits; a few
// nanoseconds.
OMBUS_API ombus_poll_result ombus_consumer_poll(ombus_consumer* consumer,
                                                ombus_record* record) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Up to max records at once, whose flags say for each whether there is a gap or a reorder; returns
// how many. All payloads stay until the next call. *end, which may be NULL, says why there are no
// more: RECORD if max was reached or the next call has something else to say, EMPTY if nothing more
// is there; anything else comes alone, with 0 records.
OMBUS_API size_t ombus_consumer_poll_batch(ombus_consumer* consumer, ombus_record* records,
                                           size_t max, ombus_poll_result* end) OMBUS_NOEXCEPT;

// Calls each(record, context) for up to max records in place; returns how many. A payload lives
// until each returns. *end as in ombus_consumer_poll_batch.
OMBUS_API size_t ombus_consumer_drain(ombus_consumer* consumer, size_t max, ombus_record_fn each,
                                      void* context, ombus_poll_result* end) OMBUS_NOEXCEPT;

// 1 if the payloads last returned are still what was published. May be called from a drain's
// callback. A load or two.
OMBUS_API int ombus_consumer_valid(const ombus_consumer* consumer) OMBUS_NOEXCEPT;

// Tells the producer that all records returned are done with: it may overwrite them.
OMBUS_API void ombus_consumer_release(ombus_consumer* consumer) OMBUS_NOEXCEPT;

// Spins for spin_ns (20000 is a good value), then sleeps until the producer publishes or
// timeout_ns is over. 1: there is something to poll. Costs the producer nothing while nobody
// sleeps. Does what ombus_consumer_check_name does.
OMBUS_API int ombus_consumer_wait(ombus_consumer* consumer, uint64_t timeout_ns,
                                  uint64_t spin_ns) OMBUS_NOEXCEPT;

// For who only ever polls, after each poll that found nothing; wait and arm_wake do it themselves.
// Looks whether the name leads to another object, since somebody removed this one: the next poll
// that finds no record is EPOCH_CHANGED. One call in 64 reads the clock, and makes a system call if
// the last was 100 ms ago; the others count.
OMBUS_API void ombus_consumer_check_name(ombus_consumer* consumer) OMBUS_NOEXCEPT;

// Sleeping together with sockets, in poll or epoll: a descriptor that becomes readable when the
// producer publishes while armed. It belongs to the consumer; do not read or close it. -1 on error.
OMBUS_API int ombus_consumer_wake_descriptor(ombus_consumer* consumer,
                                             ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;
// Before the sleep. 0: there is something to poll already, do not sleep. Without a descriptor, 0.
OMBUS_API int ombus_consumer_arm_wake(ombus_consumer* consumer) OMBUS_NOEXCEPT OMBUS_MUST_USE;
// After the sleep, whatever ended it. Give every sleep a timeout: a producer that is killed wakes
// nobody.
OMBUS_API void ombus_consumer_disarm_wake(ombus_consumer* consumer) OMBUS_NOEXCEPT;

// Of a NULL consumer all of these are 0.
OMBUS_API uint32_t ombus_consumer_index(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
OMBUS_API uint64_t ombus_consumer_tail(const ombus_consumer* consumer) OMBUS_NOEXCEPT;  // next one
OMBUS_API uint64_t ombus_consumer_head(const ombus_consumer* consumer)
    OMBUS_NOEXCEPT;  // producer's
OMBUS_API uint64_t ombus_consumer_epoch(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
OMBUS_API uint64_t ombus_consumer_wal_seq(const ombus_consumer* consumer) OMBUS_NOEXCEPT;  // last
// What would have followed without the gap last reported.
OMBUS_API uint64_t ombus_consumer_expected_wal_seq(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
// Records of the epoch published before open that this consumer does not get; with EPOCH_START.
OMBUS_API uint64_t ombus_consumer_missed_records(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
// Records lost to evictions since the consumer was opened.
OMBUS_API uint64_t ombus_consumer_lost_records(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
OMBUS_API uint32_t ombus_consumer_payload_max(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
// The position at which the producer's epoch began, as the stream says now.
OMBUS_API uint64_t ombus_consumer_epoch_position(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
// 1 if a poll will report EPOCH_CHANGED, once what was published before is read. A load.
OMBUS_API int ombus_consumer_epoch_changed(const ombus_consumer* consumer) OMBUS_NOEXCEPT;
// 1 if the name leads to another object now: close, and open again. One system call.
OMBUS_API int ombus_consumer_replaced(const ombus_consumer* consumer) OMBUS_NOEXCEPT;

// Fills *report in, whose size the caller has set; INVALID_ARGUMENT for a NULL or a wrong size.
OMBUS_API ombus_status ombus_consumer_memory(const ombus_consumer* consumer,
                                             ombus_memory_report* report) OMBUS_NOEXCEPT;
// Warning number index, what is missing, why, and the cure; NULL if there are no more. Lives as
// long as the consumer.
OMBUS_API const char* ombus_consumer_memory_warning(const ombus_consumer* consumer,
                                                    uint32_t index) OMBUS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_CONSUMER_H_

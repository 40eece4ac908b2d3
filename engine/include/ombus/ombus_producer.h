// The producer of a stream, in C: it creates the shared-memory ring, publishes records into it and
// waits, when asked to, while the slowest live consumer makes room.
//
//   ombus_producer_options options;
//   ombus_producer_options_init(&options, sizeof options);
//   options.name = "/orders";
//   ombus_error error;
//   ombus_producer* producer = ombus_producer_create(&options, &error);
//   if (producer == NULL) { fprintf(stderr, "%s\n", error.message); return 1; }
//   ombus_record record = {.wal_seq = 1, .payload = &order, .size = sizeof order, .type = 1};
//   if (ombus_producer_publish(producer, &record, OMBUS_WAIT_FOREVER) != OMBUS_PUBLISH_OK) …
//   ombus_producer_close(producer);
//
// Threads: one thread at a time uses a producer; any number of processes read what it publishes.
// Cost: each per-record call is the inline C++ one behind one function call and a NULL check.
#ifndef OMBUS_OMBUS_PRODUCER_H_
#define OMBUS_OMBUS_PRODUCER_H_

#include "ombus/ombus_base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ombus_producer ombus_producer;

// Called each time a publish has waited for so long that it is about to give up its time slice, in
// the publishing thread. Must not call the producer.
typedef void (*ombus_backpressure_fn)(uint64_t head, uint64_t min_tail, void* context);

#define OMBUS_PREFETCH_BY_PROFILE UINT32_MAX  // 8, or 2 with OMBUS_PROFILE_LATENCY

typedef struct ombus_producer_options {
  uint64_t size;                       // of this struct; set by ombus_producer_options_init
  const char* name;                    // required; a path where it has a second slash
  uint32_t capacity;                   // slots, a power of two; 0: what 4 MiB hold, at least 4096
  uint32_t slot_size;                  // bytes, a multiple of 8 from 24 up; 256
  uint32_t max_consumers;              // lines reserved, 1…1024; 8
  uint32_t crc32c;                     // 1: seal each record, readers check it; 0
  uint64_t staleness_ns;               // evict a consumer that blocks and does not poll; 0: never
  ombus_backpressure_fn backpressure;  // NULL: none
  void* backpressure_context;
  uint32_t permissions;           // of the object; consumers need read and write; 0600
  uint32_t unlink_on_close;       // 1: closing removes the name; 1
  uint32_t reject_reorder;        // 1: all consumers report REORDER, asked or not; 0
  uint32_t profile;               // an OMBUS_PROFILE_…; THROUGHPUT
  uint32_t prefetch_ahead_slots;  // prefetched for writing, 0…64, at most an eighth of the ring;
                                  // OMBUS_PREFETCH_BY_PROFILE
  uint32_t huge_pages;            // 1: the ring in pages of 2 MiB; 0
  uint32_t lock_memory;           // 1: never swapped out; 0
  int32_t numa_node;              // where its pages lie; -1: where they are
} ombus_producer_options;

typedef enum ombus_publish_result {
  OMBUS_PUBLISH_INVALID = -1,  // NULL producer or record, or a NULL payload of a size above 0
  OMBUS_PUBLISH_OK = 0,
  OMBUS_PUBLISH_FULL = 1,         // try_…: the slowest live consumer is a whole ring behind
  OMBUS_PUBLISH_TIMED_OUT = 2,    // still full when the time was up
  OMBUS_PUBLISH_TOO_LARGE = 3,    // the payload does not fit slot_size - 24; nothing was written
  OMBUS_PUBLISH_CLOSED = 4,       // ended, or superseded by another producer of the same process
  OMBUS_PUBLISH_NOT_RESERVED = 5  // commit: of nothing, see ombus_producer_commit
} ombus_publish_result;

// Fills in the defaults. size: sizeof(ombus_producer_options) as the caller knows it.
// INVALID_ARGUMENT for NULL, and for a size that cannot be, as that of a pointer.
OMBUS_API ombus_status ombus_producer_options_init(ombus_producer_options* options,
                                                   size_t size) OMBUS_NOEXCEPT;

// Chooses options->slot_size for records that are expected: counts[i] of sizes[i] bytes of payload;
// counts NULL: one of each. The smallest of 64, 128, …, 4096 that holds them all, since a record
// that does not fit is refused and a larger slot costs cache and time. INVALID_ARGUMENT, and
// nothing is changed, where one is larger, or count is 0. Allocates.
OMBUS_API ombus_status ombus_producer_options_fit(ombus_producer_options* options,
                                                  const uint32_t* sizes, const uint64_t* counts,
                                                  size_t count, ombus_error* error) OMBUS_NOEXCEPT;

// Creates the stream, or takes it over from a producer that is dead (same object and readers, a
// new epoch, positions go on) or that lives in this process (a new object). NULL on error:
// ALREADY_EXISTS if a live producer of another process owns it, RESOURCE_EXHAUSTED if /dev/shm is
// full, INVALID_ARGUMENT, PERMISSION_DENIED. Allocates; system calls.
OMBUS_API ombus_producer* ombus_producer_create(const ombus_producer_options* options,
                                                ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Ends the stream in order, so that readers drain it and are told, and frees the handle.
OMBUS_API void ombus_producer_close(ombus_producer* producer) OMBUS_NOEXCEPT;

// Ends the stream in order and keeps the handle, whose calls then say CLOSED. Idempotent.
OMBUS_API void ombus_producer_end(ombus_producer* producer) OMBUS_NOEXCEPT;

// Publishes one record; visible to polls at once. Never waits, allocates or makes a system call,
// unless the ring is full or a consumer sleeps.
OMBUS_API ombus_publish_result ombus_producer_try_publish(
    ombus_producer* producer, const ombus_record* record) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// The same, waiting while the ring is full: spin, spin longer, yield (with the callback), sleep.
OMBUS_API ombus_publish_result
ombus_producer_publish(ombus_producer* producer, const ombus_record* record,
                       uint64_t timeout_ns) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Publishes count records in order. All sizes and payloads are checked before any is written.
// *published, where given, says how many are in the ring whatever the result. records may be NULL
// when count is 0.
OMBUS_API ombus_publish_result
ombus_producer_try_publish_batch(ombus_producer* producer, const ombus_record* records,
                                 size_t count, size_t* published) OMBUS_NOEXCEPT OMBUS_MUST_USE;
OMBUS_API ombus_publish_result
ombus_producer_publish_batch(ombus_producer* producer, const ombus_record* records, size_t count,
                             uint64_t timeout_ns, size_t* published) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Write in place, the fastest way: payload room for ombus_producer_payload_max() bytes in the next
// slot, 8-byte aligned; NULL when full or closed. It lives until the commit, the close, or any
// publish. Nothing is visible before the commit; reserving again without one returns the same room.
OMBUS_API void* ombus_producer_try_reserve(ombus_producer* producer) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Publishes the size bytes written into the room reserved. TOO_LARGE leaves the reservation;
// NOT_RESERVED, and nothing is published: there was none, or a publish or commit has used it up.
OMBUS_API ombus_publish_result ombus_producer_commit(ombus_producer* producer, uint64_t wal_seq,
                                                     uint8_t type,
                                                     uint16_t size) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Waits until a try_publish or a try_reserve would find room: OK, TIMED_OUT or CLOSED.
OMBUS_API ombus_publish_result ombus_producer_wait_for_room(
    ombus_producer* producer, uint64_t timeout_ns) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Of a NULL producer all of these are 0.
OMBUS_API uint64_t ombus_producer_head(const ombus_producer* producer) OMBUS_NOEXCEPT;  // next one
OMBUS_API uint64_t ombus_producer_epoch(const ombus_producer* producer) OMBUS_NOEXCEPT;
OMBUS_API uint32_t ombus_producer_payload_max(const ombus_producer* producer) OMBUS_NOEXCEPT;
// Slots, as given or chosen.
OMBUS_API uint32_t ombus_producer_capacity(const ombus_producer* producer) OMBUS_NOEXCEPT;
// The slowest live consumer's next position, else the head. Looks at each line.
OMBUS_API uint64_t ombus_producer_min_tail(const ombus_producer* producer) OMBUS_NOEXCEPT;
// 1 if another producer owns the stream now: nobody would read what is published here. A load.
OMBUS_API int ombus_producer_superseded(const ombus_producer* producer) OMBUS_NOEXCEPT;
// Consumers that get what is published from now on, the dead not counted. Looks at each line, and a
// system call for each consumer: not for every record.
OMBUS_API uint32_t ombus_producer_live_consumers(const ombus_producer* producer) OMBUS_NOEXCEPT;

// Fills *report in, whose size the caller has set; INVALID_ARGUMENT for a NULL or a wrong size.
OMBUS_API ombus_status ombus_producer_memory(const ombus_producer* producer,
                                             ombus_memory_report* report) OMBUS_NOEXCEPT;
// Warning number index, what is missing, why, and the cure; NULL if there are no more. Lives as
// long as the producer.
OMBUS_API const char* ombus_producer_memory_warning(const ombus_producer* producer,
                                                    uint32_t index) OMBUS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_PRODUCER_H_

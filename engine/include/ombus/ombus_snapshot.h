// What a stream looks like now, in C, read by a process that takes no part in it. The object is
// mapped read-only; neither producer nor consumers notice.
//
//   ombus_snapshot* snapshot = ombus_snapshot_read("/orders", &error);
//   ombus_stream_info stream = {0};
//   stream.size = sizeof stream;
//   ombus_snapshot_get_stream(snapshot, &stream);
//   ombus_snapshot_free(snapshot);
//
// Threads: a snapshot is a constant; any thread reads it.
#ifndef OMBUS_OMBUS_SNAPSHOT_H_
#define OMBUS_OMBUS_SNAPSHOT_H_

#include "ombus/ombus_base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ombus_snapshot ombus_snapshot;

enum {
  OMBUS_STREAM_ACTIVE = 1,   // a producer owns the stream, or died owning it: see producer_alive
  OMBUS_STREAM_CLOSED = 2,   // the producer ended it in order
  OMBUS_STREAM_REPLACED = 3  // another object has taken the name
};

enum {
  OMBUS_CONSUMER_FREE = 0,
  OMBUS_CONSUMER_LIVE = 1,    // holds the producer back
  OMBUS_CONSUMER_EVICTED = 2  // no longer does
};

#define OMBUS_BATCH_BUCKETS 9  // 1, 2…3, 4…7, …, 128…255, 256 and more

typedef struct ombus_stream_info {
  uint64_t size;       // of this struct; set it before the call
  uint32_t capacity;   // slots
  uint32_t slot_size;  // bytes
  uint32_t max_consumers;
  uint32_t consumers;       // lines in use
  uint32_t crc32c;          // 1: records are sealed
  uint32_t reject_reorder;  // 1: all consumers report REORDER
  uint32_t reserved;        // 0
  uint32_t state;           // an OMBUS_STREAM_…
  uint32_t producer_alive;
  uint32_t producer_pid;
  uint64_t total_bytes;
  uint64_t epoch;
  uint64_t head;      // next position the producer writes
  uint64_t min_tail;  // of the slowest live consumer, as of the producer's last look
  uint64_t last_wal_seq;
  uint64_t stalls;      // publishes that found the ring full
  uint64_t stalled_ns;  // time spent waiting in them
  uint64_t evictions;   // consumers that no longer hold the producer back
  uint64_t reclaimed;   // lines of dead consumers set free
  // Most unread records the producer ever saw: it looks once a lap, and whenever it is blocked.
  uint64_t occupancy_max;
  // Batches published, by size: of 2^i up to 2^(i+1) - 1 records, the last all larger ones. Single
  // publishes are not counted.
  uint64_t batches[OMBUS_BATCH_BUCKETS];
} ombus_stream_info;

typedef struct ombus_consumer_info {
  uint64_t size;         // of this struct; set it before the call
  uint32_t index;        // of its line
  uint32_t state;        // an OMBUS_CONSUMER_…
  uint32_t owner_alive;  // 1: its process lives
  uint32_t pid;
  uint64_t tail;         // next position it reads, stored late
  uint64_t lag_records;  // head - tail
  uint64_t wal_seq;      // last sequence read, stored with the tail
} ombus_consumer_info;

// NULL on error, as ombus_consumer_open. A few system calls; allocates.
OMBUS_API ombus_snapshot* ombus_snapshot_read(const char* name,
                                              ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;
OMBUS_API void ombus_snapshot_free(ombus_snapshot* snapshot) OMBUS_NOEXCEPT;

// INVALID_ARGUMENT if one is NULL or info->size too small.
OMBUS_API ombus_status ombus_snapshot_get_stream(const ombus_snapshot* snapshot,
                                                 ombus_stream_info* info) OMBUS_NOEXCEPT;
// The at-th of the consumers, from 0; NOT_FOUND past the last.
OMBUS_API ombus_status ombus_snapshot_get_consumer(const ombus_snapshot* snapshot, size_t at,
                                                   ombus_consumer_info* info) OMBUS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_SNAPSHOT_H_

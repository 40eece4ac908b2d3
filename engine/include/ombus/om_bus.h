// The libombus C API: records through shared memory. One producer (OmBusStream) publishes, any
// number of consumers (OmBusEndpoint) poll, in one process or in many.
//
//   OmBusStreamConfig config = {.stream_name = "/om-bus-engine-0"};
//   OmBusStream *stream = NULL;
//   int rc = om_bus_stream_create(&stream, &config);
//   if (rc != 0) fprintf(stderr, "%s\n", om_bus_error_string(rc));
//   om_bus_stream_publish(stream, 1, 7, "payload", 7);
//
// C11 and C++; no exception and no C++ type crosses it. New programs have more to gain from
// ombus/ombus.h or the C++ API.
//
// Threads: one thread at a time uses a stream, and one an endpoint; different handles are
// independent. Handles do not survive fork: the child opens its own, and keeps none of its parent's
// alive; so become a daemon first, then create and open. No call starts a thread or handles a
// signal, and none made for each record takes a lock. Strings passed in are copied.
//
// Errors: 0 or more is well, below zero a code of om_bus_error.h. A missing argument is
// OM_ERR_BUS_INIT.
#ifndef OMBUS_OM_BUS_H_
#define OMBUS_OM_BUS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ombus/om_bus_error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OM_BUS_SHM_MAGIC 0x4F4D4253u     // the object's first four bytes
#define OM_BUS_CURSOR_MAGIC 0x4F4D4243u  // a cursor file's first four bytes
#define OM_BUS_HEADER_PAGE 4096
#define OM_BUS_SLOT_HEADER_SIZE 24  // a slot's payload begins here
#define OM_BUS_DEFAULT_SLOT_SIZE 256u
#define OM_BUS_DEFAULT_CAPACITY 4096u
#define OM_BUS_DEFAULT_MAX_CONSUMERS 8u

#define OM_BUS_FLAG_CRC 0x1u             // seal each record; who polls checks it
#define OM_BUS_FLAG_REJECT_REORDER 0x2u  // polls report a wal_seq below the expected one

// One message. It does not own its payload.
typedef struct OmBusRecord {
  uint64_t wal_seq;      // the application's sequence number
  uint8_t wal_type;      // the application's record type
  uint16_t payload_len;  // bytes
  const void* payload;   // may be NULL when payload_len is 0
} OmBusRecord;

// --- Producer ------------------------------------------------------------------------------------

typedef struct OmBusStream OmBusStream;

// Called once each time a publish has waited so long for room that it is about to yield its core.
// It runs inside that publish: it must not call the stream, throw or longjmp.
typedef void (*OmBusBackpressureCb)(uint64_t head, uint64_t min_tail, void* ctx);

typedef struct OmBusStreamConfig {
  const char* stream_name;  // POSIX shared-memory name: "/om-bus-engine-0"
  uint32_t capacity;        // slots, a power of two; 0: 4096
  uint32_t slot_size;       // bytes, a multiple of 8 from 24 up to 65560; 0: 256
  uint32_t max_consumers;   // 1…1024; 0: 8
  uint32_t flags;           // OM_BUS_FLAG_…
  uint64_t staleness_ns;    // a consumer that blocks the ring and has not polled for so long no
                            // longer holds the producer back; counted from a look at it, twice a
                            // lap and when the ring is full; 0: it does for ever while it lives
  OmBusBackpressureCb backpressure_cb;
  void* backpressure_ctx;
} OmBusStreamConfig;

typedef struct OmBusStreamStats {
  uint64_t records_published;  // through this handle
  uint64_t head;               // the next position the producer writes
  uint64_t min_tail;           // the slowest live consumer's next position; head without any
} OmBusStreamStats;

// Creates the stream, reserving its memory: 4096 + max_consumers*64 + capacity*slot_size bytes. A
// name whose producer is dead, or is this very process, is taken over with a new epoch; one whose
// producer lives elsewhere is OM_ERR_BUS_SHM_CREATE. Also OM_ERR_BUS_INIT, _NOT_POW2, _SHM_MAP.
// *out is NULL after an error.
OMBUS_API int om_bus_stream_create(OmBusStream** out, const OmBusStreamConfig* config);

// Publishes one record; a poll sees it at once. Waits while the ring is full, for as long as a live
// consumer holds it back. 0; OM_ERR_BUS_RECORD_TOO_LARGE; OM_ERR_BUS_EPOCH_CHANGED when another
// producer of this process has taken the name (nothing was written).
OMBUS_API int om_bus_stream_publish(OmBusStream* stream, uint64_t wal_seq, uint8_t wal_type,
                                    const void* payload, uint16_t len);

// Publishes count records in order. Every one is checked for size before any is written.
OMBUS_API int om_bus_stream_publish_batch(OmBusStream* stream, const OmBusRecord* records,
                                          uint32_t count);

// head - min_tail never exceeds the capacity.
OMBUS_API void om_bus_stream_stats(const OmBusStream* stream, OmBusStreamStats* stats);

// Ends the stream and removes its name, unless another producer has it. NULL is fine.
OMBUS_API void om_bus_stream_destroy(OmBusStream* stream);

// --- Consumer ------------------------------------------------------------------------------------

typedef struct OmBusEndpoint OmBusEndpoint;

typedef struct OmBusEndpointConfig {
  const char* stream_name;
  uint32_t consumer_index;  // below the stream's max_consumers, and nobody else's
  bool zero_copy;           // leave to hand out payloads in place where that is safe; no promise
} OmBusEndpointConfig;

// Opens an endpoint at the live head. OM_ERR_BUS_SHM_OPEN, _SHM_MAP, _MAGIC_MISMATCH,
// _VERSION_MISMATCH, _CONSUMER_ID. *out is NULL after an error.
OMBUS_API int om_bus_endpoint_open(OmBusEndpoint** out, const OmBusEndpointConfig* config);

// 1: a record. 0: none. OM_ERR_BUS_GAP_DETECTED, OM_ERR_BUS_REORDER_DETECTED: a record all the
// same. OM_ERR_BUS_CRC_MISMATCH: a damaged one was skipped. OM_ERR_BUS_EPOCH_CHANGED: another
// producer has the stream; see docs/libombus.md for what can still be polled.
// OM_ERR_BUS_CONSUMER_STALE: the producer went on without this consumer; polls go on at its head.
//
// The payload stays valid and unchanged until the next call on this endpoint, and the room of the
// record is the producer's again at once.
OMBUS_API int om_bus_endpoint_poll(OmBusEndpoint* endpoint, OmBusRecord* record);

// Up to max records: how many, 0 for none, or what a poll would say in place of the first. Payloads
// as for a poll. Gaps and reorders inside a batch are not reported: the count is.
OMBUS_API int om_bus_endpoint_poll_batch(OmBusEndpoint* endpoint, OmBusRecord* records, size_t max);

// The last wal_seq read; 0 before any.
OMBUS_API uint64_t om_bus_endpoint_wal_seq(const OmBusEndpoint* endpoint);

// Leaves the stream: no longer holds its producer back. NULL is fine.
OMBUS_API void om_bus_endpoint_close(OmBusEndpoint* endpoint);

// Saves the last wal_seq read, so that a crash at any moment leaves the old cursor or the new.
// Waits for the disk. OM_ERR_BUS_SHM_CREATE when it cannot be written; the old file stays.
OMBUS_API int om_bus_endpoint_save_cursor(const OmBusEndpoint* endpoint, const char* path);

// OM_ERR_BUS_SHM_OPEN when there is none, _MAGIC_MISMATCH when it is no cursor file or not a whole
// one, _CRC_MISMATCH when it is damaged; *wal_seq is set only when all is well.
OMBUS_API int om_bus_endpoint_load_cursor(const char* path, uint64_t* wal_seq);

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OM_BUS_H_

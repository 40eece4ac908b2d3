// A TCP client in C: receives what a server or relay broadcasts, resumes where it left off, and,
// when asked to, reconnects with exponential backoff.
//
//   ombus_client_options options;
//   ombus_client_options_init(&options, sizeof options);
//   options.host = "feed.example";
//   options.port = 7001;
//   options.resume_from = last_seen + 1;
//   ombus_client* client = ombus_client_connect(&options, &error);
//   ombus_record record;
//   if (ombus_client_poll(client, &record, 1000000000) == OMBUS_CLIENT_RECORD) use(&record);
//
// Threads: one thread at a time. A payload lives until the next poll, poll_batch or close.
#ifndef OMBUS_OMBUS_CLIENT_H_
#define OMBUS_OMBUS_CLIENT_H_

#include "ombus/ombus_base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ombus_client ombus_client;

typedef struct ombus_client_options {
  uint64_t size;                  // of this struct; set by ombus_client_options_init
  const char* host;               // IPv4 or IPv6 text, or a name; NULL: 127.0.0.1
  uint32_t port;                  // required, 1…65535
  uint32_t connect_timeout_ms;    // 5000
  uint32_t receive_buffer_bytes;  // at least one frame, at most 1 GiB; 256 KiB
  uint32_t hello;                 // 1: say HELLO, get WELCOME, GAP and BYE; 0: old protocol; 1
  uint64_t resume_from;           // with hello: first wal_seq wanted; 0: live
  uint32_t reject_reorder;        // 1: report REORDER; 0
  uint32_t reconnect;             // 1: go on after a lost connection, inside the polls; 0
  uint32_t retry_base_ms;         // doubles up to retry_max_ms, with jitter; 100
  uint32_t retry_max_ms;          // 5000
  uint32_t max_retries;           // failed attempts in a row before giving up; 0: never
  uint32_t backend;               // an OMBUS_BACKEND_…; AUTO
  // With hello: what the server is asked to say at least so often when it has nothing else to say,
  // and what this client then says itself, inside the polls; 0: neither; 1000.
  uint32_t heartbeat_ms;
  // A connection silent for so long is lost. 0: three heartbeats where the server agreed to them,
  // else only what the kernel notices of a dead peer (25 s); 0.
  uint32_t idle_timeout_ms;
} ombus_client_options;

typedef enum ombus_client_result {
  OMBUS_CLIENT_INVALID = -1,  // a NULL client or record
  OMBUS_CLIENT_EMPTY = 0,     // no whole frame yet, or reconnecting
  OMBUS_CLIENT_RECORD = 1,
  OMBUS_CLIENT_GAP = 2,             // a record, and sequences before it are missing
  OMBUS_CLIENT_REORDER = 3,         // a record below the expected sequence (reject_reorder)
  OMBUS_CLIENT_SLOW_WARNING = 4,    // the server warns: this client lags. No record
  OMBUS_CLIENT_EPOCH_CHANGED = 5,   // what follows is another producer's: sequences may begin anew.
                                    // A GAP on the next record: its first ones will not come.
                                    // No record
  OMBUS_CLIENT_CONNECTED = 6,       // a reconnecting client has its connection back. No record
  OMBUS_CLIENT_END_OF_STREAM = 7,   // the server said that the stream has ended; final
  OMBUS_CLIENT_DISCONNECTED = 8,    // connection lost and not to come back; final
  OMBUS_CLIENT_PROTOCOL_ERROR = 9,  // the peer sent what is no frame; final unless reconnecting
  OMBUS_CLIENT_NO_MEMORY = 10       // memory ran out in this client, now or before; final
} ombus_client_result;

// Fills in the defaults. size: sizeof(ombus_client_options) as the caller knows it.
// INVALID_ARGUMENT for NULL, and for a size that cannot be, as that of a pointer.
OMBUS_API ombus_status ombus_client_options_init(ombus_client_options* options,
                                                 size_t size) OMBUS_NOEXCEPT;

// Connects, waiting up to connect_timeout_ms. With reconnect, an unreachable server is no error:
// the attempts go on inside the polls. NULL on error: INVALID_ARGUMENT, NOT_FOUND (host),
// UNAVAILABLE (refused, timed out), UNSUPPORTED (back end). Allocates the receive buffer.
OMBUS_API ombus_client* ombus_client_connect(const ombus_client_options* options,
                                             ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Closes the connection and frees the handle.
OMBUS_API void ombus_client_close(ombus_client* client) OMBUS_NOEXCEPT;

// One record, or why not; waits up to timeout_ns for one, 0 never waits. *record is set for RECORD,
// GAP and REORDER. At most one system call unless it waits.
OMBUS_API ombus_client_result ombus_client_poll(ombus_client* client, ombus_record* record,
                                                uint64_t timeout_ns) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Up to max records at once, waiting up to timeout_ns for the first; returns how many. Payloads
// live until the next call; flags of each say gap and reorder. *end, which may be NULL, says why
// there are no more: RECORD if max was reached, EMPTY if nothing more is here, or what else poll
// would have said (with REORDER the last record is the one rejected).
OMBUS_API size_t ombus_client_poll_batch(ombus_client* client, ombus_record* records, size_t max,
                                         uint64_t timeout_ns,
                                         ombus_client_result* end) OMBUS_NOEXCEPT;

// Calls each(record, context) for up to max records as they lie in the receive buffer, waiting up
// to timeout_ns for the first; returns how many. A payload lives until each returns. *end as in
// ombus_client_poll_batch.
OMBUS_API size_t ombus_client_drain(ombus_client* client, size_t max, uint64_t timeout_ns,
                                    ombus_record_fn each, void* context,
                                    ombus_client_result* end) OMBUS_NOEXCEPT;

// Tells the server how far this client is: a heartbeat with wal_seq, on its way when this returns
// (one system call). 0: not connected, or the last one is not out yet. Not for servers of the old
// protocol, which expect their clients to say nothing.
OMBUS_API int ombus_client_send_heartbeat(ombus_client* client) OMBUS_NOEXCEPT;

// Of a NULL client all of these are 0.
OMBUS_API uint64_t ombus_client_wal_seq(const ombus_client* client)
    OMBUS_NOEXCEPT;  // last received
// What would have followed without the gap last reported.
OMBUS_API uint64_t ombus_client_expected_wal_seq(const ombus_client* client) OMBUS_NOEXCEPT;
// Of the producer, as the server said; 0: not known.
OMBUS_API uint64_t ombus_client_epoch(const ombus_client* client) OMBUS_NOEXCEPT;
// 1: has a connection now; 0: none, or reconnecting.
OMBUS_API int ombus_client_connected(const ombus_client* client) OMBUS_NOEXCEPT;
OMBUS_API uint32_t ombus_client_reconnects(const ombus_client* client) OMBUS_NOEXCEPT;
// The figures of the last SLOW_WARNING: bytes pending at the server, and the limit. Either may be
// NULL.
OMBUS_API void ombus_client_slow_warning(const ombus_client* client, uint32_t* pending_bytes,
                                         uint32_t* limit_bytes) OMBUS_NOEXCEPT;
// Why the connection was last lost, kept when it is back; OMBUS_OK if it never was.
OMBUS_API ombus_status ombus_client_status(const ombus_client* client,
                                           ombus_error* error) OMBUS_NOEXCEPT;
// "io_uring" or "epoll"; a constant. "" of a NULL client.
OMBUS_API const char* ombus_client_backend_name(const ombus_client* client) OMBUS_NOEXCEPT;
// Why OMBUS_BACKEND_AUTO did not take io_uring, with the cure; "" where it did, or was not the
// choice. The client's.
OMBUS_API const char* ombus_client_backend_note(const ombus_client* client) OMBUS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_CLIENT_H_

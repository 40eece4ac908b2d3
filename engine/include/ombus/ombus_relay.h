// A relay in C: polls one stream's ring and broadcasts its records over TCP, in one thread, the
// caller's, or with egress_threads beside it.
//
//   ombus_relay_options options;
//   ombus_relay_options_init(&options, sizeof options);
//   options.stream = "/orders";
//   options.server = &server_options;    // with its port
//   ombus_relay* relay = ombus_relay_create(&options, &error);
//   ombus_relay_run(relay, &error);       // in a thread of yours; elsewhere:
//   ombus_relay_stop(relay) ombus_relay_destroy(relay);
//
// Threads: run in one thread, which it pins when asked to; stop and get_stats from any; destroy
// when run has returned. No thread is started but egress_threads, which end with run; no signal
// handler installed.
#ifndef OMBUS_OMBUS_RELAY_H_
#define OMBUS_OMBUS_RELAY_H_

#include "ombus/ombus_base.h"
#include "ombus/ombus_server.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ombus_relay ombus_relay;

// What a turn that finds nothing does.
enum {
  OMBUS_IDLE_BUSY = 0,     // never gives up the core
  OMBUS_IDLE_BACKOFF = 1,  // spins, then pauses, yields, and sleeps in steps up to 1 ms
  OMBUS_IDLE_SLEEP = 2     // spins, then sleeps until the ring or a socket wakes it
};

// What to do when the stream's producer has ended it.
enum {
  OMBUS_STREAM_END_FOLLOW = 0,  // keep the clients and wait for the stream to be created again
  OMBUS_STREAM_END_EXIT = 1     // flush, say BYE and return
};

typedef struct ombus_relay_options {
  uint64_t size;                       // of this struct; set by ombus_relay_options_init
  const char* stream;                  // required
  const ombus_server_options* server;  // how to listen; NULL: the defaults, any free port
  int32_t cpu;                         // pin the thread that calls run; -1: leave it
  uint32_t idle;                       // an OMBUS_IDLE_…; SLEEP
  uint64_t idle_spin_ns;               // how long BACKOFF and SLEEP spin first; 50000
  uint32_t burst_min;                  // records polled per turn, adapted between these; 16
  uint32_t burst_max;                  // 256
  uint32_t wait_clients;    // join the ring for the first time only when so many are there; 0
  uint32_t on_end;          // an OMBUS_STREAM_END_…; FOLLOW
  uint64_t stream_wait_ms;  // how long the stream may take to appear at first; UINT64_MAX
  uint64_t flush_ms;        // orderly stop: what clients get to take what is pending; 5000
  ombus_event_fn on_event;  // in the thread that calls run, off the hot path; NULL: none
  void* event_context;
  // From 2 on, at most 64: run starts so many threads that share the clients, and its own polls and
  // encodes alone. Their cpus, one each, or NULL: they run where they may. The server's catch_up is
  // then called from any of them, by one at a time. 0
  uint32_t egress_threads;
  uint32_t egress_cpu_count;
  const int32_t* egress_cpus;
} ombus_relay_options;

// Counters since the relay was created.
typedef struct ombus_relay_stats {
  uint64_t size;  // of this struct; set it before the call
  uint64_t turns;
  uint64_t busy_turns;
  uint64_t idle_turns;
  uint64_t sleeps;
  uint64_t records_relayed;
  uint64_t gaps;               // missing sequences, also between two attachments
  uint64_t records_lost;       // by eviction from the ring
  uint64_t records_missed;     // published before it attached to a stream that it had waited for
  uint64_t corrupt_records;    // skipped
  uint64_t records_too_large;  // for a frame or for the broadcast log: left out
  uint64_t epoch_changes;
  uint64_t head;         // of the ring, when last looked at
  uint64_t tail;         // of this relay in it
  uint32_t burst;        // records polled per turn now
  uint32_t clients;      // connected now
  uint32_t attached;     // 1: to the stream
  uint32_t reserved;     // 0
  uint64_t turn_ns_p50;  // time of busy turns, percentiles at most 3.2 % off
  uint64_t turn_ns_p99;
  uint64_t turn_ns_p999;
  uint64_t turn_ns_max;
} ombus_relay_stats;

// Fills in the defaults. size: sizeof(ombus_relay_options) as the caller knows it.
// INVALID_ARGUMENT for NULL, and for a size that cannot be, as that of a pointer.
OMBUS_API ombus_status ombus_relay_options_init(ombus_relay_options* options,
                                                size_t size) OMBUS_NOEXCEPT;

// Opens the listening socket; the stream may come later. NULL on error, as ombus_server_create.
OMBUS_API ombus_relay* ombus_relay_create(const ombus_relay_options* options,
                                          ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Until stop, the end of the stream (EXIT) or an error that cannot be healed; once, after
// that INVALID_ARGUMENT. Before it returns, it lets go of the ring, gives the clients flush_ms to
// take what is pending, and closes them.
OMBUS_API ombus_status ombus_relay_run(ombus_relay* relay, ombus_error* error) OMBUS_NOEXCEPT;

// Asks run to flush and return. Any thread; async-signal-safe.
OMBUS_API void ombus_relay_stop(ombus_relay* relay) OMBUS_NOEXCEPT;

// Frees the handle, when run has returned or was never called.
OMBUS_API void ombus_relay_destroy(ombus_relay* relay) OMBUS_NOEXCEPT;

// Fill *stats with a copy that run's thread posts about every 100 ms; the second one with the
// server's part. Any thread. INVALID_ARGUMENT if one is NULL or stats->size too small;
// RESOURCE_EXHAUSTED without memory for a copy of what egress threads posted.
OMBUS_API ombus_status ombus_relay_get_stats(const ombus_relay* relay,
                                             ombus_relay_stats* stats) OMBUS_NOEXCEPT;
OMBUS_API ombus_status ombus_relay_get_server_stats(const ombus_relay* relay,
                                                    ombus_server_stats* stats) OMBUS_NOEXCEPT;

// The same of one egress thread, from 0 on: of what is broadcast all that it has taken over.
// INVALID_ARGUMENT also where the relay has no such thread, or run has not begun.
OMBUS_API ombus_status ombus_relay_get_egress_stats(const ombus_relay* relay, uint32_t thread,
                                                    ombus_server_stats* stats) OMBUS_NOEXCEPT;

// Of a NULL relay these are 0, and "". Any thread.
OMBUS_API uint16_t ombus_relay_port(const ombus_relay* relay) OMBUS_NOEXCEPT;
OMBUS_API const char* ombus_relay_backend_name(const ombus_relay* relay) OMBUS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_RELAY_H_

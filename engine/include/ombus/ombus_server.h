// A TCP server in C: broadcasts records to any number of clients. Bytes are encoded once into a
// broadcast log; a client is a cursor in it. ombus/ombus_relay.h runs one of these from a ring.
//
//   ombus_server_options options;
//   ombus_server_options_init(&options, sizeof options);
//   options.port = 7001;
//   ombus_server* server = ombus_server_create(&options, &error);
//   for (;;) { ombus_server_broadcast(server, &record); ombus_server_poll_io(server, 0, &error); }
//
// Threads: one thread at a time. No thread is started, no signal handler installed; SIGPIPE does
// not reach the host program.
#ifndef OMBUS_OMBUS_SERVER_H_
#define OMBUS_OMBUS_SERVER_H_

#include "ombus/ombus_base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ombus_server ombus_server;

// How io_uring sends; epoll always sends PLAIN. ombus/io_options.h has more.
enum {
  OMBUS_SEND_FIXED = 0,  // from 32 KiB up from the registered log; needs locked memory
  OMBUS_SEND_PLAIN = 1,
  OMBUS_SEND_ZERO_COPY = 2,  // from 16 KiB up (Linux 6.2)
  OMBUS_SEND_AUTO = 3        // FIXED, or ZERO_COPY for clients to which that does not copy
};

// What happens to the client whose lag reaches client_lag_bytes_max, or stays over hard_lag_bytes.
enum {
  OMBUS_SLOW_DISCONNECT = 0,  // it gets what is pending, a warning frame, and the end of its stream
  OMBUS_SLOW_WAIT = 1,        // broadcast refuses (FULL) until it has caught up, for at most
                              // slow_wait_ms without progress; then it is disconnected
  OMBUS_SLOW_SKIP = 2,        // it goes on with what is new, after a GAP (old protocol: a warning)
  OMBUS_SLOW_CATCH_UP = 3     // it gets what it has not from catch_up, until the log has it again
};

// Writes whole frames, as on the wire, of the records of `epoch` that it has from wal_seq `from`
// on, without leaving any out, in rising sequence; returns how many bytes, 0: none, or not yet.
// `bytes` is room for the largest frame at least. Called by the thread that polls the server.
// ombus/catch_up.h has more.
typedef size_t (*ombus_catch_up_fn)(uint64_t epoch, uint64_t from, void* into, size_t bytes,
                                    void* context);

typedef struct ombus_server_options {
  uint64_t size;                  // of this struct; set by ombus_server_options_init
  const char* address;            // IPv4 or IPv6 text; "0.0.0.0" or "::" for all; NULL: 127.0.0.1
  uint32_t port;                  // 0…65535; 0: any free one, see ombus_server_port
  uint32_t max_clients;           // one more is closed on accept; 1024
  uint64_t log_bytes;             // rounded up to a power of two, at least 256 KiB; 4 MiB
  uint64_t client_lag_bytes_max;  // 0: three quarters of the log
  uint32_t slow_client_policy;    // an OMBUS_SLOW_…; DISCONNECT
  uint32_t slow_wait_ms;          // OMBUS_SLOW_WAIT: without any progress; 5000
  uint32_t send_buffer_bytes;     // SO_SNDBUF; 0: the kernel's own tuning
  uint32_t turn_bytes_max;        // per client and turn; 256 KiB
  uint32_t drain_ms;              // how long a client that was cut is still drained; 1000
  uint32_t backend;               // an OMBUS_BACKEND_…; AUTO
  uint64_t epoch;                 // told to clients in WELCOME; 0: not known; 0
  // Of these from one IPv4 address, or one /64 of IPv6; 0: any number; 0.
  uint32_t max_clients_per_address;
  // 1: nothing for who has not said HELLO, it is closed; shuts out old clients; 0.
  uint32_t require_hello;
  // With require_hello; 5000.
  uint32_t hello_timeout_ms;
  // Of one client; more is a protocol error; 0: any number; 1000.
  uint32_t control_frames_per_second;
  // Said at least so often to clients that ask for it; 0: no heartbeats; 1000.
  uint32_t heartbeat_ms;
  // One that asked for heartbeats and is silent for so long is closed; 0: never; 30000.
  uint32_t client_timeout_ms;
  // One whose kernel takes nothing for so long is given up; 0: the kernel's patience; 60000.
  uint32_t stalled_peer_ms;
  // How bytes reach the kernel and the wire. What it refuses is an error of create, or, where that
  // costs speed alone, an event with the cure.
  uint32_t send_mode;              // an OMBUS_SEND_…; FIXED
  uint32_t busy_poll_us;           // SO_BUSY_POLL of the clients' sockets; 0: off; 0
  uint32_t napi_busy_poll_us;      // an io_uring that waits polls the cards (Linux 6.9); 0: off; 0
  int32_t incoming_cpu;            // SO_INCOMING_CPU of the listening socket; -1: off; -1
  uint32_t sq_poll;                // 1: a kernel thread submits, which costs a core; 0
  int32_t sq_poll_cpu;             // where; -1: anywhere; -1
  uint32_t sq_poll_idle_ms;        // it sleeps after so long without work; 0: a second; 100
  const char* congestion_control;  // TCP_CONGESTION, as "cubic"; NULL: the system's
  // A client that lags more than so many bytes for so long without a break: over the soft mark it
  // is warned, over the hard one the policy takes its course (not with WAIT). 0 bytes: none; 0.
  uint64_t soft_lag_bytes;
  uint64_t hard_lag_bytes;
  uint32_t soft_lag_ms;
  uint32_t hard_lag_ms;
  // Where clients that resume, and with CATCH_UP those that lag, find what the log has no longer;
  // NULL: nowhere.
  ombus_catch_up_fn catch_up;
  void* catch_up_context;
  uint32_t catch_up_wait_ms;  // for a source that has nothing yet; then the gap is told; 1000
  uint32_t reserved;          // 0
} ombus_server_options;

typedef enum ombus_broadcast_result {
  OMBUS_BROADCAST_INVALID = -1,  // NULL server or record, or a NULL payload of a size above 0
  OMBUS_BROADCAST_OK = 0,
  OMBUS_BROADCAST_FULL = 1,       // OMBUS_SLOW_WAIT only: poll_io and try again
  OMBUS_BROADCAST_TOO_LARGE = 2,  // over what the log can hold
  OMBUS_BROADCAST_NO_MEMORY = 3   // memory ran out in this server, now or before; it does nothing
                                  // any more: destroy it
} ombus_broadcast_result;

// What a client that said HELLO is told at the end.
enum {
  OMBUS_SHUTDOWN_RESTART = 0,       // this server goes away, another may come: reconnect
  OMBUS_SHUTDOWN_END_OF_STREAM = 1  // nothing will follow
};

// Counters since the server was created.
typedef struct ombus_server_stats {
  uint64_t size;  // of this struct; set it before the call
  uint64_t records_broadcast;
  uint64_t bytes_broadcast;   // payload only
  uint64_t bytes_sent;        // to all clients, frames included
  uint64_t frames_delivered;  // whole frames handed to the kernel, summed over clients
  uint64_t sends;             // send operations
  uint64_t turns;             // poll_io calls that had something to do
  uint64_t enters;            // system calls of the back end
  uint64_t sends_fixed;       // from the registered log
  uint64_t sends_plain;       // small ones, and by io_uring what is alone in its turn
  uint64_t sends_zero_copy;
  uint64_t zero_copy_copied;  // of these, those of which the kernel says that it copied
  uint64_t clients_accepted;
  uint64_t clients_refused;    // over max_clients or max_clients_per_address
  uint64_t clients_timed_out;  // without the HELLO required, or silent for client_timeout_ms
  uint64_t clients_disconnected;
  uint64_t slow_client_drops;
  uint64_t slow_client_warnings;
  uint64_t protocol_errors;  // clients closed for what they sent
  uint64_t accept_failures;  // EMFILE and the like; accepting goes on
  uint64_t log_bytes_high;   // highest lag of any client
  uint64_t slow_client_skips;
  uint64_t frames_skipped;    // by those
  uint64_t catch_ups;         // times a client began to catch up
  uint64_t frames_caught_up;  // sent from the source; in frames_delivered too
} ombus_server_stats;

// Something an operator wants in the log.
typedef enum ombus_event_kind {
  OMBUS_EVENT_CLIENT_JOINED = 0,
  OMBUS_EVENT_CLIENT_LEFT = 1,
  OMBUS_EVENT_CLIENT_SLOW = 2,
  OMBUS_EVENT_CLIENT_CUT = 3,
  OMBUS_EVENT_CLIENT_REFUSED = 4,
  OMBUS_EVENT_PROTOCOL_ERROR = 5,
  OMBUS_EVENT_ACCEPT_FAILED = 6,
  OMBUS_EVENT_NOTE = 7,
  OMBUS_EVENT_CLIENT_SKIPPED = 8
} ombus_event_kind;

// text is a whole sentence, with the client's address and its lag where it has one; it lives until
// the callback returns. Kinds not listed here may come from a newer library.
typedef void (*ombus_event_fn)(ombus_event_kind kind, const char* text, void* context);

// Fills in the defaults. size: sizeof(ombus_server_options) as the caller knows it.
// INVALID_ARGUMENT for NULL, and for a size that cannot be, as that of a pointer.
OMBUS_API ombus_status ombus_server_options_init(ombus_server_options* options,
                                                 size_t size) OMBUS_NOEXCEPT;

// Listens. NULL on error: INVALID_ARGUMENT, ALREADY_EXISTS (port in use), PERMISSION_DENIED,
// RESOURCE_EXHAUSTED, UNSUPPORTED (back end). Allocates the log.
OMBUS_API ombus_server* ombus_server_create(const ombus_server_options* options,
                                            ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// Closes all connections at once and frees the handle; ombus_server_shutdown is the orderly way.
OMBUS_API void ombus_server_destroy(ombus_server* server) OMBUS_NOEXCEPT;

// Encodes one record for all clients connected now. No I/O, no allocation; a copy of the payload.
OMBUS_API ombus_broadcast_result ombus_server_broadcast(
    ombus_server* server, const ombus_record* record) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// What is broadcast from now on comes from another incarnation of the producer: sequences may begin
// anew, and clients that said HELLO are told so before its first record. whole, 1: it is broadcast
// from its first record on; 0: they are told that its beginning is missing. No I/O.
OMBUS_API void ombus_server_begin_epoch(ombus_server* server, uint64_t epoch,
                                        int whole) OMBUS_NOEXCEPT;

// Accepts, sends, receives; waits up to timeout_ns for something to happen, 0 never waits.
// An error means that this server cannot go on; what clients do is none.
OMBUS_API ombus_status ombus_server_poll_io(ombus_server* server, uint64_t timeout_ns,
                                            ombus_error* error) OMBUS_NOEXCEPT;

// poll_io until every client has what was broadcast (1), or timeout_ns is over (0).
OMBUS_API int ombus_server_flush(ombus_server* server, uint64_t timeout_ns) OMBUS_NOEXCEPT;

// Tells clients why, an OMBUS_SHUTDOWN_…, and closes each once it has everything, all within
// timeout_ns. Nothing is accepted any more. Who came less than half a second ago and has not said a
// word, as clients of the old protocol never do, is given the rest of that time for its HELLO.
OMBUS_API void ombus_server_shutdown(ombus_server* server, uint64_t timeout_ns,
                                     uint32_t reason) OMBUS_NOEXCEPT;

// Calls each(kind, text, context) for what happened since the last call, oldest first; returns how
// many. Bounded: of very many, the oldest are dropped. Allocates.
OMBUS_API size_t ombus_server_take_events(ombus_server* server, ombus_event_fn each,
                                          void* context) OMBUS_NOEXCEPT;

// Fills *stats. INVALID_ARGUMENT if one is NULL or stats->size too small.
OMBUS_API ombus_status ombus_server_get_stats(const ombus_server* server,
                                              ombus_server_stats* stats) OMBUS_NOEXCEPT;

// Of a NULL server these are 0, and "".
OMBUS_API uint32_t ombus_server_client_count(const ombus_server* server) OMBUS_NOEXCEPT;
OMBUS_API uint16_t ombus_server_port(const ombus_server* server) OMBUS_NOEXCEPT;
// Heartbeats received from all clients so far.
OMBUS_API uint64_t ombus_server_heartbeats_received(const ombus_server* server) OMBUS_NOEXCEPT;
// "io_uring" or "epoll"; a constant.
OMBUS_API const char* ombus_server_backend_name(const ombus_server* server) OMBUS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_SERVER_H_

// Server: broadcasts records over TCP to any number of clients. Bytes are encoded once into a
// broadcast log; a client is a cursor in it.
//
//   auto server = ombus::Server::Create({.port = 7001});
//   for (;;) { (*server)->Broadcast(record); (*server)->PollIo(0); }
//
// Threads: one thread at a time. No thread is started, no signal handler installed; SIGPIPE does
// not reach the host program. A relay (ombus/relay.h) runs one of these for you.
#ifndef OMBUS_SERVER_H_
#define OMBUS_SERVER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ombus/backend_choice.h"
#include "ombus/catch_up.h"
#include "ombus/io_options.h"
#include "ombus/record.h"
#include "ombus/status.h"

namespace ombus {

// What happens to a client that would lag more than client_lag_bytes_max, or that is over the hard
// mark for too long.
enum class SlowClientPolicy : uint8_t {
  kDisconnect,  // it gets what is pending, a warning frame, and the end of its stream; nobody waits
  kWait,     // Broadcast refuses (kFull) until it has caught up, for at most slow_wait_ms without
             // progress; then it is disconnected. Lossless end to end, at the slowest client's pace
  kSkip,     // it goes on with what is new, after a GAP (old protocol: a warning) where it left off
  kCatchUp,  // it gets what it has not from ServerOptions::catch_up, until the log has it again
};

// Of the times below, in which a client or a source has to do something, the time in which this
// process stood still or did not call the server counts as a third at most.
struct ServerOptions {
  std::string address = "127.0.0.1";  // IPv4 or IPv6 text; "0.0.0.0" or "::" for all
  uint16_t port = 0;                  // 0: any free one, see port()
  uint32_t max_clients = 1024;        // one more is closed on accept
  // Of these from one IPv4 address, or one /64 of IPv6; 0: any number. One more is closed on
  // accept.
  uint32_t max_clients_per_address = 0;
  // Nothing is sent to who has not said HELLO, and after hello_timeout_ms it is closed. Shuts out
  // clients of the old protocol.
  bool require_hello = false;
  uint32_t hello_timeout_ms = 5000;
  // From one client, in the long run and at once; more is a protocol error. 0: any number. A
  // control frame has at most 64 bytes.
  uint32_t control_frames_per_second = 1000;
  // Something is said at least so often to clients that ask for heartbeats in HELLO; one that asks
  // for less gets less. 0: no heartbeats.
  uint32_t heartbeat_ms = 1000;
  // One that asked for heartbeats and is silent itself for so long is closed; at least three
  // heartbeats. 0: never.
  uint32_t client_timeout_ms = 30'000;
  // A client whose kernel acknowledges or takes nothing for so long though there is something for
  // it is given up: TCP_USER_TIMEOUT. 0: the kernel's own patience, about a quarter of an hour.
  uint32_t stalled_peer_ms = 60'000;
  uint64_t log_bytes = 4u << 20;      // rounded up to a power of two, at least 256 KiB
  uint64_t client_lag_bytes_max = 0;  // 0: three quarters of the log
  SlowClientPolicy slow_client_policy = SlowClientPolicy::kDisconnect;
  bool oversized_cuts = false;   // kDisconnect: a record of more bytes than a client may lag cuts
                                 // them all; else it is refused (kTooLarge)
  uint32_t slow_wait_ms = 5000;  // kWait: without any progress
  // Marks below client_lag_bytes_max: a client that lags more than so many bytes for so long
  // without a break. A burst that drains in time costs nobody anything. Looked at once a turn. 0
  // bytes: none.
  uint64_t soft_lag_bytes = 0;  // it is warned: 0xFE frame, event, slow_client_warnings
  uint32_t soft_lag_ms = 0;
  uint64_t hard_lag_bytes =
      0;  // the policy takes its course; not with kWait, which has slow_wait_ms
  uint32_t hard_lag_ms = 0;
  // Where clients that resume, and with kCatchUp those that lag, find what the log has no longer.
  std::shared_ptr<CatchUpSource> catch_up = nullptr;
  uint32_t catch_up_wait_ms = 1000;      // for a source that has nothing yet; then the gap is told
  uint32_t send_buffer_bytes = 0;        // SO_SNDBUF; 0: the kernel's own tuning
  uint32_t turn_bytes_max = 256u << 10;  // per client and turn
  uint32_t drain_ms = 1000;              // how long a client that was cut is still drained
  uint64_t epoch = 0;                    // told to clients in WELCOME; 0: not known
  BackendChoice backend = BackendChoice::kAuto;
  IoOptions io = {};
};

enum class [[nodiscard]] BroadcastResult : uint8_t{
    kOk,
    kFull,      // kWait only: PollIo and try again
    kTooLarge,  // over 65535 bytes, or over what the log can hold
};

// What a client that said HELLO is told at the end.
enum class ShutdownReason : uint8_t {
  kShutdown,     // this server goes away; another may take its place: reconnecting makes sense
  kEndOfStream,  // nothing will follow
};

struct ServerStats {
  uint64_t records_broadcast = 0;
  uint64_t bytes_broadcast = 0;   // payload only
  uint64_t bytes_sent = 0;        // to all clients, frames included
  uint64_t frames_delivered = 0;  // whole frames handed to the kernel, summed over clients
  uint64_t sends = 0;             // send operations
  uint64_t turns = 0;             // PollIo calls that had something to do
  uint64_t enters = 0;            // system calls of the back end
  uint64_t sends_fixed = 0;       // from the registered log
  uint64_t sends_plain = 0;       // small ones, and by io_uring what is alone in its turn
  uint64_t sends_zero_copy = 0;
  uint64_t zero_copy_copied = 0;  // of these, those of which the kernel says that it copied
  uint64_t clients_accepted = 0;
  uint64_t clients_refused = 0;    // over max_clients or max_clients_per_address
  uint64_t clients_timed_out = 0;  // without the HELLO required, or silent for client_timeout_ms
  uint64_t clients_disconnected = 0;
  uint64_t slow_client_drops = 0;
  uint64_t slow_client_warnings = 0;
  uint64_t slow_client_skips = 0;
  uint64_t frames_skipped = 0;    // by those
  uint64_t catch_ups = 0;         // times a client began to catch up
  uint64_t frames_caught_up = 0;  // sent from the source; in frames_delivered too
  uint64_t protocol_errors = 0;   // clients closed for what they sent
  uint64_t accept_failures = 0;   // EMFILE and the like; accepting goes on
  uint64_t log_bytes_high = 0;    // highest lag of any client
};

// Something an operator wants in the log: a client joined, left, was cut, and why.
struct ServerEvent {
  enum class Kind : uint8_t {
    kClientJoined,
    kClientLeft,
    kClientSlow,
    kClientCut,
    kClientRefused,
    kProtocolError,
    kAcceptFailed,
    kNote,
    kClientSkipped
  };
  Kind kind = Kind::kNote;
  std::string text;  // whole sentence, with the client's address and its lag where it has one
};

class OMBUS_API Server {
 public:
  static Result<std::unique_ptr<Server>> Create(const ServerOptions& options);
  virtual ~Server() = default;

  // Encodes one record for all clients connected now. No I/O.
  virtual BroadcastResult Broadcast(const Record& record) = 0;

  // The same for many, in order, until one is refused: returns how many were taken. *end is kOk
  // where that is all, else what the next one got. Takes some 3 ns a record less.
  virtual size_t BroadcastBatch(std::span<const Record> records, BroadcastResult* end) = 0;

  // What is broadcast from now on comes from another incarnation of the producer: sequences may
  // begin anew, and clients that said HELLO are told so before its first record. `whole`: it is
  // broadcast from its first record on; else they are told that its beginning is missing. No I/O.
  virtual void BeginEpoch(uint64_t epoch, bool whole) = 0;

  // Accepts, sends, receives; waits up to timeout_ns for something to happen, 0 never waits.
  virtual Status PollIo(uint64_t timeout_ns) = 0;

  // PollIo until every client has what was broadcast, or timeout_ns is over. True: all have it.
  virtual bool Flush(uint64_t timeout_ns) = 0;

  // Says BYE to those who said HELLO and closes every client once it is flushed, within timeout_ns.
  // Who is not flushed by then is closed all the same. Nothing is accepted any more. Who came less
  // than half a second ago and has not said a word is given the rest of that time for its HELLO.
  virtual void Shutdown(uint64_t timeout_ns, ShutdownReason reason) = 0;
  void Shutdown(uint64_t timeout_ns) { Shutdown(timeout_ns, ShutdownReason::kShutdown); }

  virtual uint32_t client_count() const = 0;
  virtual uint16_t port() const = 0;
  virtual const char* backend_name() const = 0;  // "io_uring" or "epoll"
  virtual ServerStats stats() const = 0;
  // Heartbeats received from all clients so far: a look at a counter, for who waits for an answer.
  virtual uint64_t heartbeats_received() const = 0;
  // The turns of stats(), which walks over frames for each client: a look at a counter as well.
  virtual uint64_t busy_turns() const = 0;
  // Since the last call. The latest 256 are kept; how many were pushed out is told first.
  virtual std::vector<ServerEvent> TakeEvents() = 0;
};

}  // namespace ombus

#endif  // OMBUS_SERVER_H_

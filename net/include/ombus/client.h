// Client: receives what a server broadcasts, and, when asked to, reconnects with exponential
// backoff.
//
//   auto client = ombus::Client::Connect({.host = "feed.example", .port = 7001});
//   ombus::Record record;
//   while (true) if ((*client)->Poll(&record, 1'000'000) == ombus::ClientResult::kRecord)
//   Use(record);
//
// Threads: one thread at a time. A payload lives until the next Poll.
#ifndef OMBUS_CLIENT_H_
#define OMBUS_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ombus/backend_choice.h"
#include "ombus/record.h"
#include "ombus/status.h"

namespace ombus {

struct ClientOptions {
  // IPv4 or IPv6 text, or a name, which is looked up again for every reconnect (that blocks for as
  // long as the resolver does; where it fails, the addresses known before are tried).
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  uint32_t connect_timeout_ms = 5000;
  uint32_t receive_buffer_bytes = 256u << 10;  // at least one frame
  bool hello = true;         // say HELLO: get WELCOME, GAP and BYE. False: old protocol
  uint64_t resume_from = 0;  // needs hello: first wal_seq wanted, if the server still has it
  bool reject_reorder = false;
  bool reconnect = false;
  uint32_t retry_base_ms = 100;  // doubles up to retry_max_ms, with jitter
  uint32_t retry_max_ms = 5000;
  // With hello: what a server of this protocol is asked to say at least so often when it has
  // nothing else to say, and what this client then says itself, inside Poll; 0: neither. The server
  // may make it longer.
  uint32_t heartbeat_ms = 1000;
  // A connection silent for so long is lost (kDisconnected, or another attempt). 0: three
  // heartbeats where the server agreed to them, else only what the kernel notices of a dead peer
  // (25 s), and with hello that much for the rest of a frame that has begun.
  uint32_t idle_timeout_ms = 0;
  // Failed attempts in a row before giving up; 0: never. A connection counts as one too where the
  // server ended it before it had lasted one heartbeat and the wait before it, but for the first.
  uint32_t max_retries = 0;
  BackendChoice backend = BackendChoice::kAuto;
};

enum class [[nodiscard]] ClientResult : uint8_t{
    kEmpty,  // no whole frame yet, or reconnecting
    kRecord,
    kGap,           // a record, and sequences before it are missing
    kReorder,       // a record below the expected sequence (reject_reorder)
    kSlowWarning,   // the server warns: this client lags. No record; slow_warning() has the figures
    kEpochChanged,  // what follows is another producer's: sequences may begin anew. A kGap on the
                    // next record says that its first records will not come. No record
    kConnected,     // a reconnecting client has its connection back. No record
    kEndOfStream,   // the server said that the stream has ended; final
    kDisconnected,  // connection lost and not to come back, or the server speaks another version;
                    // final. status() says why
    kProtocolError,  // the peer sent what is no frame; final unless reconnecting. status() says
                     // what
};

struct SlowWarning {
  uint32_t pending_bytes = 0, limit_bytes = 0;
};

class OMBUS_API Client {
 public:
  // Connects, waiting up to connect_timeout_ms. With reconnect, an unreachable server is no error:
  // the attempts go on inside Poll.
  static Result<std::unique_ptr<Client>> Connect(const ClientOptions& options);
  virtual ~Client() = default;

  // One record, or why not; waits up to timeout_ns for one, 0 never waits.
  virtual ClientResult Poll(Record* record, uint64_t timeout_ns) = 0;

  // Up to out.size() records at once, waiting up to timeout_ns for the first; their payloads live
  // until the next call. flags of each say gap and reorder. *end says why there are no more:
  // kRecord if out is full, kEmpty if nothing more is here, or what else Poll would have said (with
  // kReorder the last record is the one rejected).
  virtual size_t PollBatch(std::span<Record> out, uint64_t timeout_ns, ClientResult* end) = 0;

  // The same as a callback: hands up to `max` records to f(const Record&) as they lie in the
  // receive buffer, waiting up to timeout_ns for the first; each payload lives until f returns.
  // Returns how many; *end as PollBatch has it. Costs one virtual call per 64 records.
  template <typename F>
  size_t Drain(size_t max, uint64_t timeout_ns, ClientResult* end, F&& f) {
    Record records[64];
    size_t total = 0;
    *end = ClientResult::kRecord;
    while (total < max && *end == ClientResult::kRecord) {
      const size_t room = max - total < 64 ? max - total : 64;
      const size_t count = PollBatch({records, room}, total == 0 ? timeout_ns : 0, end);
      for (size_t i = 0; i < count; ++i) f(static_cast<const Record&>(records[i]));
      total += count;
    }
    return total;
  }

  // Tells the server how far this client is: a heartbeat with wal_seq(), on its way when this
  // returns (one system call). False: not connected, or the last one is not out yet. Needs a server
  // of this protocol: one of the old protocol expects its clients to say nothing.
  virtual bool SendHeartbeat() = 0;

  virtual uint64_t wal_seq() const = 0;           // last sequence received, kept over reconnects
  virtual uint64_t expected_wal_seq() const = 0;  // what would have followed without the last gap
  virtual uint64_t epoch() const = 0;  // of the producer, as the server said; 0: not known
  virtual SlowWarning slow_warning() const = 0;
  virtual bool connected() const = 0;  // now; false also while it reconnects
  // Whether any server has said anything to this client so far, if only WELCOME. One of the old
  // protocol says nothing before its first record.
  virtual bool heard() const = 0;
  virtual uint32_t reconnects() const = 0;
  virtual Status status() const = 0;  // why the connection was last lost, kept when it is back
  virtual const char* backend_name() const = 0;
  // Why kAuto did not take io_uring, with the cure; empty where it did, or was not the choice.
  virtual const char* backend_note() const = 0;
};

}  // namespace ombus

#endif  // OMBUS_CLIENT_H_

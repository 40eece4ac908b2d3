// Relay: polls one stream's ring and broadcasts its records over TCP: poll, encode, send, accept,
// in one thread, the caller's. For many clients it may start threads that send, accept and receive
// beside it, where egress_threads asks for them.
//
//   auto relay = ombus::Relay::Create({.stream = "/orders", .server = {.port = 7001}, .cpu = 3});
//   std::thread thread([&] { status = (*relay)->Run(); });
//   …
//   (*relay)->Stop(); thread.join();
//
// Threads: Run in one thread, which it pins when asked to; Stop and stats from any. No thread is
// started but egress_threads, which end with Run; no signal handler installed, no global kept.
#ifndef OMBUS_RELAY_H_
#define OMBUS_RELAY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ombus/histogram.h"
#include "ombus/server.h"
#include "ombus/status.h"

namespace ombus {

enum class IdleStrategy : uint8_t {
  kBusy,     // never gives up the core
  kBackoff,  // spins, then pauses, yields, and sleeps in steps up to 1 ms
  kSleep,    // spins, then sleeps until the ring or a socket wakes it
};

// What to do when the stream ends (its producer closed it).
enum class StreamEnd : uint8_t {
  kFollow,  // keep the clients and wait for the stream to be created again
  kExit,    // flush, say BYE and return
};

struct RelayOptions {
  std::string stream = {};
  ServerOptions server = {};
  int cpu = -1;  // pin the thread that calls Run; -1: leave it
  IdleStrategy idle = IdleStrategy::kSleep;
  uint64_t idle_spin_ns = 50'000;            // how long kBackoff and kSleep spin first
  uint32_t burst_min = 16, burst_max = 256;  // records polled per turn, adapted between these
  uint32_t wait_clients = 0;  // join the ring for the first time only when so many are there
  StreamEnd on_end = StreamEnd::kFollow;
  // How long the stream may take to appear for the first time. Once it was there, it is waited for.
  uint64_t stream_wait_ms = ~uint64_t{0};
  uint64_t flush_ms = 5000;  // orderly stop: how long clients get to take what is pending
  std::function<void(const ServerEvent&)> on_event = {};  // from Run's thread, off the hot path
  // From 2 on: Run starts so many threads that share the clients, and its own polls and encodes
  // alone, once for all of them. They take no signals and are called ombus-egress-0 and so on. At
  // most 64. ServerOptions::catch_up is then called from any of them, by one at a time.
  uint32_t egress_threads = 0;
  std::vector<int> egress_cpus = {};  // pins them, one cpu each; empty: they run where they may
};

// One egress thread's part.
struct EgressStats {
  int cpu = -1;  // pinned to it
  uint32_t clients = 0;
  uint64_t busy_turns = 0, idle_turns = 0, sleeps = 0;
  ServerStats server;  // records_broadcast, bytes_broadcast: what it has taken over
};

struct RelayStats {
  uint64_t turns = 0, busy_turns = 0, idle_turns = 0, sleeps = 0;
  uint64_t records_relayed = 0;
  uint64_t gaps = 0;             // missing sequences, also between two attachments
  uint64_t records_lost = 0;     // by eviction from the ring
  uint64_t records_missed = 0;   // published before it attached to a stream that it had waited for
  uint64_t corrupt_records = 0;  // skipped
  uint64_t records_too_large = 0;  // for a frame or for the broadcast log: left out
  uint64_t epoch_changes = 0;
  uint64_t head = 0, tail = 0;  // of the ring, when last looked at
  uint32_t burst = 0;
  uint32_t clients = 0;
  bool attached = false;
  ServerStats server;               // all egress threads together
  std::vector<EgressStats> egress;  // each of them
  Histogram turn_ns;                // time of busy turns
};

class OMBUS_API Relay {
 public:
  // Opens the listening socket; the stream may come later.
  static Result<std::unique_ptr<Relay>> Create(const RelayOptions& options);
  // In a forked child nothing: what its parent's threads were changing stays as it is, descriptors
  // and all, until the child ends or executes another program.
  virtual ~Relay() = default;

  // Until Stop, the end of the stream (kExit) or an error that cannot be healed; once, after
  // that kInvalidArgument. Before it returns, it lets go of the ring, gives the clients flush_ms to
  // take what is pending, and closes them.
  virtual Status Run() = 0;
  // Asks Run to flush and return. Async-signal-safe.
  virtual void Stop() = 0;

  virtual uint16_t port() const = 0;
  virtual const char* backend_name() const = 0;
  virtual RelayStats stats() const = 0;  // a copy published by Run's thread about every 100 ms
};

}  // namespace ombus

#endif  // OMBUS_RELAY_H_

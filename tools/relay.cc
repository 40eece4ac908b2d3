// ombus relay: one thread per stream, each a relay of its own, and egress threads where asked for.
#include "ombus/relay.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tools/address.h"
#include "tools/command.h"
#include "tools/cpu.h"
#include "tools/io_flags.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

constexpr CommandText kText = {
    "relay", "--stream /name [--stream /other]... [--listen ADDR:PORT]... [--flag value]...",
    "Polls each stream and broadcasts its records over TCP, one thread per stream. Prints a\n"
    "line per stream when it listens: listening on 127.0.0.1:7001 for /name, io_uring, cpu 1.\n"
    "Waits for streams that are not there yet. With one --listen and several streams, ports\n"
    "count up. SIGINT or SIGTERM: flush and end; a second one: end at once."};

struct Options {
  std::vector<std::string> streams, listens;
  std::vector<int> cpus;
  std::string backend = "auto", idle = "sleep", slow_client = "disconnect";
  RelayOptions relay;
  IoFlags io;
  uint64_t flush_ns = 5'000'000'000, stats_interval_ns = 0;
  bool exit_on_close = false;
};

FlagTable FlagsOf(Options* o) {
  ServerOptions* server = &o->relay.server;
  FlagTable flags = {
      {"stream", "/NAME", "a stream to relay; may be given again", &o->streams},
      {"listen", "ADDR:PORT",
       "where; a port alone is on 127.0.0.1, port 0 any free one (default 127.0.0.1:0)",
       &o->listens},
      {"cpu", "N[,M]", "pin the relay threads, one cpu per stream", CpuList{&o->cpus}},
      {"egress-threads", "N",
       "so many threads more per stream share its clients; 0 and 1: the relay's own serves them",
       Number32{&o->relay.egress_threads, 0, 64}},
      {"egress-cpus", "N[,M]",
       "pin those, one cpu each; for all streams, or one list per stream in turn",
       CpuList{&o->relay.egress_cpus}},
      {"backend", "WORD", "auto, uring or epoll", Choice{&o->backend, {"auto", "uring", "epoll"}}},
      {"idle", "WORD", "busy, backoff or sleep", Choice{&o->idle, {"busy", "backoff", "sleep"}}},
      {"wait-clients", "N", "join the ring only when N clients are connected",
       Number32{&o->relay.wait_clients}},
      {"slow-client", "WORD",
       "disconnect: cut who lags too far; wait: go at its pace; skip: it misses what is too old",
       Choice{&o->slow_client, {"disconnect", "wait", "skip"}}},
      {"soft-lag-bytes", "BYTES", "warn a client that lags more than so far; 0: none",
       Bytes{&server->soft_lag_bytes}},
      {"soft-lag-ms", "TIME", "for so long without a break", Millis{&server->soft_lag_ms}},
      {"hard-lag-bytes", "BYTES", "cut or skip a client that lags more than so far; 0: none",
       Bytes{&server->hard_lag_bytes}},
      {"hard-lag-ms", "TIME", "for so long without a break", Millis{&server->hard_lag_ms}},
      {"slow-wait-ms", "TIME", "with wait: cut a client without any progress for so long",
       Millis{&server->slow_wait_ms}},
      {"log-bytes", "BYTES", "size of the broadcast log", Bytes{&server->log_bytes}},
      {"client-lag-bytes", "BYTES", "how far a client may lag; 0: three quarters of the log",
       Bytes{&server->client_lag_bytes_max}},
      {"max-clients", "N", "one more is closed on accept", Number32{&server->max_clients, 1}},
      {"max-clients-per-address", "N", "of an IPv4 address or an IPv6 /64; 0: any number",
       Number32{&server->max_clients_per_address}},
      {"require-hello", "", "serve nobody who does not say HELLO", &server->require_hello},
      {"hello-timeout-ms", "TIME", "with it: close who has not said it by then",
       Millis{&server->hello_timeout_ms}},
      {"control-rate", "N", "control frames a second that a client may send; 0: any number",
       Number32{&server->control_frames_per_second}},
      {"heartbeat-ms", "TIME", "how often clients that ask for it hear something; 0: never",
       Millis{&server->heartbeat_ms}},
      {"client-timeout-ms", "TIME",
       "close a client that promised heartbeats and is silent; 0: never",
       Millis{&server->client_timeout_ms}},
      {"stalled-peer-ms", "TIME",
       "give a client up whose kernel takes nothing for so long; 0: the kernel decides",
       Millis{&server->stalled_peer_ms}},
      {"exit-on-close", "", "end when the producer ends its stream", &o->exit_on_close},
      {"flush-ms", "TIME", "how long clients get at the end to take what is pending",
       Duration{&o->flush_ns}},
      {"stats-interval-s", "TIME", "a line per stream on stderr every so often; 0: none",
       Duration{&o->stats_interval_ns, 1'000'000'000}},
  };
  o->io.AddTo(&flags);
  return flags;
}

// One stream's relay and its thread.
struct Lane {
  std::unique_ptr<Relay> relay;
  std::thread thread;
  Status result;
  std::atomic<bool> finished = false;
  bool told = false;  // its end, to the operator
  int exit_code = kExitOk;
};

void ApplyWords(Options* o) {
  o->relay.server.backend = o->backend == "uring"   ? BackendChoice::kUring
                            : o->backend == "epoll" ? BackendChoice::kEpoll
                                                    : BackendChoice::kAuto;
  o->relay.idle = o->idle == "busy"      ? IdleStrategy::kBusy
                  : o->idle == "backoff" ? IdleStrategy::kBackoff
                                         : IdleStrategy::kSleep;
  o->relay.server.slow_client_policy = o->slow_client == "wait"   ? SlowClientPolicy::kWait
                                       : o->slow_client == "skip" ? SlowClientPolicy::kSkip
                                                                  : SlowClientPolicy::kDisconnect;
  o->relay.server.send_buffer_bytes = o->io.SendBufferBytes();
  o->relay.server.io = o->io.Options();
  o->relay.flush_ms = o->flush_ns / 1'000'000;
  o->relay.on_end = o->exit_on_close ? StreamEnd::kExit : StreamEnd::kFollow;
}

// Where the i-th stream is served.
Result<HostPort> ListenAddress(const Options& options, size_t i) {
  if (options.listens.empty()) return HostPort{};
  const bool counts_up = options.listens.size() == 1;
  Result<HostPort> address = ParseHostPort(options.listens[counts_up ? 0 : i]);
  if (!address.ok() || !counts_up || address->port == 0) return address;
  if (address->port + i > 65535) {
    return Status(StatusCode::kInvalidArgument,
                  "--listen " + options.listens[0] + ": ports count up beyond 65535; begin lower");
  }
  address->port = static_cast<uint16_t>(address->port + i);
  return address;
}

// A relay that was killed leaves its port a moment later than itself: the kernel ends what an
// io_uring held after the process is gone. So a port in use gets a second to become free.
Result<std::unique_ptr<Relay>> CreateRelay(const RelayOptions& options) {
  constexpr uint64_t kPatienceNs = 1'000'000'000;
  const uint64_t give_up_ns = NowNs() + kPatienceNs;
  while (true) {
    auto relay = Relay::Create(options);
    const bool taken = !relay.ok() && relay.status().code() == StatusCode::kAlreadyExists;
    if (!taken || NowNs() > give_up_ns) return relay;
    SleepNs(20'000'000);
  }
}

Status CreateLane(const Options& options, size_t i, Lane* lane) {
  Result<HostPort> address = ListenAddress(options, i);
  if (!address.ok()) return address.status();
  RelayOptions relay_options = options.relay;
  relay_options.stream = options.streams[i];
  relay_options.server.address = address->host;
  relay_options.server.port = address->port;
  if (!options.cpus.empty()) relay_options.cpu = options.cpus[i % options.cpus.size()];
  // One list for all streams, or the streams' lists one after the other.
  std::vector<int>& egress = relay_options.egress_cpus;
  const size_t threads = relay_options.egress_threads;
  if (egress.size() == threads * options.streams.size()) {
    const auto from = egress.begin() + static_cast<ptrdiff_t>(i * threads);
    egress = std::vector<int>(from, from + static_cast<ptrdiff_t>(threads));
  }
  const std::string prefix = options.streams.size() > 1 ? options.streams[i] + ": " : "";
  relay_options.on_event = [prefix](const ServerEvent& event) {
    std::fprintf(stderr, "%s%s\n", prefix.c_str(), event.text.c_str());
  };
  auto relay = CreateRelay(relay_options);
  if (!relay.ok()) return relay.status();
  lane->relay = std::move(*relay);
  address->port = lane->relay->port();
  std::string where =
      relay_options.cpu < 0 ? "any cpu" : "cpu " + std::to_string(relay_options.cpu);
  if (const uint32_t threads = relay_options.egress_threads; threads > 1) {
    where += ", " + std::to_string(threads) + " egress threads";
  }
  std::printf("listening on %s for %s, %s, %s\n", FormatHostPort(*address).c_str(),
              options.streams[i].c_str(), lane->relay->backend_name(), where.c_str());
  return {};
}

void StartLane(Lane* lane) {
  lane->thread = std::thread([lane] {
    lane->result = lane->relay->Run();
    lane->finished.store(true, std::memory_order_release);
    kill(getpid(), SIGURG);  // the main thread waits for signals only
  });
}

void PrintStats(const std::string& stream, const RelayStats& stats) {
  std::fprintf(
      stderr,
      "%s: relayed %s records to %u clients (%s deliveries, %s), lost %s, missed %s, gaps %s, "
      "corrupt %s, slow clients warned %s, skipped %s, cut %s, sends fixed %s, plain %s, zero-copy "
      "%s (copied %s), turn p50 %s p99 %s p99.9 %s max %s\n",
      stream.c_str(), WithThousands(stats.records_relayed).c_str(), stats.clients,
      WithThousands(stats.server.frames_delivered).c_str(),
      HumanBytes(static_cast<double>(stats.server.bytes_sent)).c_str(),
      WithThousands(stats.records_lost).c_str(), WithThousands(stats.records_missed).c_str(),
      WithThousands(stats.gaps).c_str(), WithThousands(stats.corrupt_records).c_str(),
      WithThousands(stats.server.slow_client_warnings).c_str(),
      WithThousands(stats.server.slow_client_skips).c_str(),
      WithThousands(stats.server.slow_client_drops).c_str(),
      WithThousands(stats.server.sends_fixed).c_str(),
      WithThousands(stats.server.sends_plain).c_str(),
      WithThousands(stats.server.sends_zero_copy).c_str(),
      WithThousands(stats.server.zero_copy_copied).c_str(),
      HumanNs(static_cast<double>(stats.turn_ns.Percentile(50))).c_str(),
      HumanNs(static_cast<double>(stats.turn_ns.Percentile(99))).c_str(),
      HumanNs(static_cast<double>(stats.turn_ns.Percentile(99.9))).c_str(),
      HumanNs(static_cast<double>(stats.turn_ns.max())).c_str());
  for (size_t i = 0; i < stats.egress.size(); ++i) {
    const EgressStats& one = stats.egress[i];
    std::fprintf(stderr, "%s: egress thread %zu: %u clients (%s deliveries, %s), slow clients %s\n",
                 stream.c_str(), i, one.clients, WithThousands(one.server.frames_delivered).c_str(),
                 HumanBytes(static_cast<double>(one.server.bytes_sent)).c_str(),
                 WithThousands(one.server.slow_client_warnings + one.server.slow_client_skips +
                               one.server.slow_client_drops)
                     .c_str());
  }
}

// Tells at once of each relay that has returned since the last call: the others go on, and nobody
// must learn from them alone that one stream is no longer served. True: all have returned.
bool TellFinished(const Options& options, const std::vector<std::unique_ptr<Lane>>& lanes) {
  bool all = true;
  for (size_t i = 0; i < lanes.size(); ++i) {
    Lane& lane = *lanes[i];
    if (!lane.finished.load(std::memory_order_acquire)) {
      all = false;
    } else if (!std::exchange(lane.told, true)) {
      PrintStats(options.streams[i], lane.relay->stats());
      if (!lane.result.ok()) lane.exit_code = Fail(kText, lane.result);
    }
  }
  return all;
}

// Until all relays have returned; passes on stop signals and prints statistics meanwhile.
void Supervise(const Options& options, const sigset_t& signals,
               const std::vector<std::unique_ptr<Lane>>& lanes) {
  const uint64_t interval =
      options.stats_interval_ns == 0 ? 60'000'000'000 : options.stats_interval_ns;
  bool stopping = false;
  while (!TellFinished(options, lanes)) {
    const timespec wait{static_cast<time_t>(interval / 1'000'000'000),
                        static_cast<long>(interval % 1'000'000'000)};
    const int number = sigtimedwait(&signals, nullptr, &wait);
    if (number == SIGINT || number == SIGTERM) {
      if (stopping) _exit(128 + number);
      stopping = true;
      for (const auto& lane : lanes) lane->relay->Stop();
    } else if (number < 0 && errno == EAGAIN && options.stats_interval_ns != 0) {
      for (size_t i = 0; i < lanes.size(); ++i) {
        if (!lanes[i]->told) PrintStats(options.streams[i], lanes[i]->relay->stats());
      }
    }
  }
}

}  // namespace

int RunRelay(Arguments args) {
  Options options;
  int exit_code = kExitOk;
  if (!ParseOrExplain(kText, FlagsOf(&options), args, &exit_code)) return exit_code;
  if (options.streams.empty()) return FailUsage(kText, "no stream; give --stream /name");
  if (options.listens.size() > 1 && options.listens.size() != options.streams.size()) {
    return FailUsage(kText, "--listen: give one, or one per --stream");
  }
  ApplyWords(&options);

  // Blocked before any thread starts, so that only the main thread takes them, when it waits.
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGURG}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  std::vector<std::unique_ptr<Lane>> lanes;
  for (size_t i = 0; i < options.streams.size(); ++i) {
    lanes.push_back(std::make_unique<Lane>());
    if (Status created = CreateLane(options, i, lanes.back().get()); !created.ok()) {
      return Fail(kText, created);
    }
  }
  if (std::fflush(stdout) != 0) {
    return Fail(kText, ErrnoStatus("write", "standard output", errno,
                                   "it names the ports; redirect it to a file or to /dev/null"));
  }
  for (const auto& lane : lanes) StartLane(lane.get());
  Supervise(options, signals, lanes);
  for (const auto& lane : lanes) {
    lane->thread.join();
    exit_code = std::max(exit_code, lane->exit_code);
  }
  return exit_code;
}

}  // namespace ombus::tools

// ombus bench: what this host can do, mode by mode.
#include "tools/bench.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "ombus/ring_layout.h"
#include "tools/bench_cleanup.h"
#include "tools/bench_content.h"
#include "tools/command.h"
#include "tools/io_flags.h"
#include "tools/ring_limits.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

constexpr CommandText kText = {
    "bench", "--mode MODE [--flag value]...",
    "Measures this host; sequence, size, first and last bytes of each record are checked\n"
    "(limits: sequences alone).\n"
    "  shm           publish and poll in one thread (--shm-batch: publish N, drain N)\n"
    "  shm-mixed     the same with an order flow's sizes\n"
    "  pub, poll     one half alone\n"
    "  c-api         libombus' C calls, one thread, against inline C++ and a classic ring\n"
    "  ipc           producer and consumer in two processes\n"
    "  limits        the ring against bare cache lines and against a classic ring, as ratios\n"
    "  tcp           server and client in two processes, --clients of them\n"
    "  relay         producer, ring, relay, --clients over TCP, lossless\n"
    "  fanout        a server on each back end against bare sends and the usual poll server,\n"
    "                each of --sweep-clients with each of --windows\n"
    "  latency       records at --rate to --clients, from when each was due, against a send for\n"
    "                each\n"
    "  slow-clients  what clients that do not read, --stalled of them, cost the others\n"
    "  rtt           busy ping-pong through server and client, against bare send and recv; feeds:\n"
    "                there and back over a connection each\n"
    "  both          shm and tcp\n"
    "Flags of which a mode has no use are ignored. Figures are the median of --runs, with\n"
    "minimum and maximum. Processes are placed on --cpus in turn: first cpu the producer (and in\n"
    "relay mode the clients), second cpu the other side."};

struct Options {
  BenchOptions bench;
  IoFlags io;
  std::string backend = "auto";
  bool json = false;
};

FlagTable FlagsOf(Options* o) {
  BenchOptions* b = &o->bench;
  FlagTable flags = {
      {"mode", "MODE", "what to measure",
       Choice{&b->mode,
              {"shm", "shm-mixed", "pub", "poll", "ipc", "limits", "tcp", "relay", "fanout",
               "latency", "slow-clients", "rtt", "c-api", "both"}}},
      {"only", "TEXT", "of limits, the workloads whose name has that in it", &b->only},
      {"shm-iters", "N", "records through the ring per run",
       Number{&b->shm_iters, 1, 1'000'000'000}},
      {"shm-batch", "N", "records published at once",
       Number32{&b->shm_batch, 1, BenchWriter::kBatchMax}},
      {"tcp-iters", "N", "records (or round trips) over TCP per run",
       Number{&b->tcp_iters, 1, 1'000'000'000}},
      {"clients", "N", "TCP clients; 1 unless given, of slow-clients 64",
       Number32{&b->clients, 1, 1024}},
      {"egress-threads", "N", "of relay, which share its clients; 0: its own thread serves them",
       Number32{&b->egress_threads, 0, 64}},
      {"size", "BYTES", "payload", Number32{&b->size, 16, 65535}},
      {"capacity", "N",
       "slots of the ring, a power of two; 0: what 4 MiB hold, at least 4096 (c-api: 4096)",
       Number32{&b->capacity}},
      {"runs", "N", "of which the median counts", Number32{&b->runs, 1, 1000}},
      {"cpus", "N,M", "where the processes run; -1: anywhere", CpuList{&b->cpus}},
      {"backend", "WORD", "auto, uring or epoll", Choice{&o->backend, {"auto", "uring", "epoll"}}},
      {"timeout-s", "TIME", "give up on a run after so long",
       Duration{&b->timeout_ns, 1'000'000'000}},
      {"rate", "N", "latency, slow-clients: records a second", Number{&b->rate, 1, 1'000'000'000}},
      {"stalled", "N,M", "slow-clients: how many of the clients do not read",
       NumberList{&b->stalled, 0, 1023}},
      {"sweep-clients", "N,M", "client counts of fanout", NumberList{&b->sweep_clients, 1, 20'000}},
      {"windows", "N,M", "frames that a turn of fanout sends to each client",
       NumberList{&b->windows, 1, 65'536}},
      {"block-ms", "TIME", "how long one contender of fanout sends before the next",
       Duration{&b->block_ns}},
      {"idle-clients", "N", "fanout: so many more on each server, which have not said HELLO",
       Number32{&b->idle_clients, 0, 20'000}},
      {"log-bytes", "BYTES", "fanout, slow-clients: size of the broadcast log",
       Bytes{&b->log_bytes}},
      {"check-all", "", "fanout: look at every frame, not at two of each read", &b->check_all},
      {"json", "", "an object a line", &o->json},
  };
  o->io.AddTo(&flags);
  return flags;
}

struct Mode {
  std::string_view name;
  Result<BenchResult> (*run)(const BenchOptions&);
};

constexpr Mode kModes[] = {
    {"shm", BenchShm},         {"shm-mixed", BenchShmMixed},
    {"pub", BenchPub},         {"poll", BenchPoll},
    {"ipc", BenchIpc},         {"tcp", BenchTcp},
    {"relay", BenchRelay},     {"rtt", BenchRtt},
    {"c-api", BenchCApi},      {"fanout", BenchFanout},
    {"latency", BenchLatency}, {"slow-clients", BenchSlowClients},
};

// fanout and slow-clients have a result per cell of their sweeps, the others one.
std::vector<BenchOptions> CellsOf(const BenchOptions& options) {
  std::vector<BenchOptions> cells;
  if (options.mode == "slow-clients") {
    for (const auto policy : {SlowClientPolicy::kDisconnect, SlowClientPolicy::kSkip}) {
      for (const uint32_t stalled : options.stalled) {
        BenchOptions& cell = cells.emplace_back(options);
        cell.slow_client_policy = policy;
        cell.stalled_clients = stalled;
      }
    }
    return cells;
  }
  if (options.mode != "fanout") return {options};
  for (const uint32_t clients : options.sweep_clients) {
    for (const uint32_t frames : options.windows) {
      BenchOptions& cell = cells.emplace_back(options);
      cell.clients = clients;
      cell.window_frames = frames;
    }
  }
  return cells;
}

std::string HumanValue(const std::string& name, double value) {
  if (name.ends_with("gb_per_s")) return Fixed(value, 2);
  if (name.ends_with("_per_s")) {
    return name.starts_with("bytes") ? HumanBytes(value) + "/s" : HumanRate(value);
  }
  if (name.ends_with("_ns") || name.starts_with("ns_")) return HumanNs(value);
  return Fixed(value, 2);
}

void PrintResult(const BenchResult& result) {
  std::printf("%s: %s\n", result.mode.c_str(), result.setting.c_str());
  Table table({"  figure", "median", "min", "max"});
  for (const Figure& figure : result.figures) {
    table.Add({"  " + figure.name, HumanValue(figure.name, figure.median()),
               HumanValue(figure.name, figure.min()), HumanValue(figure.name, figure.max())});
  }
  std::fputs(table.Text().c_str(), stdout);
}

}  // namespace

double Figure::min() const { return *std::min_element(values.begin(), values.end()); }
double Figure::max() const { return *std::max_element(values.begin(), values.end()); }
double Figure::median() const {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

void BenchResult::Add(const std::string& name, double value) {
  for (Figure& figure : figures) {
    if (figure.name != name) continue;
    figure.values.push_back(value);
    return;
  }
  figures.push_back({name, {value}});
}

JsonObject BenchResult::Json() const {
  JsonObject object;
  object.Add("mode", mode).Add("setting", setting);
  for (const Figure& figure : figures) {
    object.Add(figure.name, JsonObject()
                                .Add("median", figure.median())
                                .Add("min", figure.min())
                                .Add("max", figure.max()));
  }
  return object;
}

int RunBench(Arguments args) {
  Options options;
  int exit_code = kExitOk;
  if (!ParseOrExplain(kText, FlagsOf(&options), args, &exit_code)) return exit_code;
  options.bench.stream = BenchStreamName();
  options.bench.backend = options.backend == "uring"   ? BackendChoice::kUring
                          : options.backend == "epoll" ? BackendChoice::kEpoll
                                                       : BackendChoice::kAuto;
  options.bench.io = options.io.Options();
  options.bench.send_buffer_bytes = options.io.SendBufferBytes();
  if (options.bench.clients == 0)
    options.bench.clients = options.bench.mode == "slow-clients" ? 64 : 1;
  if (options.bench.mode == "limits") {
    const Status status = RunLimits(options.bench, options.json);
    return status.ok() ? kExitOk : Fail(kText, status);
  }
  for (const Mode& mode : kModes) {
    const bool both = options.bench.mode == "both" && (mode.name == "shm" || mode.name == "tcp");
    if (mode.name != options.bench.mode && !both) continue;
    for (const BenchOptions& cell : CellsOf(options.bench)) {
      const Result<BenchResult> result = mode.run(cell);
      if (!result.ok()) return Fail(kText, result.status());
      if (options.json) {
        std::printf("%s\n", result->Json().text().c_str());
      } else {
        PrintResult(*result);
      }
      if (FlushStandardOutput(kText.name) != kExitOk) return kExitFailure;
    }
  }
  return kExitOk;
}

}  // namespace ombus::tools

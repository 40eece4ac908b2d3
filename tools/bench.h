// What the modes of `ombus bench` share: the options, and a result as figures with names.
#ifndef OMBUS_TOOLS_BENCH_H_
#define OMBUS_TOOLS_BENCH_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ombus/backend_choice.h"
#include "ombus/io_options.h"
#include "ombus/server.h"
#include "ombus/status.h"
#include "tools/json.h"

namespace ombus::tools {

struct BenchOptions {
  std::string mode = "both";
  std::string only;    // limits: workloads whose name has this in it
  std::string stream;  // a name nobody else uses, the same in all processes of a run
  uint64_t shm_iters = 2'000'000;
  uint32_t shm_batch = 1;
  uint64_t tcp_iters = 1'000'000;
  uint32_t clients = 0;         // 0: what the mode takes
  uint32_t egress_threads = 0;  // relay: that share the clients
  uint32_t size = 64;           // payload bytes
  uint32_t runs = 5;
  std::vector<int> cpus = {0, 1};
  uint32_t capacity = 0;
  BackendChoice backend = BackendChoice::kAuto;
  uint64_t timeout_ns = 60'000'000'000;                // per run
  uint64_t rate = 100'000;                             // latency: records a second
  std::vector<uint32_t> stalled = {0, 1, 16, 48, 63};  // slow-clients: so many of the clients
  uint32_t stalled_clients = 0;                        // of this cell
  SlowClientPolicy slow_client_policy = SlowClientPolicy::kDisconnect;
  // fanout alone
  std::vector<uint32_t> sweep_clients = {1, 16, 64, 256, 1000};
  std::vector<uint32_t> windows = {16, 256, 819};  // frames; of 80 bytes: 1.25, 20 and 64 KiB
  uint32_t window_frames = 256;                    // of this cell of the sweep
  uint64_t block_ns = 10'000'000;                  // of one contender before the next
  uint32_t idle_clients = 0;
  uint64_t log_bytes = 4u << 20;  // of the broadcast log; slow-clients too
  IoOptions io = {};
  uint32_t send_buffer_bytes = 0;  // SO_SNDBUF; 0: the kernel's own tuning
  bool check_all = false;

  int cpu(size_t i) const { return cpus.empty() ? -1 : cpus[i % cpus.size()]; }
};

// One figure of a mode, measured once per run.
struct Figure {
  std::string name;  // with its unit last: "records_per_s"
  std::vector<double> values;

  double min() const;
  double median() const;
  double max() const;
};

struct BenchResult {
  std::string mode;
  std::string setting;  // what was measured, in a few words
  std::vector<Figure> figures;

  // Adds one run's value to the figure of that name.
  void Add(const std::string& name, double value);
  JsonObject Json() const;
};

// Each runs its mode options.runs times. An error also says if anything was lost or wrong.
Result<BenchResult> BenchShm(const BenchOptions& options);       // publish and poll, one thread
Result<BenchResult> BenchShmMixed(const BenchOptions& options);  // the same with an order flow
Result<BenchResult> BenchPub(const BenchOptions& options);
Result<BenchResult> BenchPoll(const BenchOptions& options);
Result<BenchResult> BenchCApi(const BenchOptions& options);  // libombus' calls, against inline ones
Result<BenchResult> BenchIpc(const BenchOptions& options);   // two processes
Result<BenchResult> BenchTcp(const BenchOptions& options);   // server and client, two processes
Result<BenchResult> BenchRelay(const BenchOptions& options);    // producer, ring, relay, clients
Result<BenchResult> BenchRtt(const BenchOptions& options);      // against a bare ping-pong
Result<BenchResult> BenchLatency(const BenchOptions& options);  // open loop, many clients
// One cell: options.stalled_clients of options.clients, and options.slow_client_policy.
Result<BenchResult> BenchSlowClients(const BenchOptions& options);
// One cell of the sweep: options.clients and options.window_frames.
Result<BenchResult> BenchFanout(const BenchOptions& options);  // against bare sends and poll

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_BENCH_H_

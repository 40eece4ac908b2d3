// `ombus bench --mode limits`: how near the ring comes to the machine, as ratios.
//
// A workload is one way to use a ring; its contenders are the ring and the yardsticks. All
// contenders of all workloads run in turn, again in each run, so that whatever the host does
// meanwhile meets all of them; a ratio is one of the same run.
#ifndef OMBUS_TOOLS_RING_LIMITS_H_
#define OMBUS_TOOLS_RING_LIMITS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ombus/status.h"
#include "tools/bench.h"

namespace ombus::tools {

enum class Role : uint8_t {
  kBare,      // the same cache lines, no protocol
  kBareSum,   // the same, and a sum of each record; compared with bare
  kLeast,     // a ring that guards against nothing
  kClassic,   // a scan, a clock and a tail store per record
  kOmbus,     // the ring
  kBaseline,  // the ring in another setting, for those that compare with it
};

// How long a cache line takes to the other core and back, before and after a slice. Between two
// cores it is some hundred nanoseconds. Much less: the host runs both on one core, whose cache they
// share. Much more: they take turns. Either spoils what was measured in between.
struct RoundTrip {
  double before_ns = 0, after_ns = 0;  // 0: not looked at, one thread

  static constexpr double kNsMin = 60;
  static constexpr double kNsMax = 3000;
  double worse_ns() const { return before_ns > after_ns ? before_ns : after_ns; }
  bool spoils() const {
    return before_ns != 0 && (before_ns < kNsMin || after_ns < kNsMin || worse_ns() > kNsMax);
  }
};

// What one slice gives, in the order of the workload's metrics.
struct Slice {
  std::vector<double> values;
  RoundTrip round_trip = {};
};

// What is asked of a contender, for one metric; 0: nothing.
struct Target {
  double bare_at_most = 0;      // × the faster of the bare contenders
  double classic_at_least = 0;  // the classic ring takes so many times as long
  double extra_ns_at_most = 0;  // over the baseline; of a bare sum, over bare
  double baseline_at_most = 0;  // × the baseline
};

struct Contender {
  std::string name;
  Role role;
  std::function<Result<Slice>()> run;
  std::vector<Target> targets = {};  // per metric
};

struct Workload {
  std::string name;
  std::vector<std::string> metrics;  // "ns", or "p50_ns", "p99_ns"
  std::vector<Contender> contenders;
};

// Each in a file of its own.
void AddThreadWorkloads(const BenchOptions& options, std::vector<Workload>* workloads);
void AddPairWorkloads(const BenchOptions& options, std::vector<Workload>* workloads);
void AddLatencyWorkloads(const BenchOptions& options, std::vector<Workload>* workloads);
void AddMemoryWorkloads(const BenchOptions& options, std::vector<Workload>* workloads);
void AddConsumersWorkloads(const BenchOptions& options, std::vector<Workload>* workloads);

// Runs all of them options.runs times and prints a table, or with json an object for each
// contender of each workload. An error also says if a record was lost.
Status RunLimits(const BenchOptions& options, bool json);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_RING_LIMITS_H_

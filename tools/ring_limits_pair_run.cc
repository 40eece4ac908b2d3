#include "tools/ring_limits_pair_run.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "tools/bench_process.h"
#include "tools/cpu.h"
#include "tools/ring_limits_yardsticks.h"
#include "tools/shared_memory.h"

namespace ombus::tools {
namespace {

constexpr uint64_t kBatches = 11;
constexpr uint64_t kTripsPerBatch = 20;
constexpr uint64_t kTrips = kBatches * kTripsPerBatch;

struct Table {
  alignas(128) std::atomic<uint64_t> ping;
  alignas(128) std::atomic<uint64_t> pong;
};

void AwaitValue(const std::atomic<uint64_t>& word, uint64_t value) {
  Spin spin;
  while (word.load(std::memory_order_acquire) != value) spin.Once();
}

// The median of some batches: an interrupt spoils one and not the verdict.
double RoundTripNs(Table* table, uint64_t first) {
  std::array<double, kBatches> ns;
  uint64_t trip = first;
  for (double& each : ns) {
    const uint64_t start = NowNs();
    for (uint64_t i = 0; i < kTripsPerBatch; ++i, ++trip) {
      table->ping.store(trip, std::memory_order_release);
      AwaitValue(table->pong, trip);
    }
    each = static_cast<double>(NowNs() - start) / kTripsPerBatch;
  }
  std::sort(ns.begin(), ns.end());
  return ns[kBatches / 2];
}

void Echo(Table* table, uint64_t first) {
  for (uint64_t trip = first; trip < first + kTrips; ++trip) {
    AwaitValue(table->ping, trip);
    table->pong.store(trip, std::memory_order_release);
  }
}

}  // namespace

Result<PairTime> RunPair(const BenchOptions& options, const PairParts& parts) {
  const uint64_t deadline = NowNs() + options.timeout_ns;
  SharedMemory shared(sizeof(Table));
  auto* table = reinterpret_cast<Table*>(shared.memory());
  BenchProcesses processes;
  Status status = processes.Start(options.cpu(1), [&](Meeting& meeting) -> Status {
    if (Status opened = parts.open(); !opened.ok()) return opened;
    meeting.ready.fetch_add(1, std::memory_order_acq_rel);
    Echo(table, 1);
    Status read = parts.read();
    if (!read.ok()) return read;
    meeting.end_ns = NowNs();
    Echo(table, 1 + kTrips);
    return {};
  });
  if (status.ok()) status = PinToCpu(options.cpu(0));
  if (status.ok()) status = processes.WaitReady(1, deadline);
  if (!status.ok()) return status;
  const double before_ns = RoundTripNs(table, 1);
  const uint64_t start = NowNs();
  status = parts.write();
  if (!status.ok()) return status;
  while (processes.meeting().end_ns.load(std::memory_order_acquire) == 0) {
    if (Status error = processes.FirstError(); !error.ok()) return error;
    if (NowNs() > deadline) return processes.Join(deadline);
  }
  const double after_ns = RoundTripNs(table, 1 + kTrips);
  if (Status joined = processes.Join(deadline); !joined.ok()) return joined;
  return PairTime{processes.meeting().end_ns - start, {before_ns, after_ns}};
}

}  // namespace ombus::tools

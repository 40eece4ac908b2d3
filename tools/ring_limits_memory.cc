// What huge pages give: publish and poll through a ring of 64 MiB, a quarter of it at a time, in
// one thread, so that each record comes from memory that no cache of ours holds.
#include <memory>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/cpu.h"
#include "tools/ring_limits.h"
#include "tools/ring_limits_payload.h"

namespace ombus::tools {
namespace {

constexpr uint32_t kCapacity = 1 << 18;  // slots of 256 bytes
constexpr uint64_t kBurst = kCapacity / 4;

Result<Slice> ThroughLargeRing(const BenchOptions& options, bool huge_pages) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  const MemoryOptions memory = {.huge_pages = huge_pages};
  auto producer =
      Producer::Create({.name = options.stream, .capacity = kCapacity, .memory = memory});
  if (!producer.ok()) return producer.status();
  auto consumer = Consumer::Open({.name = options.stream, .memory = memory});
  if (!consumer.ok()) return consumer.status();
  const LimitsPayload payload;
  LimitsReader reader;
  const uint64_t count = options.shm_iters;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < count;) {
    const uint64_t end = std::min(i + kBurst, count);
    for (; i < end; ++i) (void)(*producer)->TryPublish({i, payload.data(), 64, 1, 0});
    (void)(*consumer)->Drain(kBurst, [&](const Record& record) { reader.Take(record); });
    (*consumer)->Release();
  }
  const uint64_t ns = NowNs() - start;
  if (Status lost = Verdict(reader, "large ring", count); !lost.ok()) return lost;
  Slice slice = SliceOf(ns, count, reader.sum());
  slice.values.push_back(static_cast<double>((*producer)->memory().huge_bytes) / (1 << 20));
  return slice;
}

}  // namespace

void AddMemoryWorkloads(const BenchOptions& o, std::vector<Workload>* workloads) {
  workloads->push_back(
      {"huge pages, a ring of 64 MiB, one thread, 64 B",
       {"ns", "huge_mib"},
       {{"small pages", Role::kBaseline, [o] { return ThroughLargeRing(o, false); }},
        {"huge pages", Role::kOmbus, [o] { return ThroughLargeRing(o, true); }}}});
}

}  // namespace ombus::tools

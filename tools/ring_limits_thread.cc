// Limits in one thread: what a record costs in instructions, all lines being at hand.
#include <memory>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/bench_stream.h"
#include "tools/cpu.h"
#include "tools/ring_limits.h"
#include "tools/ring_limits_payload.h"
#include "tools/ring_limits_yardsticks.h"
#include "tools/shared_memory.h"

namespace ombus::tools {
namespace {

template <bool kPrefetch>
Result<Slice> Bare(const BenchOptions& options, uint16_t size) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  const RingShape shape;
  SharedMemory shared(shape.bytes());
  const BareLines lines(shared.memory(), shape);
  const LimitsPayload payload;
  uint64_t sum = 0;
  const uint64_t count = options.shm_iters;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < count; ++i) {
    lines.Store<kPrefetch>(i, payload.data(), size);
    __asm__ volatile("" : : : "memory");  // the loads are to happen
    sum += lines.Load(i, size);
  }
  return SliceOf(NowNs() - start, options.shm_iters, sum);
}

Result<Slice> Classic(const BenchOptions& options, uint16_t size) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  const RingShape shape;
  SharedMemory shared(shape.bytes());
  ClassicRing ring(shared.memory(), shape);
  ring.Join();
  const LimitsPayload payload;
  LimitsReader reader;
  Record record;
  const uint64_t count = options.shm_iters;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < count; ++i) {
    (void)ring.Publish({i, payload.data(), size, 1, 0});
    if (ring.Poll(&record)) reader.Take(record);
  }
  const uint64_t ns = NowNs() - start;
  if (Status lost = reader.Verdict("classic", options.shm_iters); !lost.ok()) return lost;
  return SliceOf(ns, options.shm_iters, reader.sum());
}

struct Ends {
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Consumer> consumer;
};

Result<Ends> OpenEnds(const BenchOptions& options) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  auto producer = Producer::Create({.name = options.stream});
  if (!producer.ok()) return producer.status();
  auto consumer = Consumer::Open({.name = options.stream});
  if (!consumer.ok()) return consumer.status();
  return Ends{std::move(*producer), std::move(*consumer)};
}

Result<Slice> Ombus(const BenchOptions& options, uint16_t size) {
  auto ends = OpenEnds(options);
  if (!ends.ok()) return ends.status();
  Producer& producer = *ends->producer;
  Consumer& consumer = *ends->consumer;
  const LimitsPayload payload;
  LimitsReader reader;
  Record record;
  const uint64_t count = options.shm_iters;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < count; ++i) {
    (void)producer.TryPublish({i, payload.data(), size, 1, 0});
    if (consumer.Poll(&record) == PollResult::kRecord) reader.Take(record);
  }
  const uint64_t ns = NowNs() - start;
  if (Status lost = reader.Verdict("ombus", options.shm_iters); !lost.ok()) return lost;
  return SliceOf(ns, options.shm_iters, reader.sum());
}

Result<Slice> ReserveCommit(const BenchOptions& options, uint16_t size) {
  auto ends = OpenEnds(options);
  if (!ends.ok()) return ends.status();
  Producer& producer = *ends->producer;
  Consumer& consumer = *ends->consumer;
  const LimitsPayload payload;
  LimitsReader reader;
  Record record;
  const uint64_t count = options.shm_iters;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < count; ++i) {
    void* room = producer.TryReserve();
    if (room == nullptr) break;
    payload.WriteTo(room, size);
    (void)producer.Commit(i, 1, size);
    if (consumer.Poll(&record) == PollResult::kRecord) reader.Take(record);
  }
  const uint64_t ns = NowNs() - start;
  if (Status lost = reader.Verdict("reserve/commit", options.shm_iters); !lost.ok()) return lost;
  return SliceOf(ns, options.shm_iters, reader.sum());
}

Workload OneThread(const BenchOptions& o, uint16_t size, Target publish, Target reserve) {
  return {"publish + poll, one thread, " + std::to_string(size) + " B",
          {"ns"},
          {{"bare", Role::kBare, [o, size] { return Bare<false>(o, size); }},
           {"bare, prefetch", Role::kBare, [o, size] { return Bare<true>(o, size); }},
           {"classic", Role::kClassic, [o, size] { return Classic(o, size); }},
           {"ombus", Role::kOmbus, [o, size] { return Ombus(o, size); }, {publish}},
           {"ombus, reserve/commit",
            Role::kOmbus,
            [o, size] { return ReserveCommit(o, size); },
            {reserve}}}};
}

}  // namespace

void AddThreadWorkloads(const BenchOptions& options, std::vector<Workload>* workloads) {
  workloads->push_back(OneThread(options, 8, {.bare_at_most = 3.3, .classic_at_least = 6},
                                 {.bare_at_most = 1.6, .classic_at_least = 6}));
  workloads->push_back(OneThread(options, 64, {.bare_at_most = 2.2, .classic_at_least = 5},
                                 {.classic_at_least = 5}));
}

}  // namespace ombus::tools

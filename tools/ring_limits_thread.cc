// Limits in one thread: what a record costs in instructions, all lines being at hand.
#include <cstring>
#include <memory>
#include <string>

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

// One thread's ring is to stay in its L2, where that has 1 MiB.
constexpr uint32_t kCapacity = 4096;

template <uint16_t kSize, bool kPrefetch>
Result<Slice> Bare(const BenchOptions& options) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  const RingShape shape = {.capacity = kCapacity};
  SharedMemory shared(shape.bytes());
  const BareLines lines(shared.memory(), shape);
  const LimitsPayload payload;
  uint64_t sum = 0;
  const uint64_t count = options.shm_iters;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < count; ++i) {
    lines.Store<kPrefetch>(i, payload.data(), kSize);
    __asm__ volatile("" : : : "memory");  // the loads are to happen
    sum += lines.Load(i, kSize);
  }
  return SliceOf(NowNs() - start, options.shm_iters, sum);
}

// A yardstick that publishes and polls.
template <uint16_t kSize, Fields kFields, typename Ring>
Result<Slice> PublishAndPoll(const BenchOptions& options, const std::string& who, Ring* ring) {
  const LimitsPayload payload;
  LimitsReader reader;
  Record record;
  const uint64_t count = options.shm_iters;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < count; ++i) {
    KeepFields<kFields>(ring);
    (void)ring->Publish({i, payload.data(), kSize, 1, 0});
    if (ring->Poll(&record)) reader.Take(record);
  }
  const uint64_t ns = NowNs() - start;
  if (Status lost = Verdict(reader, who, options.shm_iters); !lost.ok()) return lost;
  return SliceOf(ns, options.shm_iters, reader.sum());
}

template <uint16_t kSize, bool kPrefetch, Fields kFields = Fields::kRegisters, bool kGuards = false>
Result<Slice> Least(const BenchOptions& options) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  const RingShape shape = {.capacity = kCapacity};
  SharedMemory shared(shape.bytes());
  LeastRing<kPrefetch, kGuards> ring(shared.memory(), shape);
  return PublishAndPoll<kSize, kFields>(options, "least", &ring);
}

template <uint16_t kSize>
Result<Slice> Classic(const BenchOptions& options) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  const RingShape shape = {.capacity = kCapacity};
  SharedMemory shared(shape.bytes());
  ClassicRing ring(shared.memory(), shape);
  ring.Join();
  return PublishAndPoll<kSize, Fields::kRegisters>(options, "classic", &ring);
}

struct Ends {
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Consumer> consumer;
};

Result<Ends> OpenEnds(const BenchOptions& options) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  auto producer = Producer::Create({.name = options.stream, .capacity = kCapacity});
  if (!producer.ok()) return producer.status();
  auto consumer = Consumer::Open({.name = options.stream});
  if (!consumer.ok()) return consumer.status();
  return Ends{std::move(*producer), std::move(*consumer)};
}

template <uint16_t kSize>
Result<Slice> Ombus(const BenchOptions& options) {
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
    (void)producer.TryPublish({i, payload.data(), kSize, 1, 0});
    if (consumer.Poll(&record) == PollResult::kRecord) reader.Take(record);
  }
  const uint64_t ns = NowNs() - start;
  if (Status lost = Verdict(reader, "ombus", options.shm_iters); !lost.ok()) return lost;
  return SliceOf(ns, options.shm_iters, reader.sum());
}

template <uint16_t kSize>
Result<Slice> ReserveCommit(const BenchOptions& options) {
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
    std::memcpy(room, payload.data(), kSize);
    (void)producer.Commit(i, 1, kSize);
    if (consumer.Poll(&record) == PollResult::kRecord) reader.Take(record);
  }
  const uint64_t ns = NowNs() - start;
  if (Status lost = Verdict(reader, "reserve/commit", options.shm_iters); !lost.ok()) return lost;
  return SliceOf(ns, options.shm_iters, reader.sum());
}

template <uint16_t kSize>
Workload OneThread(const BenchOptions& o, Target publish, Target reserve) {
  return {
      "publish + poll, one thread, " + std::to_string(kSize) + " B",
      {"ns"},
      {{"bare", Role::kBare, [o] { return Bare<kSize, false>(o); }},
       {"bare, prefetch", Role::kBare, [o] { return Bare<kSize, true>(o); }},
       {"least", Role::kLeast, [o] { return Least<kSize, false>(o); }},
       {"least, prefetch", Role::kLeast, [o] { return Least<kSize, true>(o); }},
       {"least, in memory", Role::kLeast, [o] { return Least<kSize, true, Fields::kMemory>(o); }},
       {"least, with guards", Role::kLeast,
        [o] { return Least<kSize, true, Fields::kMemory, true>(o); }},
       {"classic", Role::kClassic, [o] { return Classic<kSize>(o); }},
       {"ombus", Role::kOmbus, [o] { return Ombus<kSize>(o); }, {publish}},
       {"ombus, reserve/commit",
        Role::kOmbus,
        [o] { return ReserveCommit<kSize>(o); },
        {reserve}}}};
}

}  // namespace

void AddThreadWorkloads(const BenchOptions& options, std::vector<Workload>* workloads) {
  workloads->push_back(OneThread<8>(options, {.bare_at_most = 3.3, .classic_at_least = 6},
                                    {.bare_at_most = 1.6, .classic_at_least = 6}));
  workloads->push_back(OneThread<64>(options, {.bare_at_most = 2.2, .classic_at_least = 5},
                                     {.classic_at_least = 5}));
}

}  // namespace ombus::tools

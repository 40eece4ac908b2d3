// What the number of consumers costs: a poll, and a publish, with sixteen consumers on the ring
// over the same with one.
#include <memory>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/cpu.h"
#include "tools/ring_limits.h"
#include "tools/ring_limits_payload.h"

namespace ombus::tools {
namespace {

constexpr uint32_t kConsumers = 16;
constexpr uint32_t kCapacity = 4096;  // in L2: what the crowd costs, and not its lines
constexpr uint64_t kBurst = 512;      // records published, then polled by each

struct Crowd {
  std::unique_ptr<Producer> producer;
  std::vector<std::unique_ptr<Consumer>> consumers;
};

Result<Crowd> Gather(const BenchOptions& options, uint32_t consumers) {
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  Crowd crowd;
  auto producer = Producer::Create(
      {.name = options.stream, .capacity = kCapacity, .max_consumers = kConsumers});
  if (!producer.ok()) return producer.status();
  crowd.producer = std::move(*producer);
  for (uint32_t i = 0; i < consumers; ++i) {
    auto consumer = Consumer::Open({.name = options.stream});
    if (!consumer.ok()) return consumer.status();
    crowd.consumers.push_back(std::move(*consumer));
  }
  return crowd;
}

// ns per poll and ns per publish.
Result<Slice> PollAndPublish(const BenchOptions& options, uint32_t consumers) {
  Result<Crowd> crowd = Gather(options, consumers);
  if (!crowd.ok()) return crowd.status();
  const LimitsPayload payload;
  std::vector<LimitsReader> readers(consumers);
  const uint64_t bursts = options.shm_iters / (kBurst * consumers) + 1;
  uint64_t published = 0, publish_ns = 0, poll_ns = 0;
  for (uint64_t burst = 0; burst < bursts; ++burst) {
    const uint64_t start = NowNs();
    for (uint64_t i = 0; i < kBurst; ++i) {
      (void)crowd->producer->TryPublish({published++, payload.data(), 64, 1, 0});
    }
    const uint64_t middle = NowNs();
    Record record;
    for (uint32_t c = 0; c < consumers; ++c) {
      for (uint64_t i = 0; i < kBurst; ++i) {
        if (crowd->consumers[c]->Poll(&record) == PollResult::kRecord) readers[c].Take(record);
      }
      crowd->consumers[c]->Release();
    }
    publish_ns += middle - start;
    poll_ns += NowNs() - middle;
  }
  for (const LimitsReader& reader : readers) {
    if (Status lost = Verdict(reader, "consumer", published); !lost.ok()) return lost;
  }
  const auto records = static_cast<double>(published);
  return Slice{{static_cast<double>(poll_ns) / records / consumers,
                static_cast<double>(publish_ns) / records}};
}

}  // namespace

void AddConsumersWorkloads(const BenchOptions& o, std::vector<Workload>* workloads) {
  workloads->push_back({"poll and publish with 16 consumers, 64 B",
                        {"poll_ns", "publish_ns"},
                        {{"1 consumer", Role::kBaseline, [o] { return PollAndPublish(o, 1); }},
                         {"16 consumers",
                          Role::kOmbus,
                          [o] { return PollAndPublish(o, kConsumers); },
                          {{.baseline_at_most = 1.1}, {}}}}});
}

}  // namespace ombus::tools

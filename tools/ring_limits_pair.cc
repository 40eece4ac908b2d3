// Limits between two processes: what a record costs when its lines go from one core to another.
#include <array>
#include <bit>
#include <memory>
#include <optional>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/cpu.h"
#include "tools/ring_limits.h"
#include "tools/ring_limits_pair_run.h"
#include "tools/ring_limits_payload.h"
#include "tools/ring_limits_yardsticks.h"
#include "tools/shared_memory.h"

namespace ombus::tools {
namespace {

constexpr size_t kBatch = 32;
constexpr uint64_t kDrainMax = 4096;

struct Setting {
  BenchOptions options;
  uint16_t size = 64;
  uint32_t batch = 1;  // records published at once; more than one are drained, else polled
  bool crc32c = false;

  uint64_t count() const { return options.shm_iters / kBatch * kBatch; }
  RingShape shape() const {
    RingShape shape;
    const uint32_t needed = std::bit_ceil(uint32_t{size} + kSlotHeaderBytes);
    if (needed > shape.slot_size) shape.slot_size = needed;
    return shape;
  }
};

Result<Slice> SliceOfPair(const Setting& setting, const PairParts& parts) {
  const Result<PairTime> time = RunPair(setting.options, parts);
  if (!time.ok()) return time.status();
  Slice slice = SliceOf((*time).ns, setting.count(), 0);
  slice.round_trip = (*time).round_trip;
  return slice;
}

template <bool kPrefetch>
Result<Slice> Bare(const Setting& s) {
  const RingShape shape = s.shape();
  SharedMemory shared(shape.bytes());
  const BareLines lines(shared.memory(), shape);
  const LimitsPayload payload;
  return SliceOfPair(s, {[] { return Status(); },
                         [&] {
                           const uint64_t sum = lines.LoadAll(s.count(), s.size);
                           return sum == 0 ? Status(StatusCode::kCorrupt, "nothing read")
                                           : Status();
                         },
                         [&] {
                           lines.StoreAll<kPrefetch>(s.count(), payload.data(), s.size);
                           return Status();
                         }});
}

std::array<Record, kBatch> BatchAt(uint64_t wal_seq, const LimitsPayload& payload, uint16_t size) {
  std::array<Record, kBatch> records;
  for (Record& record : records) record = {wal_seq++, payload.data(), size, 1, 0};
  return records;
}

Status ReadClassic(const Setting& s, ClassicRing* ring) {
  LimitsReader reader;
  Record record;
  Spin spin;
  while (reader.records() < s.count()) {
    bool any = false;
    if (s.batch == 1) {
      any = ring->Poll(&record);
      if (any) reader.Take(record);
    } else {
      any = ring->Drain(kDrainMax, [&](const Record& got) { reader.Take(got); }) > 0;
    }
    if (!any) spin.Once();
  }
  return reader.Verdict("classic", s.count());
}

Status WriteClassic(const Setting& s, ClassicRing* ring) {
  const LimitsPayload payload;
  Spin spin;
  for (uint64_t i = 0; i < s.count();) {
    if (s.batch == 1) {
      while (!ring->Publish({i, payload.data(), s.size, 1, 0})) spin.Once();
      ++i;
      continue;
    }
    const auto records = BatchAt(i, payload, s.size);
    for (size_t done = 0; done < kBatch;) {
      const size_t now = ring->PublishBatch(std::span<const Record>(records).subspan(done));
      if (now == 0) spin.Once();
      done += now;
    }
    i += kBatch;
  }
  return {};
}

Result<Slice> Classic(const Setting& s) {
  const RingShape shape = s.shape();
  SharedMemory shared(shape.bytes());
  ClassicRing ring(shared.memory(), shape);
  return SliceOfPair(
      s, {[&] {
            ring.Join();
            return Status();
          },
          [&] { return ReadClassic(s, &ring); }, [&] { return WriteClassic(s, &ring); }});
}

Status ReadOmbus(const Setting& s, Consumer* consumer) {
  LimitsReader reader;
  Record record;
  Spin spin;
  while (reader.records() < s.count()) {
    PollResult end;
    if (s.batch == 1) {
      end = consumer->Poll(&record);
      if (end == PollResult::kRecord) reader.Take(record);
    } else {
      end = consumer->Drain(kDrainMax, [&](const Record& got) { reader.Take(got); }).end;
    }
    if (end == PollResult::kClosed) break;
    if (end == PollResult::kEmpty) spin.Once();
  }
  return reader.Verdict("ombus", s.count());
}

Status WriteOmbus(const Setting& s, Producer* producer) {
  const LimitsPayload payload;
  PublishResult result = PublishResult::kOk;
  for (uint64_t i = 0; i < s.count() && result == PublishResult::kOk;) {
    if (s.batch == 1) {
      result = producer->Publish({i++, payload.data(), s.size, 1, 0}, s.options.timeout_ns);
      continue;
    }
    const auto records = BatchAt(i, payload, s.size);
    result = producer->PublishBatch(records, s.options.timeout_ns);
    i += kBatch;
  }
  if (result == PublishResult::kOk) return {};
  return {StatusCode::kUnavailable, "bench \"limits\": ETIMEDOUT; the consumer does not read"};
}

Result<Slice> Ombus(const Setting& s) {
  auto producer = Producer::Create(
      {.name = s.options.stream, .slot_size = s.shape().slot_size, .crc32c = s.crc32c});
  if (!producer.ok()) return producer.status();
  std::unique_ptr<Consumer> consumer;  // the child's
  return SliceOfPair(s, {[&]() -> Status {
                           auto opened = Consumer::Open({.name = s.options.stream});
                           if (!opened.ok()) return opened.status();
                           consumer = std::move(*opened);
                           return {};
                         },
                         [&] { return ReadOmbus(s, consumer.get()); },
                         [&] { return WriteOmbus(s, producer->get()); }});
}

Workload TwoProcesses(const Setting& s, Target target) {
  const std::string how = s.batch == 1 ? "one at a time" : "batch 32 by drain";
  return {"two processes, " + how + ", " + std::to_string(s.size) + " B",
          {"ns"},
          {{"bare", Role::kBare, [s] { return Bare<false>(s); }},
           {"bare, prefetch", Role::kBare, [s] { return Bare<true>(s); }},
           {"classic", Role::kClassic, [s] { return Classic(s); }},
           {"ombus", Role::kOmbus, [s] { return Ombus(s); }, {target}}}};
}

Workload Sealed(const BenchOptions& options, uint16_t size, double extra_ns) {
  const Setting plain{options, size, 1, false};
  const Setting sealed{options, size, 1, true};
  return {"CRC32C, two processes, " + std::to_string(size) + " B",
          {"ns"},
          {{"ombus", Role::kBaseline, [plain] { return Ombus(plain); }},
           {"ombus, CRC32C",
            Role::kOmbus,
            [sealed] { return Ombus(sealed); },
            {{.extra_ns_at_most = extra_ns}}}}};
}

}  // namespace

void AddPairWorkloads(const BenchOptions& options, std::vector<Workload>* workloads) {
  for (const uint16_t size : {8, 64, 200}) {
    workloads->push_back(
        TwoProcesses({options, size, 1}, {.bare_at_most = 1.25, .classic_at_least = 9}));
  }
  for (const uint16_t size : {64, 200}) {
    workloads->push_back(
        TwoProcesses({options, size, kBatch}, {.bare_at_most = 1.2, .classic_at_least = 1.8}));
  }
  workloads->push_back(Sealed(options, 64, 4));
  workloads->push_back(Sealed(options, 488, 27));
}

}  // namespace ombus::tools

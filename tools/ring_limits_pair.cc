// Limits between two processes: what a record costs when its lines go from one core to another.
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/cpu.h"
#include "tools/ring_limits.h"
#include "tools/ring_limits_pair_run.h"
#include "tools/ring_limits_payload.h"
#include "tools/ring_limits_sum.h"
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
  bool in_place = false;  // batches are written where they stay
  uint32_t capacity = kCapacityBySlotSize;

  uint64_t count() const { return options.shm_iters / kBatch * kBatch; }
  // The smallest class of slots that holds the payload, as is advised.
  RingShape shape() const {
    const uint32_t slot_size = std::max(64u, std::bit_ceil(uint32_t{size} + kSlotHeaderBytes));
    return {.capacity = CapacityOf(capacity, slot_size), .slot_size = slot_size};
  }
};

Result<Slice> SliceOfPair(const Setting& setting, const PairParts& parts) {
  const Result<PairTime> time = RunPair(setting.options, parts);
  if (!time.ok()) return time.status();
  Slice slice = SliceOf((*time).ns, setting.count(), 0);
  slice.round_trip = (*time).round_trip;
  return slice;
}

// Calls f with the size as a constant, as it is in the code of a program that publishes a struct.
template <typename F>
Status WithSize(uint16_t size, F&& f) {
  switch (size) {
    case 8:
      return f(std::integral_constant<uint16_t, 8>());
    case 64:
      return f(std::integral_constant<uint16_t, 64>());
    case 200:
      return f(std::integral_constant<uint16_t, 200>());
    case 488:
      return f(std::integral_constant<uint16_t, 488>());
    default:
      return f(size);
  }
}

// Of bare lines: read(lines, count, size) says whether all is right, write(lines, count, payload,
// size) stores.
template <typename Read, typename Write>
Result<Slice> BarePair(const Setting& s, Read read, Write write) {
  const RingShape shape = s.shape();
  SharedMemory shared(shape.bytes());
  const BareLines lines(shared.memory(), shape);
  const LimitsPayload payload;
  return SliceOfPair(
      s, {[] { return Status(); },
          [&] { return WithSize(s.size, [&](auto size) { return read(lines, s.count(), size); }); },
          [&] {
            return WithSize(s.size, [&](auto size) {
              write(lines, s.count(), payload.data(), size);
              return Status();
            });
          }});
}

template <bool kPrefetch>
Result<Slice> Bare(const Setting& s) {
  return BarePair(
      s,
      [](const BareLines& lines, uint64_t count, auto size) {
        return BareLines::LoadAll(lines, count, size) == 0
                   ? Status(StatusCode::kCorrupt, "nothing read")
                   : Status();
      },
      [](const BareLines& lines, uint64_t count, const void* payload, auto size) {
        BareLines::StoreAll<kPrefetch>(lines, count, payload, size);
      });
}

#if defined(__x86_64__)
template <bool kPrefetch>
Result<Slice> BareSum(const Setting& s) {
  return BarePair(
      s,
      [](const BareLines& lines, uint64_t count, auto size) {
        return CheckAllSums<kPrefetch>(lines, count, size) != 0
                   ? Status(StatusCode::kCorrupt, "a sum is wrong")
                   : Status();
      },
      [](const BareLines& lines, uint64_t count, const void* payload, auto size) {
        StoreAllSums<kPrefetch>(lines, count, payload, size);
      });
}
#endif

std::array<Record, kBatch> BatchAt(uint64_t wal_seq, const LimitsPayload& payload, uint16_t size) {
  std::array<Record, kBatch> records;
  for (Record& record : records) record = {wal_seq++, payload.data(), size, 1, 0};
  return records;
}

// The loops keep to locals: what a contender's code may have changed in memory is loaded again and
// again otherwise, and would count as the ring's.

// Record by record, of either yardstick.
template <Fields kFields, typename Ring>
Status ReadSingles(const Setting& s, const std::string& who, Ring* ring) {
  const uint64_t count = s.count();
  LimitsReader reader;
  Record record;
  Spin spin;
  while (reader.records() < count) {
    KeepFields<kFields>(ring);
    if (ring->Poll(&record)) {
      reader.Take(record);
    } else {
      spin.Once();
    }
  }
  return Verdict(reader, who, count);
}

template <Fields kFields, typename Size, typename Ring>
Status WriteSingles(const Setting& s, Size size, Ring* ring) {
  const LimitsPayload payload;
  const uint64_t count = s.count();
  Spin spin;
  for (uint64_t i = 0; i < count; ++i) {
    KeepFields<kFields>(ring);
    while (!ring->Publish({i, payload.data(), size, 1, 0})) spin.Once();
  }
  return {};
}

Status ReadClassic(const Setting& s, ClassicRing* ring) {
  if (s.batch == 1) return ReadSingles<Fields::kRegisters>(s, "classic", ring);
  const uint64_t count = s.count();
  LimitsReader reader;
  Spin spin;
  while (reader.records() < count) {
    if (ring->Drain(kDrainMax, [&](const Record& got) { reader.Take(got); }) == 0) spin.Once();
  }
  return Verdict(reader, "classic", count);
}

template <typename Size>
Status WriteClassic(const Setting& s, Size size, ClassicRing* ring) {
  if (s.batch == 1) return WriteSingles<Fields::kRegisters>(s, size, ring);
  const LimitsPayload payload;
  const uint64_t count = s.count();
  Spin spin;
  for (uint64_t i = 0; i < count; i += kBatch) {
    const auto records = BatchAt(i, payload, size);
    for (size_t done = 0; done < kBatch;) {
      const size_t now = ring->PublishBatch(std::span<const Record>(records).subspan(done));
      if (now == 0) spin.Once();
      done += now;
    }
  }
  return {};
}

Result<Slice> Classic(const Setting& s) {
  const RingShape shape = s.shape();
  SharedMemory shared(shape.bytes());
  ClassicRing ring(shared.memory(), shape);
  return SliceOfPair(
      s,
      {[&] {
         ring.Join();
         return Status();
       },
       [&] { return ReadClassic(s, &ring); },
       [&] { return WithSize(s.size, [&](auto size) { return WriteClassic(s, size, &ring); }); }});
}

// With guards its fields are in memory as well, as those of ombus.
template <bool kPrefetch, bool kGuards = false>
Result<Slice> Least(const Setting& s) {
  constexpr Fields kFields = kGuards ? Fields::kMemory : Fields::kRegisters;
  const RingShape shape = s.shape();
  SharedMemory shared(shape.bytes());
  LeastRing<kPrefetch, kGuards> ring(shared.memory(), shape);
  return SliceOfPair(
      s, {[] { return Status(); }, [&] { return ReadSingles<kFields>(s, "least", &ring); },
          [&] {
            return WithSize(s.size,
                            [&](auto size) { return WriteSingles<kFields>(s, size, &ring); });
          }});
}

Status ReadOmbus(const Setting& s, Consumer* consumer) {
  const uint64_t count = s.count();
  const bool singles = s.batch == 1;
  LimitsReader reader;
  Record record;
  Spin spin;
  PollResult end = PollResult::kEmpty;
  while (singles && reader.records() < count) {
    end = consumer->Poll(&record);
    if (end == PollResult::kRecord) [[likely]] {
      reader.Take(record);
    } else if (end == PollResult::kEmpty) {
      spin.Once();
    } else {
      break;
    }
  }
  while (!singles && reader.records() < count) {
    const BatchResult got =
        consumer->Drain(kDrainMax, [&](const Record& record) { reader.Take(record); });
    end = got.end;
    if (got.count > 0) continue;
    if (end != PollResult::kEmpty) break;
    spin.Once();
  }
  return Verdict(reader, "ombus (last poll: " + std::to_string(static_cast<int>(end)) + ")", count);
}

template <typename Size>
Status WriteOmbus(const Setting& s, Size size, Producer* producer) {
  const LimitsPayload payload;
  const uint64_t count = s.count(), timeout_ns = s.options.timeout_ns;
  const bool singles = s.batch == 1;
  PublishResult result = PublishResult::kOk;
  uint64_t i = 0;
  for (; singles && i < count && result == PublishResult::kOk; ++i) {
    result = producer->Publish({i, payload.data(), size, 1, 0}, timeout_ns);
  }
  for (; i < count && result == PublishResult::kOk; i += kBatch) {
    if (s.in_place) {
      const auto write = [&payload, size, i](void* room, size_t k) {
        std::memcpy(room, payload.data(), size);
        return Producer::Written{i + k, size, 1};
      };
      result = producer->Fill(kBatch, write, timeout_ns);
    } else {
      result = producer->PublishBatch(BatchAt(i, payload, size), timeout_ns);
    }
  }
  if (result == PublishResult::kOk) return {};
  return {StatusCode::kUnavailable, "bench \"limits\": ETIMEDOUT; the consumer does not read"};
}

Result<Slice> Ombus(const Setting& s) {
  auto producer = Producer::Create({.name = s.options.stream,
                                    .capacity = s.capacity,
                                    .slot_size = s.shape().slot_size,
                                    .crc32c = s.crc32c});
  if (!producer.ok()) return producer.status();
  std::unique_ptr<Consumer> consumer;  // the child's
  return SliceOfPair(s, {[&]() -> Status {
                           auto opened = Consumer::Open({.name = s.options.stream});
                           if (!opened.ok()) return opened.status();
                           consumer = std::move(*opened);
                           return {};
                         },
                         [&] { return ReadOmbus(s, consumer.get()); },
                         [&] {
                           return WithSize(s.size, [&](auto size) {
                             return WriteOmbus(s, size, producer->get());
                           });
                         }});
}

Workload TwoProcesses(const Setting& s, Target target) {
  const std::string how = s.batch == 1 ? "one at a time" : "batch 32 by drain";
  Workload workload = {"two processes, " + how + ", " + std::to_string(s.size) + " B",
                       {"ns"},
                       {{"bare", Role::kBare, [s] { return Bare<false>(s); }},
                        {"bare, prefetch", Role::kBare, [s] { return Bare<true>(s); }},
                        {"classic", Role::kClassic, [s] { return Classic(s); }},
                        {"ombus", Role::kOmbus, [s] { return Ombus(s); }, {target}}}};
  if (s.batch == 1) {
    workload.contenders.push_back({"least", Role::kLeast, [s] { return Least<false>(s); }});
    workload.contenders.push_back(
        {"least, prefetch", Role::kLeast, [s] { return Least<true>(s); }});
    workload.contenders.push_back(
        {"least, with guards", Role::kLeast, [s] { return Least<true, true>(s); }});
  } else {
    Setting in_place = s;
    in_place.in_place = true;
    workload.contenders.push_back(
        {"ombus, in place", Role::kOmbus, [in_place] { return Ombus(in_place); }, {target}});
  }
  return workload;
}

// What the ring's size gives: whether the caches of the two cores hold it.
Workload RingSizes(const BenchOptions& options) {
  struct Size {
    const char* name;
    uint32_t kibibytes;
  };
  Workload workload = {"two processes, the ring's size, 64 B", {"ns"}, {}};
  for (const Size& ring :
       {Size{"ombus, 4 MiB", 4096}, Size{"ombus, 512 KiB", 512}, Size{"ombus, 1 MiB", 1024},
        Size{"ombus, 2 MiB", 2048}, Size{"ombus, 8 MiB", 8192}, Size{"ombus, 16 MiB", 16'384},
        Size{"ombus, 64 MiB", 65'536}}) {
    Setting s = {options, 64};
    s.capacity = (ring.kibibytes << 10) / s.shape().slot_size;
    const Role role = workload.contenders.empty() ? Role::kBaseline : Role::kOmbus;
    workload.contenders.push_back({ring.name, role, [s] { return Ombus(s); }});
  }
  return workload;
}

Workload Sealed(const BenchOptions& options, uint16_t size, double extra_ns) {
  const Setting plain{options, size, 1, false};
  const Setting sealed{options, size, 1, true};
  const Target target = {.extra_ns_at_most = extra_ns};
  Workload workload = {
      "CRC32C, two processes, " + std::to_string(size) + " B",
      {"ns"},
      {{"ombus", Role::kBaseline, [plain] { return Ombus(plain); }},
       {"ombus, CRC32C", Role::kOmbus, [sealed] { return Ombus(sealed); }, {target}}}};
#if defined(__x86_64__)
  if (!crc32c::Usable()) return workload;
  const auto add = [&](const char* name, Role role, Result<Slice> (*run)(const Setting&)) {
    const bool is_sum = role == Role::kBareSum;
    workload.contenders.push_back(
        {name, role, [run, plain] { return run(plain); }, {is_sum ? target : Target()}});
  };
  add("bare", Role::kBare, Bare<false>);
  add("bare, prefetch", Role::kBare, Bare<true>);
  add("bare + sum", Role::kBareSum, BareSum<false>);
  add("bare + sum, prefetch", Role::kBareSum, BareSum<true>);
#endif
  return workload;
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
  workloads->push_back(RingSizes(options));
  workloads->push_back(Sealed(options, 64, 4));
  workloads->push_back(Sealed(options, 488, 27));
}

}  // namespace ombus::tools

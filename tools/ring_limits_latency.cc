// Limits of one-way latency: from the time a message is due to the moment its reader has it, one
// message a microsecond, so that nothing queues. A moment in which the host took the cpu away from
// the sender (it noticed while waiting, outside all contenders' code) or from the reader (two looks
// were microseconds apart) says nothing about a ring: such messages are not counted, for any
// contender. The yardstick is a fresh line for each message (as many lines as the record has): the
// reader spins on the very line that will be written.
#include <algorithm>
#include <memory>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/ring_limits.h"
#include "tools/ring_limits_pair_run.h"
#include "tools/ring_limits_payload.h"
#include "tools/ring_limits_yardsticks.h"
#include "tools/shared_memory.h"
#include "tools/ticks.h"

namespace ombus::tools {
namespace {

constexpr double kIntervalNs = 1000;
constexpr double kStallNs = 2000;
constexpr uint64_t kMessagesMin = 100;
constexpr uint64_t kMessagePerRecords = 40;  // of --shm-iters: a message takes that much longer

class Timed {
 public:
  Timed(const BenchOptions& options, uint16_t size)
      : options_(options),
        size_(size),
        count_(std::max(options.shm_iters / kMessagePerRecords, kMessagesMin)),
        shared_(count_ * sizeof(uint32_t)),
        ns_per_tick_(NsPerTick()) {}

  // send(sequence, payload) publishes; receive(sequence) is the payload or null if it is not there.
  template <typename Send, typename Receive>
  Result<Slice> Run(const std::function<Status()>& open, Send send, Receive receive) {
    const Result<PairTime> time =
        RunPair(options_, {open, [&] { return Read(receive); }, [&] { return Write(send); }});
    if (!time.ok()) return time.status();
    auto* ticks = reinterpret_cast<uint32_t*>(shared_.memory());
    uint32_t* const end = std::remove(ticks, ticks + count_, 0u);
    std::sort(ticks, end);
    const auto counted = static_cast<uint64_t>(end - ticks);
    if (counted == 0) return Slice{{0, 0}, (*time).round_trip};
    return Slice{{ns_per_tick_ * ticks[counted / 2], ns_per_tick_ * ticks[counted * 99 / 100]},
                 (*time).round_trip};
  }

  const BenchOptions& options() const { return options_; }

 private:
  template <typename Send>
  Status Write(Send send) {
    alignas(64) std::byte payload[kLimitsPayloadBytesMax] = {};
    const auto interval = static_cast<uint64_t>(kIntervalNs / ns_per_tick_);
    uint64_t due = Ticks() + 100 * interval;
    const auto stall = static_cast<uint64_t>(kStallNs / ns_per_tick_);
    for (uint64_t i = 0; i < count_; ++i, due += interval) {
      for (uint64_t now = Ticks(), before = now; now < due; before = now) {
        now = Ticks();
        if (now - before > stall) due = now + interval;  // the host stole that time
      }
      std::memcpy(payload, &due, sizeof due);
      Spin spin;
      while (!send(i, payload)) spin.Once();  // the host keeps the reader from its cpu
    }
    return {};
  }

  template <typename Receive>
  Status Read(Receive receive) {
    auto* ticks = reinterpret_cast<uint32_t*>(shared_.memory());
    const auto stall = static_cast<uint64_t>(kStallNs / ns_per_tick_);
    uint64_t before = Ticks();
    for (uint64_t i = 0; i < count_; ++i) {
      const void* payload;
      bool stalled = false;
      Spin spin;
      while ((payload = receive(i)) == nullptr) {
        spin.Once();
        const uint64_t now = Ticks();
        stalled |= now - before > stall;
        before = now;
      }
      const uint64_t sum = TouchPayload(payload, size_);
      __asm__ volatile("" : : "r"(sum));
      uint64_t due;
      std::memcpy(&due, payload, sizeof due);
      const uint64_t now = Ticks();
      stalled |= now - before > stall;
      before = now;
      ticks[i] = stalled ? 0 : static_cast<uint32_t>(std::min<uint64_t>(now - due, ~uint32_t{0}));
    }
    return {};
  }

  BenchOptions options_;
  uint16_t size_;
  uint64_t count_;
  SharedMemory shared_;
  double ns_per_tick_;
};

Result<Slice> Bare(const BenchOptions& options, uint16_t size) {
  const RingShape shape;
  SharedMemory shared(shape.bytes());
  const BareLines lines(shared.memory(), shape);
  return Timed(options, size)
      .Run([] { return Status(); },
           [&](uint64_t i, const void* payload) {
             lines.Store<false>(i, payload, size);
             return true;
           },
           [&](uint64_t i) -> const void* {
             const SlotHeader* slot = lines.SlotAt(i);
             // Later than expected: the host kept us from our cpu, and nothing waits for us here.
             if (slot->seq.load(std::memory_order_acquire) < i + 1) return nullptr;
             return slot_access::Payload(slot);
           });
}

Result<Slice> Classic(const BenchOptions& options, uint16_t size) {
  const RingShape shape;
  SharedMemory shared(shape.bytes());
  ClassicRing ring(shared.memory(), shape);
  Record record;
  return Timed(options, size)
      .Run(
          [&] {
            ring.Join();
            return Status();
          },
          [&](uint64_t i, const void* payload) {
            return ring.Publish({i, payload, size, 1, 0});
          },
          [&](uint64_t) -> const void* { return ring.Poll(&record) ? record.payload : nullptr; });
}

Result<Slice> Ombus(const BenchOptions& options, uint16_t size, RingProfile profile) {
  auto producer = Producer::Create({.name = options.stream, .profile = profile});
  if (!producer.ok()) return producer.status();
  std::unique_ptr<Consumer> consumer;  // the child's
  Record record;
  return Timed(options, size)
      .Run(
          [&]() -> Status {
            auto opened = Consumer::Open({.name = options.stream, .profile = profile});
            if (!opened.ok()) return opened.status();
            consumer = std::move(*opened);
            return {};
          },
          [&](uint64_t i, const void* payload) {
            return (*producer)->TryPublish({i, payload, size, 1, 0}) == PublishResult::kOk;
          },
          [&](uint64_t) -> const void* {
            return consumer->Poll(&record) == PollResult::kEmpty ? nullptr : record.payload;
          });
}

}  // namespace

void AddLatencyWorkloads(const BenchOptions& o, std::vector<Workload>* workloads) {
  const std::vector<Target> targets = {{.bare_at_most = 1.2, .classic_at_least = 1.7},
                                       {.bare_at_most = 1.5}};
  for (const uint16_t size : {8, 64, 200}) {
    workloads->push_back({"one-way latency, " + std::to_string(size) + " B",
                          {"p50_ns", "p99_ns"},
                          {{"bare", Role::kBare, [o, size] { return Bare(o, size); }},
                           {"classic", Role::kClassic, [o, size] { return Classic(o, size); }},
                           {"ombus, latency", Role::kOmbus,
                            [o, size] { return Ombus(o, size, RingProfile::kLatency); }, targets},
                           {"ombus, throughput",
                            Role::kOmbus,
                            [o, size] { return Ombus(o, size, RingProfile::kThroughput); },
                            {}}}});
  }
}

}  // namespace ombus::tools

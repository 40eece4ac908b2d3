// ombus stat: what a stream looks like, seen from outside.
#include <cstdio>
#include <string>
#include <vector>

#include "ombus/ring_snapshot.h"
#include "tools/command.h"
#include "tools/cpu.h"
#include "tools/json.h"
#include "tools/slot_report.h"
#include "tools/stop_signal.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

constexpr CommandText kText = {
    "stat", "--stream /name [--flag value]...",
    "Shows a stream's producer, head, epoch, rates and each consumer's tail and lag. Reads\n"
    "only: neither producer nor consumers notice. Rates are those between two looks.\n"
    "--slots shows instead what each slot size would cost for the payloads that lie in the\n"
    "ring now, or for those in the file of --sizes, which needs no stream."};

struct Options {
  std::string stream;
  uint64_t interval_ns = 1'000'000'000;
  uint64_t count = 1;
  bool json = false;
  bool slots = false;
  std::string sizes_path, save_sizes_path;
  uint32_t capacity = kCapacityBySlotSize, max_consumers = kDefaultMaxConsumers;
};

FlagTable FlagsOf(Options* o) {
  return {
      {"stream", "/NAME", "the stream", &o->stream},
      {"interval-ms", "TIME", "between two looks", Duration{&o->interval_ns}},
      {"count", "N", "how many reports; 0: until a signal", Number{&o->count}},
      {"json", "", "an object a line", &o->json},
      {"slots", "", "advice on the slot size instead", &o->slots},
      {"sizes", "FILE", "of --slots: payload sizes from there", &o->sizes_path},
      {"save-sizes", "FILE", "write the sizes of the payloads in the ring there",
       &o->save_sizes_path},
      {"capacity", "N", "of --sizes: the ring's slots; 0: what 4 MiB hold, at least 4096",
       Number32{&o->capacity}},
      {"max-consumers", "N", "of --sizes: the ring's consumer lines", Number32{&o->max_consumers}},
  };
}

struct Look {
  RingSnapshot ring;
  uint64_t time_ns = 0;
};

double RateBetween(uint64_t before, uint64_t after, const Look& a, const Look& b) {
  const double seconds = static_cast<double>(b.time_ns - a.time_ns) / 1e9;
  if (seconds <= 0 || after < before) return 0;
  return static_cast<double>(after - before) / seconds;
}

const char* NameOf(RingState state) {
  switch (state) {
    case RingState::kActive:
      return "active";
    case RingState::kClosed:
      return "closed";
    case RingState::kReplaced:
      return "replaced";
  }
  return "unknown";
}

const char* NameOf(const ConsumerSnapshot& consumer) {
  if (consumer.state == LineState::kEvicted) return "evicted";
  return consumer.owner_alive ? "live" : "dead";
}

// The rate at which the consumer of this line read; 0 if it was not there before.
double ReadRate(const ConsumerSnapshot& now, const Look& before, const Look& after) {
  for (const ConsumerSnapshot& then : before.ring.consumers) {
    if (then.index == now.index && then.pid == now.pid) {
      return RateBetween(then.tail, now.tail, before, after);
    }
  }
  return 0;
}

// The first number of records that a bucket of batches counts.
uint64_t BucketStart(size_t bucket) { return uint64_t{1} << bucket; }

std::string BatchText(const RingSnapshot& ring) {
  std::string text;
  for (size_t i = 0; i < ring.batches.size(); ++i) {
    if (ring.batches[i] == 0) continue;
    const bool last = i + 1 == ring.batches.size();
    text += text.empty() ? " of " : ", of ";
    text += std::to_string(BucketStart(i));
    if (i > 0) text += last ? " or more" : "–" + std::to_string(BucketStart(i + 1) - 1);
    text += ": " + WithThousands(ring.batches[i]);
  }
  return text.empty() ? " none" : text;
}

JsonObject BatchJson(const RingSnapshot& ring) {
  JsonObject object;
  for (size_t i = 0; i < ring.batches.size(); ++i) {
    object.Add(std::to_string(BucketStart(i)), ring.batches[i]);
  }
  return object;
}

std::string TextOf(const Look& before, const Look& after) {
  const RingSnapshot& ring = after.ring;
  std::string text =
      ring.name + ": " + NameOf(ring.state) + ", producer " + std::to_string(ring.producer_pid) +
      (ring.producer_alive ? " alive" : " gone") + ", epoch " + std::to_string(ring.epoch) + "\n";
  text += "head " + WithThousands(ring.head) + ", last wal_seq " +
          WithThousands(ring.last_wal_seq) + ", " +
          HumanRate(RateBetween(before.ring.head, ring.head, before, after)) + "\n";
  text += "ring " + WithThousands(ring.capacity) + " slots of " + std::to_string(ring.slot_size) +
          " bytes, " + WithThousands(ring.total_bytes) + " bytes in all" +
          (ring.flags & kRingFlagCrc32c ? ", CRC32C" : "") + "\n";
  text += "stalls " + WithThousands(ring.stalls) + " (" +
          HumanNs(static_cast<double>(ring.stalled_ns)) + "), evictions " +
          WithThousands(ring.evictions) + ", lines of dead consumers set free " +
          WithThousands(ring.reclaimed) + "\n";
  text += "occupancy at most " + WithThousands(ring.occupancy_max) + " of " +
          WithThousands(ring.capacity) + " slots; batches" + BatchText(ring) + "\n";
  if (ring.consumers.empty()) return text + "no consumers\n";
  Table table({"consumer", "pid", "state", "tail", "lag", "last wal_seq", "rate"});
  for (const ConsumerSnapshot& consumer : ring.consumers) {
    table.Add({std::to_string(consumer.index), std::to_string(consumer.pid), NameOf(consumer),
               WithThousands(consumer.tail), WithThousands(consumer.lag_records),
               WithThousands(consumer.wal_seq), HumanRate(ReadRate(consumer, before, after))});
  }
  return text + table.Text();
}

std::string JsonOf(const Look& before, const Look& after) {
  const RingSnapshot& ring = after.ring;
  std::vector<JsonObject> consumers;
  for (const ConsumerSnapshot& consumer : ring.consumers) {
    consumers.emplace_back()
        .Add("index", consumer.index)
        .Add("pid", consumer.pid)
        .Add("state", NameOf(consumer))
        .Add("tail", consumer.tail)
        .Add("lag_records", consumer.lag_records)
        .Add("wal_seq", consumer.wal_seq)
        .Add("records_per_s", ReadRate(consumer, before, after));
  }
  return JsonObject()
             .Add("stream", ring.name)
             .Add("state", NameOf(ring.state))
             .Add("producer_pid", ring.producer_pid)
             .Add("producer_alive", ring.producer_alive)
             .Add("epoch", ring.epoch)
             .Add("head", ring.head)
             .Add("min_tail", ring.min_tail)
             .Add("last_wal_seq", ring.last_wal_seq)
             .Add("records_per_s", RateBetween(before.ring.head, ring.head, before, after))
             .Add("capacity", ring.capacity)
             .Add("slot_size", ring.slot_size)
             .Add("max_consumers", ring.max_consumers)
             .Add("total_bytes", ring.total_bytes)
             .Add("crc32c", (ring.flags & kRingFlagCrc32c) != 0)
             .Add("stalls", ring.stalls)
             .Add("stalled_ns", ring.stalled_ns)
             .Add("evictions", ring.evictions)
             .Add("reclaimed", ring.reclaimed)
             .Add("occupancy_max", ring.occupancy_max)
             .Add("batches_from", BatchJson(ring))
             .Add("consumers", consumers)
             .text() +
         "\n";
}

Result<Look> TakeLook(const std::string& stream) {
  auto ring = ReadRingSnapshot(stream);
  if (!ring.ok()) return ring.status();
  return Look{std::move(*ring), NowNs()};
}

// --slots and --save-sizes.
Status AdviseOnSlots(Options options) {
  Result<PayloadHistogram> sizes = options.sizes_path.empty()
                                       ? ReadPayloadHistogram(options.stream)
                                       : PayloadHistogram::Load(options.sizes_path);
  if (!sizes.ok()) return sizes.status();
  if (options.sizes_path.empty()) {
    auto ring = ReadRingSnapshot(options.stream);
    if (!ring.ok()) return ring.status();
    const bool wish = ring->capacity != DefaultCapacity(ring->slot_size);
    options.capacity = wish ? ring->capacity : kCapacityBySlotSize;
    options.max_consumers = ring->max_consumers;
  }
  if (!options.save_sizes_path.empty()) {
    if (Status saved = sizes->Save(options.save_sizes_path); !saved.ok()) return saved;
  }
  if (!options.slots) return {};
  const auto report = SlotReport(*sizes, options.capacity, options.max_consumers, options.json);
  if (!report.ok()) return report.status();
  std::fputs((*report).c_str(), stdout);
  return {};
}

}  // namespace

int RunStat(Arguments args) {
  Options options;
  int exit_code = kExitOk;
  if (!ParseOrExplain(kText, FlagsOf(&options), args, &exit_code)) return exit_code;
  const bool needs_no_stream = options.slots && !options.sizes_path.empty();
  if (options.stream.empty() && !needs_no_stream) {
    return FailUsage(kText, "no stream; give --stream /name");
  }
  if (options.slots || !options.save_sizes_path.empty()) {
    const Status status = AdviseOnSlots(options);
    return status.ok() ? FlushStandardOutput(kText.name) : Fail(kText, status);
  }
  CatchStopSignals();
  Result<Look> before = TakeLook(options.stream);
  if (!before.ok()) return Fail(kText, before.status());
  for (uint64_t i = 0; (options.count == 0 || i < options.count) && !StopRequested(); ++i) {
    SleepNs(options.interval_ns);
    Result<Look> after = TakeLook(options.stream);
    if (!after.ok()) return Fail(kText, after.status());
    const std::string text = options.json ? JsonOf(*before, *after) : TextOf(*before, *after);
    std::fputs(text.c_str(), stdout);
    if (FlushStandardOutput(kText.name) != kExitOk) return kExitFailure;
    before = std::move(after);
  }
  return kExitOk;
}

}  // namespace ombus::tools

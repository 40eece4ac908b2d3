// ombus bench --mode c-api: a publish and a poll in one thread, 8 bytes, through libombus' C calls,
// against the inline C++ ones and against a ring built the classic way. The three take turns, block
// by block, so that what disturbs one disturbs all.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/om_bus.h"
#include "ombus/producer.h"
#include "tools/bench.h"
#include "tools/cpu.h"
#include "tools/ring_limits_yardsticks.h"

namespace ombus::tools {
namespace {

constexpr uint64_t kBlockPairs = 20'000;

// The yardstick of `limits`, called as into a library. It hands its payload out in place.
class ClassicPair {
 public:
  explicit ClassicPair(uint32_t capacity) : ring_(Memory(capacity), {.capacity = capacity}) {
    ring_.Join();
  }

  bool Pass(uint64_t wal_seq, Record* record) {
    return Publish({wal_seq, &wal_seq, sizeof wal_seq, 1, 0}) && Poll(record);
  }

 private:
  std::byte* Memory(uint32_t capacity) {
    memory_.resize(RingShape{.capacity = capacity}.bytes() / sizeof(Line) + 1);
    return memory_.data()->bytes;
  }
  [[gnu::noinline]] bool Publish(const Record& record) { return ring_.Publish(record); }
  [[gnu::noinline]] bool Poll(Record* record) { return ring_.Poll(record); }

  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> memory_;
  ClassicRing ring_;
};

class InlinePair {
 public:
  static Result<std::unique_ptr<InlinePair>> Create(const std::string& stream, uint32_t capacity) {
    ProducerOptions options;
    options.name = stream + "-inline";
    options.capacity = capacity;
    auto producer = Producer::Create(options);
    if (!producer.ok()) return producer.status();
    auto consumer = Consumer::Open({.name = options.name});
    if (!consumer.ok()) return consumer.status();
    auto pair = std::make_unique<InlinePair>();
    pair->producer_ = std::move(*producer);
    pair->consumer_ = std::move(*consumer);
    return pair;
  }

  bool Pass(uint64_t wal_seq, Record* record) {
    const Record out = {wal_seq, &wal_seq, sizeof wal_seq, 1, 0};
    return producer_->TryPublish(out) == PublishResult::kOk &&
           consumer_->Poll(record) == PollResult::kRecord;
  }

 private:
  std::unique_ptr<Producer> producer_;
  std::unique_ptr<Consumer> consumer_;
};

class CPair {
 public:
  CPair() = default;
  ~CPair() {
    om_bus_endpoint_close(endpoint_);
    om_bus_stream_destroy(stream_);
  }
  CPair(const CPair&) = delete;
  CPair& operator=(const CPair&) = delete;

  Status Open(const std::string& stream, uint32_t capacity) {
    const std::string name = stream + "-c";
    OmBusStreamConfig config = {};
    config.stream_name = name.c_str();
    config.capacity = capacity;
    OmBusEndpointConfig reader = {};
    reader.stream_name = name.c_str();
    int code = om_bus_stream_create(&stream_, &config);
    if (code == 0) code = om_bus_endpoint_open(&endpoint_, &reader);
    if (code == 0) return {};
    return {StatusCode::kInternal, "bench \"c-api\": " + std::string(om_bus_error_string(code))};
  }

  bool Pass(uint64_t wal_seq, Record* record) {
    OmBusRecord polled;
    if (om_bus_stream_publish(stream_, wal_seq, 1, &wal_seq, sizeof wal_seq) != 0 ||
        om_bus_endpoint_poll(endpoint_, &polled) != 1) {
      return false;
    }
    *record = {polled.wal_seq, polled.payload, polled.payload_len, polled.wal_type, 0};
    return true;
  }

 private:
  OmBusStream* stream_ = nullptr;
  OmBusEndpoint* endpoint_ = nullptr;
};

// One contender's time, and whether each record came back as it was.
struct Tally {
  uint64_t pairs = 0, ns = 0, wrong = 0;
  double ns_each() const { return static_cast<double>(ns) / static_cast<double>(pairs); }
};

template <typename Pair>
void RunBlock(Pair* pair, uint64_t pairs, Tally* tally) {
  Record record;
  uint64_t wrong = 0;
  const uint64_t start_ns = NowNs();
  for (uint64_t i = 1; i <= pairs; ++i) {
    const uint64_t wal_seq = tally->pairs + i;
    uint64_t word = 0;
    if (pair->Pass(wal_seq, &record)) std::memcpy(&word, record.payload, sizeof word);
    wrong += word != wal_seq || record.wal_seq != wal_seq;
  }
  tally->ns += NowNs() - start_ns;
  tally->pairs += pairs;
  tally->wrong += wrong;
}

}  // namespace

Result<BenchResult> BenchCApi(const BenchOptions& options) {
  BenchResult result{"c-api", "8-byte records, one thread, publish and poll", {}};
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  for (uint32_t run = 0; run < options.runs; ++run) {
    auto inlined = InlinePair::Create(options.stream, options.capacity);
    if (!inlined.ok()) return inlined.status();
    CPair c;
    if (Status opened = c.Open(options.stream, options.capacity); !opened.ok()) return opened;
    ClassicPair classic(options.capacity);
    Tally of_inline, of_c, of_classic;
    for (uint64_t left = options.shm_iters; left > 0;) {
      const uint64_t pairs = std::min(left, kBlockPairs);
      RunBlock(inlined->get(), pairs, &of_inline);
      RunBlock(&c, pairs, &of_c);
      RunBlock(&classic, pairs, &of_classic);
      left -= pairs;
    }
    const uint64_t wrong = of_inline.wrong + of_c.wrong + of_classic.wrong;
    if (wrong != 0) {
      return Status(StatusCode::kCorrupt, "bench \"c-api\": " + std::to_string(wrong) +
                                              " records wrong or lost; please report this");
    }
    result.Add("c_pair_ns", of_c.ns_each());
    result.Add("inline_pair_ns", of_inline.ns_each());
    result.Add("classic_pair_ns", of_classic.ns_each());
    result.Add("c_to_inline", of_c.ns_each() / of_inline.ns_each());
    result.Add("c_to_classic", of_c.ns_each() / of_classic.ns_each());
  }
  return result;
}

}  // namespace ombus::tools

// ombus bench --mode c-api: a publish and a poll in one thread, 8 bytes, through libombus' C calls
// and through ombus' own, against the inline C++ ones and against a ring built the classic way. All
// take turns, block by block, so that what disturbs one disturbs all.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/om_bus.h"
#include "ombus/ombus.h"
#include "ombus/producer.h"
#include "tools/bench.h"
#include "tools/cpu.h"
#include "tools/ring_limits_yardsticks.h"

namespace ombus::tools {
namespace {

constexpr uint64_t kBlockPairs = 20'000;

// The yardstick of `limits`, called as into a library. What it polls it copies, as libombus does
// unless it is asked not to, or hands out in place.
class ClassicPair {
 public:
  ClassicPair(uint32_t capacity, bool copies)
      : ring_(Memory(capacity), {.capacity = capacity}), copies_(copies) {
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
  [[gnu::noinline]] bool Poll(Record* record) {
    if (!copies_) return ring_.Poll(record);
    return ring_.Drain(1, [&](const Record& got) {  // its room is the producer's after that
      *record = got;
      record->payload = std::memcpy(payload_, got.payload, got.size);
    }) == 1;
  }

  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> memory_;
  ClassicRing ring_;
  bool copies_;
  alignas(64) std::byte payload_[kDefaultSlotBytes];
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

// ombus' own C calls. The payload is handed out in place.
class OwnPair {
 public:
  OwnPair() = default;
  ~OwnPair() {
    ombus_consumer_close(consumer_);
    ombus_producer_close(producer_);
  }
  OwnPair(const OwnPair&) = delete;
  OwnPair& operator=(const OwnPair&) = delete;

  Status Open(const std::string& stream, uint32_t capacity) {
    const std::string name = stream + "-own";
    ombus_producer_options write;
    ombus_producer_options_init(&write, sizeof write);
    write.name = name.c_str();
    write.capacity = capacity;
    ombus_consumer_options read;
    ombus_consumer_options_init(&read, sizeof read);
    read.name = name.c_str();
    ombus_error error = {};
    producer_ = ombus_producer_create(&write, &error);
    if (producer_ != nullptr) consumer_ = ombus_consumer_open(&read, &error);
    return {static_cast<StatusCode>(error.code), error.message};
  }

 protected:
  bool Poll(Record* record) {
    ombus_record polled;
    if (ombus_consumer_poll(consumer_, &polled) != OMBUS_POLL_RECORD) return false;
    *record = {polled.wal_seq, polled.payload, polled.size, polled.type, 0};
    return true;
  }

  ombus_producer* producer_ = nullptr;
  ombus_consumer* consumer_ = nullptr;
};

class OwnPublishPair : public OwnPair {
 public:
  bool Pass(uint64_t wal_seq, Record* record) {
    const ombus_record out = {wal_seq, &wal_seq, sizeof wal_seq, 1, 0, 0};
    return ombus_producer_try_publish(producer_, &out) == OMBUS_PUBLISH_OK && Poll(record);
  }
};

class OwnReservePair : public OwnPair {
 public:
  bool Pass(uint64_t wal_seq, Record* record) {
    void* room = ombus_producer_try_reserve(producer_);
    if (room == nullptr) return false;
    std::memcpy(room, &wal_seq, sizeof wal_seq);
    return ombus_producer_commit(producer_, wal_seq, 1, sizeof wal_seq) == OMBUS_PUBLISH_OK &&
           Poll(record);
  }
};

// 32 records at once, and a callback for each.
class OwnBatch : public OwnPair {
 public:
  static constexpr uint64_t kRecords = 32;

  // How many came back as they were.
  uint64_t Pass(uint64_t wal_seq) {
    ombus_record out[kRecords];
    uint64_t payloads[kRecords];
    for (uint64_t i = 0; i < kRecords; ++i) {
      payloads[i] = wal_seq + i;
      out[i] = {wal_seq + i, &payloads[i], sizeof payloads[i], 1, 0, 0};
    }
    if (ombus_producer_try_publish_batch(producer_, out, kRecords, nullptr) != OMBUS_PUBLISH_OK) {
      return 0;
    }
    Seen seen = {wal_seq, 0};
    (void)ombus_consumer_drain(consumer_, kRecords, Look, &seen, nullptr);
    return seen.right;
  }

 private:
  struct Seen {
    uint64_t next, right;
  };
  static void Look(const ombus_record* record, void* context) {
    auto* seen = static_cast<Seen*>(context);
    uint64_t word;
    std::memcpy(&word, record->payload, sizeof word);
    seen->right += record->wal_seq == seen->next && word == seen->next;
    ++seen->next;
  }
};

// One contender's blocks, and whether each record came back as it was.
struct Tally {
  uint64_t pairs = 0, wrong = 0;
  Figure ns_of_blocks;

  void Add(uint64_t count, uint64_t ns, uint64_t came_wrong) {
    ns_of_blocks.values.push_back(static_cast<double>(ns) / static_cast<double>(count));
    pairs += count;
    wrong += came_wrong;
  }
  // The median: an interrupt spoils a block and not the run.
  double ns_each() const { return ns_of_blocks.median(); }
};

// A function by itself for each, which takes no registers from another's loop.
template <typename Pair>
[[gnu::noinline]] void RunBlock(Pair* pair, uint64_t pairs, Tally* tally) {
  const uint64_t end = tally->pairs + pairs;
  uint64_t wrong = 0;
  const uint64_t start_ns = NowNs();
  for (uint64_t wal_seq = tally->pairs + 1; wal_seq <= end; ++wal_seq) {
    Record record;
    if (!pair->Pass(wal_seq, &record) || record.wal_seq != wal_seq ||
        std::memcmp(record.payload, &wal_seq, sizeof wal_seq) != 0) {
      ++wrong;
    }
  }
  tally->Add(pairs, NowNs() - start_ns, wrong);
}

void RunBatches(OwnBatch* batch, uint64_t records, Tally* tally) {
  uint64_t right = 0;
  const uint64_t rounds = (records + OwnBatch::kRecords - 1) / OwnBatch::kRecords;
  const uint64_t start_ns = NowNs();
  for (uint64_t i = 0; i < rounds; ++i) {
    right += batch->Pass(tally->pairs + i * OwnBatch::kRecords);
  }
  const uint64_t ns = NowNs() - start_ns, all = rounds * OwnBatch::kRecords;
  tally->Add(all, ns, all - right);
}

// All contenders of a run, and what each took.
struct Contest {
  std::unique_ptr<InlinePair> inlined;
  CPair c;
  OwnPublishPair own;
  OwnReservePair own_reserve;
  OwnBatch own_batch;
  std::unique_ptr<ClassicPair> classic, classic_in_place;
  Tally of_inline, of_c, of_own, of_own_reserve, of_own_batch, of_classic, of_classic_in_place;

  Status Open(const std::string& stream, uint32_t capacity) {
    auto made = InlinePair::Create(stream, capacity);
    if (!made.ok()) return made.status();
    inlined = std::move(*made);
    classic = std::make_unique<ClassicPair>(capacity, true);
    classic_in_place = std::make_unique<ClassicPair>(capacity, false);
    if (Status opened = c.Open(stream, capacity); !opened.ok()) return opened;
    if (Status opened = own.Open(stream, capacity); !opened.ok()) return opened;
    if (Status opened = own_reserve.Open(stream + "-reserve", capacity); !opened.ok())
      return opened;
    return own_batch.Open(stream + "-batch", capacity);
  }

  void Run(uint64_t records) {
    for (uint64_t left = records; left > 0;) {
      const uint64_t pairs = std::min(left, kBlockPairs);
      RunBlock(inlined.get(), pairs, &of_inline);
      RunBlock(&c, pairs, &of_c);
      RunBlock(&own, pairs, &of_own);
      RunBlock(&own_reserve, pairs, &of_own_reserve);
      RunBatches(&own_batch, pairs, &of_own_batch);
      RunBlock(classic.get(), pairs, &of_classic);
      RunBlock(classic_in_place.get(), pairs, &of_classic_in_place);
      left -= pairs;
    }
  }

  uint64_t wrong() const {
    return of_inline.wrong + of_c.wrong + of_own.wrong + of_own_reserve.wrong + of_own_batch.wrong +
           of_classic.wrong + of_classic_in_place.wrong;
  }
};

}  // namespace

Result<BenchResult> BenchCApi(const BenchOptions& options) {
  BenchResult result{"c-api", "8-byte records, one thread, publish and poll", {}};
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  const bool wish = options.capacity != kCapacityBySlotSize;
  const uint32_t capacity = wish ? options.capacity : OM_BUS_DEFAULT_CAPACITY;
  for (uint32_t run = 0; run < options.runs; ++run) {
    Contest contest;
    if (Status opened = contest.Open(options.stream, capacity); !opened.ok()) return opened;
    contest.Run(options.shm_iters);
    if (contest.wrong() != 0) {
      return Status(StatusCode::kCorrupt, "bench \"c-api\": " + std::to_string(contest.wrong()) +
                                              " records wrong or lost; please report this");
    }
    const double c_ns = contest.of_c.ns_each(), inline_ns = contest.of_inline.ns_each();
    const double own_ns = contest.of_own.ns_each(), classic_ns = contest.of_classic.ns_each();
    result.Add("c_pair_ns", c_ns);
    result.Add("own_pair_ns", own_ns);
    result.Add("own_reserve_ns", contest.of_own_reserve.ns_each());
    result.Add("own_batch_drain_ns", contest.of_own_batch.ns_each());
    result.Add("inline_pair_ns", inline_ns);
    const double in_place_ns = contest.of_classic_in_place.ns_each();
    result.Add("classic_pair_ns", classic_ns);
    result.Add("classic_in_place_ns", in_place_ns);
    result.Add("c_to_inline", c_ns / inline_ns);
    result.Add("own_to_inline", own_ns / inline_ns);
    result.Add("c_to_classic", c_ns / classic_ns);
    result.Add("c_to_classic_in_place", c_ns / in_place_ns);
    result.Add("own_to_classic_in_place", own_ns / in_place_ns);
  }
  return result;
}

}  // namespace ombus::tools

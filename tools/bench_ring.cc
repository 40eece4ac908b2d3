// The modes of `ombus bench` that need no socket.
#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/bench.h"
#include "tools/bench_content.h"
#include "tools/bench_process.h"
#include "tools/bench_stream.h"
#include "tools/cpu.h"
#include "tools/order_flow.h"

namespace ombus::tools {
namespace {

Status Lost(const std::string& mode, uint64_t got, uint64_t wanted, uint64_t wrong) {
  if (got == wanted && wrong == 0) return {};
  return {StatusCode::kCorrupt, "bench \"" + mode + "\": " + std::to_string(wanted - got) +
                                    " records lost, " + std::to_string(wrong) +
                                    " wrong; please report this"};
}

void AddRate(BenchResult* result, uint64_t records, uint64_t ns) {
  const double each = static_cast<double>(ns) / static_cast<double>(records);
  result->Add("records_per_s", 1e9 / each);
  result->Add("ns_per_record", each);
}

struct Ends {
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Consumer> consumer;
};

Result<Ends> OpenEnds(const BenchOptions& options, uint32_t payload_bytes, bool with_consumer) {
  Ends ends;
  if (Status pinned = PinToCpu(options.cpu(0)); !pinned.ok()) return pinned;
  auto producer = Producer::Create(BenchStream(options, payload_bytes));
  if (!producer.ok()) return producer.status();
  ends.producer = std::move(*producer);
  if (!with_consumer) return ends;
  auto consumer = Consumer::Open({.name = options.stream});
  if (!consumer.ok()) return consumer.status();
  ends.consumer = std::move(*consumer);
  return ends;
}

// One record in, one record out.
uint64_t RunSingles(const BenchOptions& options, Ends* ends, BenchReader* reader) {
  BenchWriter writer(options.size);
  Record record;
  const uint64_t start = NowNs();
  for (uint64_t i = 0; i < options.shm_iters; ++i) {
    const Record out = writer.Next();
    while (ends->producer->TryPublish(out) != PublishResult::kOk) ends->consumer->Release();
    if (ends->consumer->Poll(&record) == PollResult::kRecord) reader->Check(record);
  }
  return NowNs() - start;
}

// A batch in, a drain out.
uint64_t RunBatches(const BenchOptions& options, Ends* ends, BenchReader* reader) {
  BenchWriter writer(options.size);
  std::array<Record, BenchWriter::kBatchMax> records;
  uint64_t sent = 0;
  const uint64_t start = NowNs();
  while (sent < options.shm_iters) {
    const size_t count = std::min<uint64_t>(options.shm_batch, options.shm_iters - sent);
    for (size_t i = 0; i < count; ++i) records[i] = writer.Next();
    sent += count;
    size_t published = 0;
    while (ends->producer->TryPublishBatch(std::span<const Record>(records).first(count),
                                           &published) != PublishResult::kOk) {
      ends->consumer->Release();
    }
    (void)ends->consumer->Drain(count, [reader](const Record& got) { reader->Check(got); });
  }
  return NowNs() - start;
}

}  // namespace

ProducerOptions BenchStream(const BenchOptions& options, uint32_t payload_bytes) {
  ProducerOptions stream;
  stream.name = options.stream;
  stream.capacity = options.capacity;
  // A power of two keeps slots from sharing lines.
  stream.slot_size = std::min(std::bit_ceil(payload_bytes + kSlotHeaderBytes), kSlotBytesMax);
  return stream;
}

Result<BenchResult> BenchShm(const BenchOptions& options) {
  BenchResult result{"shm",
                     std::to_string(options.size) + "-byte records, one thread, batches of " +
                         std::to_string(options.shm_batch),
                     {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    auto ends = OpenEnds(options, options.size, true);
    if (!ends.ok()) return ends.status();
    BenchReader reader(options.size);
    const uint64_t ns = options.shm_batch == 1 ? RunSingles(options, &*ends, &reader)
                                               : RunBatches(options, &*ends, &reader);
    Status lost = Lost("shm", reader.records(), options.shm_iters, reader.wrong());
    if (!lost.ok()) return lost;
    AddRate(&result, options.shm_iters, ns);
  }
  return result;
}

Result<BenchResult> BenchShmMixed(const BenchOptions& options) {
  BenchResult result{"shm-mixed",
                     "order flow, one thread, single records; sequence, size and type are checked",
                     {}};
  const OrderFlow flow(1);
  // Made before the clock runs: what is measured is the ring.
  constexpr size_t kMade = 4096;
  std::vector<std::array<unsigned char, kOrderBytesMax>> payloads(kMade);
  std::vector<Record> records(kMade);
  for (size_t i = 0; i < kMade; ++i) {
    const uint16_t size = flow.Fill(i, payloads[i].data());
    records[i] = {i, payloads[i].data(), size, flow.TypeOf(i), 0};
  }
  for (uint32_t run = 0; run < options.runs; ++run) {
    auto ends = OpenEnds(options, kOrderBytesMax, true);
    if (!ends.ok()) return ends.status();
    uint64_t received = 0, wrong = 0;
    Record record;
    const uint64_t start = NowNs();
    for (uint64_t i = 0; i < options.shm_iters; ++i) {
      Record out = records[i % kMade];
      out.wal_seq = i + 1;
      while (ends->producer->TryPublish(out) != PublishResult::kOk) ends->consumer->Release();
      if (ends->consumer->Poll(&record) != PollResult::kRecord) continue;
      ++received;
      wrong += record.wal_seq != i + 1 || record.size != out.size || record.type != out.type;
    }
    const uint64_t ns = NowNs() - start;
    Status lost = Lost("shm-mixed", received, options.shm_iters, wrong);
    if (!lost.ok()) return lost;
    AddRate(&result, options.shm_iters, ns);
  }
  return result;
}

Result<BenchResult> BenchPub(const BenchOptions& options) {
  BenchResult result{"pub", std::to_string(options.size) + "-byte records, no consumer", {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    auto ends = OpenEnds(options, options.size, false);
    if (!ends.ok()) return ends.status();
    BenchWriter writer(options.size);
    uint64_t published = 0;
    const uint64_t start = NowNs();
    for (uint64_t i = 0; i < options.shm_iters; ++i) {
      published += ends->producer->TryPublish(writer.Next()) == PublishResult::kOk;
    }
    const uint64_t ns = NowNs() - start;
    Status lost = Lost("pub", published, options.shm_iters, 0);
    if (!lost.ok()) return lost;
    AddRate(&result, options.shm_iters, ns);
  }
  return result;
}

Result<BenchResult> BenchPoll(const BenchOptions& options) {
  BenchResult result{
      "poll", std::to_string(options.size) + "-byte records, a full ring at a time", {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    auto ends = OpenEnds(options, options.size, true);
    if (!ends.ok()) return ends.status();
    BenchWriter writer(options.size);
    BenchReader reader(options.size);
    uint64_t ns = 0;
    const uint32_t capacity = ends->producer->capacity();
    for (uint64_t sent = 0; sent < options.shm_iters;) {
      while (sent < options.shm_iters && sent - reader.records() < capacity) {
        if (ends->producer->TryPublish(writer.Next()) != PublishResult::kOk) {
          return Lost("poll", reader.records(), sent + 1, 0);
        }
        ++sent;
      }
      Record record;
      const uint64_t start = NowNs();
      while (ends->consumer->Poll(&record) == PollResult::kRecord) reader.Check(record);
      ns += NowNs() - start;
      ends->consumer->Release();
    }
    Status lost = Lost("poll", reader.records(), options.shm_iters, reader.wrong());
    if (!lost.ok()) return lost;
    AddRate(&result, options.shm_iters, ns);
  }
  return result;
}

Result<BenchResult> BenchIpc(const BenchOptions& options) {
  BenchResult result{"ipc",
                     std::to_string(options.size) + "-byte records, two processes, batches of " +
                         std::to_string(options.shm_batch),
                     {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    BenchProcesses processes;
    const uint64_t deadline = NowNs() + options.timeout_ns;
    auto producer = Producer::Create(BenchStream(options, options.size));
    if (!producer.ok()) return producer.status();
    Status status = processes.Start(options.cpu(1), [&options](Meeting& meeting) -> Status {
      auto consumer = Consumer::Open({.name = options.stream});
      if (!consumer.ok()) return consumer.status();
      ArriveAndWait(meeting);
      BenchReader reader(options.size);
      while (reader.records() < options.shm_iters) {
        const BatchResult got =
            (*consumer)->Drain(4096, [&reader](const Record& record) { reader.Check(record); });
        if (got.end == PollResult::kClosed) break;
      }
      meeting.end_ns = NowNs();
      return Lost("ipc", reader.records(), options.shm_iters, reader.wrong());
    });
    if (status.ok()) status = processes.WaitReady(1, deadline);
    if (status.ok()) status = PinToCpu(options.cpu(0));
    if (!status.ok()) return status;
    processes.meeting().go = 1;
    const uint64_t start = NowNs();
    status = PublishBenchRecords(options, options.shm_iters, options.shm_batch, producer->get());
    if (status.ok()) status = processes.Join(deadline);
    if (!status.ok()) return status;
    AddRate(&result, options.shm_iters, processes.meeting().end_ns - start);
  }
  return result;
}

Status PublishBenchRecords(const BenchOptions& options, uint64_t count, uint32_t batch,
                           Producer* producer) {
  const uint64_t wait_ns = options.timeout_ns;
  const Status stuck(StatusCode::kUnavailable,
                     "bench \"publish\": ETIMEDOUT; the consumer does not read");
  if (batch <= 1) {
    BenchWriter writer(options.size);
    for (uint64_t i = 0; i < count; ++i) {
      if (producer->Publish(writer.Next(), wait_ns) != PublishResult::kOk) return stuck;
    }
    return {};
  }
  BenchWriter writer(options.size);
  std::array<Record, BenchWriter::kBatchMax> records;
  for (uint64_t sent = 0; sent < count;) {
    const size_t now = std::min<uint64_t>(batch, count - sent);
    for (size_t i = 0; i < now; ++i) records[i] = writer.Next();
    sent += now;
    if (producer->PublishBatch(std::span<const Record>(records).first(now), wait_ns) !=
        PublishResult::kOk) {
      return stuck;
    }
  }
  return {};
}

}  // namespace ombus::tools

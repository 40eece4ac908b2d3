// What a record costs from publish to poll: in one thread (the instructions alone; the two
// yardsticks, bare cache lines and a classic ring, beside it) and between two processes (the cache
// lines too). Run it on an idle machine; two processes need two cores. `ombus bench --mode limits`
// gives the ratios, yardsticks between two processes included.
#include <benchmark/benchmark.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/ring_limits_yardsticks.h"
#include "tools/shared_memory.h"

namespace ombus {
namespace {

struct Pair {
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Consumer> consumer;
};

std::string Name() { return "/ombus-ring-bench-" + std::to_string(getpid()); }

std::unique_ptr<Producer> MakeProducer(benchmark::State& state, bool crc32c = false) {
  auto made = Producer::Create({.name = Name(), .crc32c = crc32c});
  if (!made.ok()) state.SkipWithError(made.status().message().c_str());
  return made.ok() ? std::move(*made) : nullptr;
}

bool MakePair(benchmark::State& state, Pair* pair, bool crc32c = false) {
  pair->producer = MakeProducer(state, crc32c);
  if (pair->producer == nullptr) return false;
  auto opened = Consumer::Open({.name = Name()});
  if (!opened.ok()) {
    state.SkipWithError(opened.status().message().c_str());
    return false;
  }
  pair->consumer = std::move(*opened);
  return true;
}

void PublishPollOneThread(benchmark::State& state, bool crc32c) {
  Pair pair;
  if (!MakePair(state, &pair, crc32c)) return;
  const auto size = static_cast<uint16_t>(state.range(0));
  char payload[256] = {};
  uint64_t wal_seq = 0;
  Record record;
  for (auto _ : state) {
    (void)pair.producer->TryPublish({.wal_seq = wal_seq++, .payload = payload, .size = size});
    if (pair.consumer->Poll(&record) != PollResult::kRecord) state.SkipWithError("lost");
    benchmark::DoNotOptimize(record);
  }
  state.SetItemsProcessed(state.iterations());
}

void OneThread(benchmark::State& state) { PublishPollOneThread(state, false); }
void OneThreadSealed(benchmark::State& state) { PublishPollOneThread(state, true); }
BENCHMARK(OneThread)->Arg(8)->Arg(64)->Arg(200);
BENCHMARK(OneThreadSealed)->Arg(64)->Arg(200);

void OneThreadBare(benchmark::State& state) {
  const tools::RingShape shape;
  tools::SharedMemory shared(shape.bytes());
  const tools::BareLines lines(shared.memory(), shape);
  const auto size = static_cast<uint16_t>(state.range(0));
  char payload[256] = {};
  uint64_t position = 0, sum = 0;
  for (auto _ : state) {
    lines.Store<false>(position, payload, size);
    benchmark::ClobberMemory();  // the loads are to happen
    sum += lines.Load(position++, size);
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(OneThreadBare)->Arg(8)->Arg(64)->Arg(200);

void OneThreadClassic(benchmark::State& state) {
  const tools::RingShape shape;
  tools::SharedMemory shared(shape.bytes());
  tools::ClassicRing ring(shared.memory(), shape);
  ring.Join();
  const auto size = static_cast<uint16_t>(state.range(0));
  char payload[256] = {};
  uint64_t wal_seq = 0;
  Record record;
  for (auto _ : state) {
    (void)ring.Publish({.wal_seq = wal_seq++, .payload = payload, .size = size});
    if (!ring.Poll(&record)) state.SkipWithError("lost");
    benchmark::DoNotOptimize(record);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(OneThreadClassic)->Arg(8)->Arg(64)->Arg(200);

void OneThreadReserveCommit(benchmark::State& state) {
  Pair pair;
  if (!MakePair(state, &pair)) return;
  uint64_t wal_seq = 0;
  Record record;
  for (auto _ : state) {
    std::memcpy(pair.producer->TryReserve(), &wal_seq, sizeof wal_seq);
    (void)pair.producer->Commit(wal_seq, 1, sizeof wal_seq);
    ++wal_seq;
    if (pair.consumer->Poll(&record) != PollResult::kRecord) state.SkipWithError("lost");
    benchmark::DoNotOptimize(record);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(OneThreadReserveCommit);

void OneThreadBatchDrain(benchmark::State& state) {
  Pair pair;
  if (!MakePair(state, &pair)) return;
  const auto size = static_cast<uint16_t>(state.range(0));
  char payload[256] = {};
  std::vector<Record> batch(32);
  uint64_t wal_seq = 0, sum = 0;
  for (auto _ : state) {
    for (Record& record : batch) record = {.wal_seq = wal_seq++, .payload = payload, .size = size};
    (void)pair.producer->TryPublishBatch(batch, nullptr);
    (void)pair.consumer->Drain(32, [&](const Record& record) { sum += record.wal_seq; });
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * 32);
}
BENCHMARK(OneThreadBatchDrain)->Arg(8)->Arg(64);

void PinTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

// A second process that reads everything until the stream ends; exit code 0: nothing was lost.
pid_t StartReader(const std::string& name, int ready_fd) {
  const pid_t child = fork();
  if (child != 0) return child;
  PinTo(1);
  auto opened = Consumer::Open({.name = name});
  if (!opened.ok()) _exit(2);
  Consumer& consumer = **opened;
  (void)!write(ready_fd, "", 1);
  bool gaps = false;
  uint64_t sum = 0;
  for (;;) {
    const BatchResult batch = consumer.Drain(4096, [&](const Record& record) {
      gaps |= record.flags != 0;
      sum += *static_cast<const uint64_t*>(record.payload);
    });
    if (batch.count == 0 && batch.end == PollResult::kClosed) break;
  }
  benchmark::DoNotOptimize(sum);
  _exit(gaps ? 1 : 0);
}

template <typename Publish>
void TwoProcesses(benchmark::State& state, Publish publish) {
  auto producer = MakeProducer(state);
  int ready[2];
  if (producer == nullptr || pipe(ready) != 0) return;
  const pid_t reader = StartReader(producer->name(), ready[1]);
  close(ready[1]);
  char byte;
  (void)!read(ready[0], &byte, 1);
  close(ready[0]);
  cpu_set_t before;
  (void)sched_getaffinity(0, sizeof before, &before);
  PinTo(0);
  uint64_t wal_seq = 0;
  for (auto _ : state) publish(*producer, &wal_seq);
  producer->Close();
  (void)sched_setaffinity(0, sizeof before, &before);
  int status = 0;
  waitpid(reader, &status, 0);
  if (status != 0) state.SkipWithError("the reader missed records");
  state.SetItemsProcessed(static_cast<int64_t>(wal_seq));
}

void TwoProcessesSingle(benchmark::State& state) {
  char payload[256] = {};
  const auto size = static_cast<uint16_t>(state.range(0));
  TwoProcesses(state, [&](Producer& producer, uint64_t* wal_seq) {
    (void)producer.Publish({.wal_seq = (*wal_seq)++, .payload = payload, .size = size});
  });
}
BENCHMARK(TwoProcessesSingle)->Arg(8)->Arg(64)->Arg(200)->UseRealTime();

void TwoProcessesBatch(benchmark::State& state) {
  char payload[256] = {};
  const auto size = static_cast<uint16_t>(state.range(0));
  std::vector<Record> batch(32);
  TwoProcesses(state, [&](Producer& producer, uint64_t* wal_seq) {
    for (Record& record : batch) {
      record = {.wal_seq = (*wal_seq)++, .payload = payload, .size = size};
    }
    (void)producer.PublishBatch(batch);
  });
}
BENCHMARK(TwoProcessesBatch)->Arg(8)->Arg(64)->UseRealTime();

}  // namespace
}  // namespace ombus

BENCHMARK_MAIN();

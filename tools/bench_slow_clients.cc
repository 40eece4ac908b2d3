// ombus bench --mode slow-clients: what clients that have stopped reading cost those that read.
// Records at a fixed rate, open loop, to --clients clients of which some never read; against the
// same server with the healthy ones alone. The alternating blocks of a run are processes and
// connections of their own.
//
// Measured is from when the stalled ones stand still: before that a server cannot tell them from
// others, and sends to all. In the measured time they reach the mark, and are cut and closed or
// made to skip.
#include <dirent.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "net/frame.h"
#include "ombus/server.h"
#include "tools/bench.h"
#include "tools/bench_process.h"
#include "tools/cpu.h"
#include "tools/latency_clients.h"
#include "tools/pacer.h"

namespace ombus::tools {
namespace {

constexpr uint64_t kHeadStartNs = 1'000'000;
constexpr uint64_t kSettledNs = 2'000'000;
constexpr uint32_t kDrainMs = 200;  // less than the default, for the closes to be within a second
constexpr uint64_t kStretches = 8;  // of what a client may lag; in each it is seen who takes bytes

// Slots of Meeting::extra.
enum : size_t { kLast, kCuts, kSkips, kClosed, kTurnCpuMax, kP50, kP99, kP999, kMax };

struct Block {
  double rate;  // records a second at each healthy client
  double cuts, skips, closed;
  double turn_cpu_max;
  double p50, p99, p999, max;
};

// Of this thread: what others on the host take from it does not count.
uint64_t CpuNs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint32_t OpenDescriptors() {
  uint32_t count = 0;
  DIR* const list = opendir("/proc/self/fd");
  if (list == nullptr) return 0;
  while (readdir(list) != nullptr) ++count;
  closedir(list);
  return count;
}

Status Late() {
  return {StatusCode::kUnavailable,
          "bench \"slow-clients\": ETIMEDOUT; the healthy clients do not keep that rate up; lower "
          "--rate"};
}

class SlowSender {
 public:
  SlowSender(const BenchOptions& options, uint32_t stalled, Meeting* meeting)
      : options_(options),
        stalled_(stalled),
        healthy_(options.clients - options.stalled_clients),
        meeting_(*meeting),
        deadline_ns_(NowNs() + options.timeout_ns),
        stretch_(std::max<uint64_t>(
            1, options.log_bytes / 4 * 3 / kStretches / net::FrameBytes(options.size))),
        record_(options.size) {}

  Status Run() {
    if (Status opened = Open(); !opened.ok()) return opened;
    if (Status filled = FillUntilTheyStand(); !filled.ok()) return filled;
    if (Status sent = Measure(); !sent.ok()) return sent;
    meeting_.extra[kLast].store(wal_seq_, std::memory_order_release);
    while (meeting_.end_ns.load(std::memory_order_acquire) == 0) {
      if (Status polled = server_->PollIo(0); !polled.ok()) return polled;
      if (NowNs() > deadline_ns_) return Late();
    }
    return AllReachedTheMark();
  }

 private:
  Status Open() {
    auto server = Server::Create({.max_clients = options_.clients,
                                  .log_bytes = options_.log_bytes,
                                  .slow_client_policy = options_.slow_client_policy,
                                  .send_buffer_bytes = options_.send_buffer_bytes,
                                  .drain_ms = kDrainMs,
                                  .backend = options_.backend,
                                  .io = options_.io});
    if (!server.ok()) return server.status();
    server_ = std::move(*server);
    meeting_.port.store(server_->port(), std::memory_order_release);
    while (server_->client_count() < healthy_ + stalled_) {
      if (Status polled = server_->PollIo(1'000'000); !polled.ok()) return polled;
      if (NowNs() > deadline_ns_) return Late();
    }
    descriptors_ = OpenDescriptors();
    return {};
  }

  // In stretches, until in one of them nobody but the healthy took anything to speak of.
  Status FillUntilTheyStand() {
    const uint64_t stretch = stretch_ * net::FrameBytes(options_.size);
    uint64_t before = 0;
    if (Status settled = Settle(&before); !settled.ok()) return settled;
    while (true) {
      if (Status sent = Send(stretch_, false); !sent.ok()) return sent;
      uint64_t after = 0;
      if (Status settled = Settle(&after); !settled.ok()) return settled;
      if (after - before <= healthy_ * stretch + stalled_ * stretch / 16) return {};
      before = after;
    }
  }

  // Turns until nobody has taken anything for a while. *sent: bytes to all, so far.
  Status Settle(uint64_t* sent) {
    uint64_t since_ns = NowNs();
    for (*sent = server_->stats().bytes_sent; NowNs() - since_ns < kSettledNs;) {
      if (Status polled = server_->PollIo(0); !polled.ok()) return polled;
      const uint64_t now_sent = server_->stats().bytes_sent;
      if (now_sent != *sent) since_ns = NowNs();
      *sent = now_sent;
      if (since_ns > deadline_ns_) return Late();
    }
    return {};
  }

  Status Measure() {
    meeting_.start_ns.store(NowNs() + kHeadStartNs, std::memory_order_relaxed);
    turn_cpu_max_ns_ = 0;
    Status sent = Send(options_.tcp_iters, true);
    meeting_.extra[kTurnCpuMax] = turn_cpu_max_ns_;
    meeting_.extra[kClosed] = descriptors_ - std::min(descriptors_, OpenDescriptors());
    return sent;
  }

  // At the rate. A turn is for what is due, but no more than a stretch: who falls behind must not
  // overrun the healthy.
  Status Send(uint64_t count, bool measured) {
    const uint64_t start_ns = NowNs() + kHeadStartNs;
    const Pacer pacer(start_ns, options_.rate);
    uint64_t turned_cpu_ns = CpuNs();
    for (uint64_t sent = 0; sent < count;) {
      const uint64_t now_ns = NowNs();
      const uint64_t cpu_ns = CpuNs();
      turn_cpu_max_ns_ = std::max(turn_cpu_max_ns_, cpu_ns - turned_cpu_ns);
      turned_cpu_ns = cpu_ns;
      const uint64_t due = pacer.Due(now_ns, sent, std::min(stretch_, count - sent));
      for (uint64_t i = 0; i < due; ++i) {
        const Record record = record_.Make(++wal_seq_, measured ? pacer.DueAtNs(sent + i) : 0);
        if (Status status = Broadcast(record); !status.ok()) return status;
      }
      if (Status polled = server_->PollIo(0); !polled.ok()) return polled;
      sent += due;
      if (now_ns > deadline_ns_) return Late();
    }
    return {};
  }

  Status Broadcast(const Record& record) {
    while (server_->Broadcast(record) == BroadcastResult::kFull) {
      if (Status polled = server_->PollIo(0); !polled.ok()) return polled;
      if (NowNs() > deadline_ns_) return Late();
    }
    return {};
  }

  Status AllReachedTheMark() {
    const ServerStats stats = server_->stats();
    meeting_.extra[kCuts] = stats.slow_client_drops;
    meeting_.extra[kSkips] = stats.slow_client_skips;
    const uint64_t reached = stats.slow_client_drops + stats.slow_client_skips;
    const uint64_t closed = meeting_.extra[kClosed];
    const bool cuts = options_.slow_client_policy == SlowClientPolicy::kDisconnect;
    if (reached >= stalled_ && (!cuts || closed >= stalled_)) return {};
    return {StatusCode::kInvalidArgument,
            "bench \"slow-clients\": EINVAL; of " + std::to_string(stalled_) + " stalled clients " +
                std::to_string(reached) + " reached the mark and " + std::to_string(closed) +
                " were closed in the measured time; raise --tcp-iters or lower --log-bytes"};
  }

  const BenchOptions& options_;
  const uint32_t stalled_, healthy_;
  Meeting& meeting_;
  const uint64_t deadline_ns_;
  const uint64_t stretch_;  // records
  DueRecord record_;
  std::unique_ptr<Server> server_;
  uint64_t wal_seq_ = 0;
  uint32_t descriptors_ = 0;      // once all are connected
  uint64_t turn_cpu_max_ns_ = 0;  // of a turn and what is broadcast before it
};

Status Receive(const BenchOptions& options, uint32_t stalled, Meeting& meeting) {
  const uint64_t deadline_ns = NowNs() + options.timeout_ns;
  while (meeting.port.load(std::memory_order_acquire) == 0) {
    if (NowNs() > deadline_ns || meeting.failed != 0) return {};  // the sender says so better
    SleepNs(100'000);
  }
  const auto port = static_cast<uint16_t>(meeting.port);
  std::vector<net::UniqueFd> never_read;  // before the healthy ones: the server meets them first
  for (uint32_t i = 0; i < stalled; ++i) {
    Result<net::UniqueFd> socket = ConnectLoopback(port);
    if (!socket.ok()) return socket.status();
    never_read.push_back(std::move(*socket));
  }
  const uint32_t healthy = options.clients - options.stalled_clients;
  LatencyClients clients("slow-clients", options.size);
  if (Status connected = clients.Connect(port, healthy); !connected.ok()) return connected;
  uint64_t came = 0;
  while (true) {
    const Result<uint64_t> records = clients.ReadAll();
    if (!records.ok()) return records.status();
    came += *records;
    if (*records != 0) continue;
    const uint64_t last = meeting.extra[kLast].load(std::memory_order_acquire);
    if (last != 0 && came == last * healthy) break;
    if (NowNs() > deadline_ns || meeting.failed != 0) return {};
    sched_yield();
  }
  const Histogram& times = clients.times();
  meeting.extra[kP50] = times.Percentile(50);
  meeting.extra[kP99] = times.Percentile(99);
  meeting.extra[kP999] = times.Percentile(99.9);
  meeting.extra[kMax] = times.max();
  meeting.end_ns.store(NowNs(), std::memory_order_release);
  return {};
}

Result<Block> RunBlock(const BenchOptions& options, uint32_t stalled) {
  BenchProcesses processes;
  const uint64_t deadline = NowNs() + options.timeout_ns;
  Status status = processes.Start(options.cpu(0), [&](Meeting& meeting) {
    return SlowSender(options, stalled, &meeting).Run();
  });
  if (status.ok()) {
    status = processes.Start(options.cpu(1),
                             [&](Meeting& meeting) { return Receive(options, stalled, meeting); });
  }
  if (status.ok()) status = processes.Join(deadline);
  if (!status.ok()) return status;
  const Meeting& meeting = processes.meeting();
  const auto figure = [&](size_t slot) { return static_cast<double>(meeting.extra[slot].load()); };
  const auto records = static_cast<double>(options.tcp_iters);
  return Block{.rate = records * 1e9 / static_cast<double>(meeting.end_ns - meeting.start_ns),
               .cuts = figure(kCuts),
               .skips = figure(kSkips),
               .closed = figure(kClosed),
               .turn_cpu_max = figure(kTurnCpuMax),
               .p50 = figure(kP50),
               .p99 = figure(kP99),
               .p999 = figure(kP999),
               .max = figure(kMax)};
}

void AddRun(const Block& with, const Block& alone, BenchResult* result) {
  result->Add("records_per_s", with.rate);
  result->Add("alone_records_per_s", alone.rate);
  result->Add("p50_ns", with.p50);
  result->Add("alone_p50_ns", alone.p50);
  result->Add("p99_ns", with.p99);
  result->Add("alone_p99_ns", alone.p99);
  result->Add("p99.9_ns", with.p999);
  result->Add("alone_p99.9_ns", alone.p999);
  result->Add("max_ns", with.max);
  result->Add("alone_max_ns", alone.max);
  result->Add("turn_cpu_max_ns", with.turn_cpu_max);
  result->Add("alone_turn_cpu_max_ns", alone.turn_cpu_max);
  result->Add("cuts", with.cuts);
  result->Add("closed", with.closed);
  result->Add("skips", with.skips);
  result->Add("ratio_rate", with.rate / alone.rate);
  result->Add("ratio_p50", with.p50 / std::max(1.0, alone.p50));
  result->Add("ratio_p99", with.p99 / std::max(1.0, alone.p99));
}

}  // namespace

Result<BenchResult> BenchSlowClients(const BenchOptions& options) {
  if (options.stalled_clients >= options.clients) {
    return Status(
        StatusCode::kInvalidArgument,
        "bench \"slow-clients\": EINVAL; " + std::to_string(options.stalled_clients) + " of " +
            std::to_string(options.clients) +
            " clients stalled: none is left to measure; lower --stalled or raise --clients");
  }
  const bool cut = options.slow_client_policy == SlowClientPolicy::kDisconnect;
  BenchResult result{"slow-clients",
                     std::string(cut ? "disconnect" : "skip") + ", " +
                         std::to_string(options.stalled_clients) + " of " +
                         std::to_string(options.clients) + " clients stalled, " +
                         std::to_string(options.size) + "-byte records at " +
                         std::to_string(options.rate) + "/s, against the others alone",
                     {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    Block blocks[2] = {};  // with the stalled ones, and alone
    for (uint32_t i = 0; i < 2; ++i) {
      const uint32_t which = (i + run) % 2;
      const Result<Block> block = RunBlock(options, which == 0 ? options.stalled_clients : 0);
      if (!block.ok()) return block.status();
      blocks[which] = *block;
    }
    AddRun(blocks[0], blocks[1], &result);
  }
  return result;
}

}  // namespace ombus::tools

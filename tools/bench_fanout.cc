// ombus bench --mode fanout: one thread sends to many clients, as a server of ombus over io_uring
// and epoll, as the usual server with a buffer per client, and as bare sends with nothing around
// them, of one window or of new ones. Blocks of all alternate in one run, each over connections of
// its own, so that what the machine does meanwhile meets all of them; ratios are taken within a
// run.
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "net/backend_select.h"
#include "net/frame.h"
#include "tools/bench.h"
#include "tools/bench_process.h"
#include "tools/cpu.h"
#include "tools/fanout_board.h"
#include "tools/fanout_receiver.h"
#include "tools/fanout_senders.h"

namespace ombus::tools {
namespace {

constexpr uint64_t kSparePorts = 64;  // descriptors that are no clients

uint64_t ThreadCpuNs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::vector<Contender> ContendersOf(const BenchOptions& options) {
  std::vector<Contender> contenders = {Contender::kBare, Contender::kEncoded, Contender::kClassic};
  const bool uring = options.backend != BackendChoice::kEpoll;
  if (uring && (options.backend == BackendChoice::kUring || net::ProbeUring().ok())) {
    contenders.push_back(Contender::kUring);
  }
  if (options.backend != BackendChoice::kUring) contenders.push_back(Contender::kEpoll);
  return contenders;
}

bool IsOmbus(Contender contender) { return contender >= Contender::kUring; }

std::unique_ptr<FanoutSender> NewSender(Contender contender) {
  switch (contender) {
    case Contender::kBare:
      return NewBareSender();
    case Contender::kEncoded:
      return NewEncodedSender();
    case Contender::kClassic:
      return NewClassicSender();
    case Contender::kUring:
      return NewOmbusSender(BackendChoice::kUring);
    case Contender::kEpoll:
      return NewOmbusSender(BackendChoice::kEpoll);
  }
  return nullptr;
}

// Each process needs a descriptor per client and contender.
Status RaiseDescriptorLimit(const BenchOptions& options, size_t contenders) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const uint64_t needed =
      contenders * options.clients + 2 * uint64_t{options.idle_clients} + kSparePorts;
  if (limit.rlim_max < needed) {
    return {StatusCode::kResourceExhausted,
            "bench \"fanout\": EMFILE; " + std::to_string(options.clients) + " clients need " +
                std::to_string(needed) + " descriptors and the hard limit is " +
                std::to_string(limit.rlim_max) + "; raise ulimit -Hn, or give fewer clients"};
  }
  if (limit.rlim_cur >= needed) return {};
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  return ErrnoStatus("setrlimit", "RLIMIT_NOFILE", errno, "raise ulimit -n");
}

// The sending side: all contenders, one at a time.
class SendingSide {
 public:
  SendingSide(const BenchOptions& options, FanoutBoard* board)
      : options_(options), contenders_(ContendersOf(options)), board_(*board) {}

  Status Run() {
    setting_ = {.clients = options_.clients,
                .window_frames = options_.window_frames,
                .payload_bytes = options_.size,
                .idle_clients = options_.idle_clients,
                .log_bytes = options_.log_bytes,
                .io = options_.io,
                .send_buffer_bytes = options_.send_buffer_bytes,
                .deadline_ns = NowNs() + options_.timeout_ns};
    for (const Contender contender : contenders_) {
      if (Status opened = Open(contender); !opened.ok()) return opened;
    }
    Status status = Calibrate();
    for (uint32_t run = 0; status.ok() && run < options_.runs; ++run) status = RunOnce(run);
    board_.active.store(kAllDone, std::memory_order_release);
    return status;
  }

 private:
  Status Open(Contender contender) {
    const auto index = static_cast<size_t>(contender);
    const uint64_t before = HeapBytes();
    senders_[index] = NewSender(contender);
    Status opened = senders_[index]->Open(setting_, &board_.ports[index]);
    const uint64_t sessions = options_.clients + (IsOmbus(contender) ? options_.idle_clients : 0);
    board_.heap_bytes[index] = (HeapBytes() - before) / sessions;
    return opened;
  }

  // Short blocks in turn, each contender first as often as the others.
  Status RunOnce(uint32_t run) {
    const size_t count = contenders_.size();
    for (size_t i = 0; i < count * count; ++i) {
      const Contender contender = contenders_[(i + i / count) % count];
      FanoutTotals& totals = board_.runs[run][static_cast<size_t>(contender)];
      if (Status ran = RunBlock(contender, windows_, &totals); !ran.ok()) return ran;
    }
    return {};
  }

  // How many windows make a block as long as asked for; and all connections get warm.
  Status Calibrate() {
    FanoutTotals totals{};
    for (windows_ = 1; windows_ < (1u << 20); windows_ *= 2) {
      totals = {};
      if (Status ran = RunBlock(Contender::kBare, windows_, &totals); !ran.ok()) return ran;
      if (totals.ns >= options_.block_ns / 2) break;
    }
    windows_ =
        std::max<uint64_t>(1, windows_ * options_.block_ns / std::max<uint64_t>(1, totals.ns));
    for (const Contender contender : contenders_) {
      if (Status ran = RunBlock(contender, windows_, &totals); !ran.ok()) return ran;
    }
    return {};
  }

  // From the first send until the last byte is at the last receiver.
  Status RunBlock(Contender contender, uint64_t windows, FanoutTotals* totals) {
    const auto index = static_cast<size_t>(contender);
    FanoutSender& sender = *senders_[index];
    const uint64_t frames = windows * options_.window_frames * options_.clients;
    const std::atomic<uint64_t>& received = board_.received[index];
    const uint64_t wanted = received + frames * net::FrameBytes(options_.size);
    board_.active.store(static_cast<uint32_t>(index) + 1, std::memory_order_release);
    const uint64_t calls = sender.system_calls(), cpu_ns = ThreadCpuNs(), start_ns = NowNs();
    for (uint64_t i = 0; i < windows; ++i) {
      if (Status sent = sender.SendWindow(); !sent.ok()) return sent;
    }
    if (Status flushed = sender.Flush(); !flushed.ok()) return flushed;
    totals->cpu_ns += ThreadCpuNs() - cpu_ns;
    totals->sending_ns += NowNs() - start_ns;
    totals->system_calls += sender.system_calls() - calls;
    while (received.load(std::memory_order_acquire) < wanted) {
      sched_yield();  // both sides may share a cpu
      if (NowNs() > setting_.deadline_ns) {
        return {StatusCode::kUnavailable,
                "bench \"fanout\": ETIMEDOUT; " + std::to_string(wanted - received) +
                    " bytes did not arrive; raise --timeout-s, and if it stays so report this"};
      }
    }
    totals->ns += NowNs() - start_ns;
    totals->frames += frames;
    return {};
  }

  const BenchOptions& options_;
  const std::vector<Contender> contenders_;
  FanoutBoard& board_;
  FanoutSetting setting_;
  std::unique_ptr<FanoutSender> senders_[kContenders];
  uint64_t windows_ = 1;
};

Status WaitForPort(const std::atomic<uint32_t>& port, const Meeting& meeting, uint64_t deadline_ns,
                   uint16_t* found) {
  while (port.load(std::memory_order_acquire) == 0) {
    if (NowNs() > deadline_ns || meeting.failed != 0) {
      return {StatusCode::kUnavailable, "bench \"fanout\": ETIMEDOUT; a sender did not start"};
    }
    SleepNs(100'000);
  }
  *found = static_cast<uint16_t>(port);
  return {};
}

class ReceivingSide {
 public:
  ReceivingSide(const BenchOptions& options, FanoutBoard* board, Meeting* meeting)
      : options_(options), board_(*board), meeting_(*meeting) {}

  Status Run() {
    const uint64_t deadline = NowNs() + options_.timeout_ns;
    for (const Contender contender : ContendersOf(options_)) {
      if (Status connected = Connect(contender, deadline); !connected.ok()) return connected;
    }
    while (true) {
      const uint32_t active = board_.active.load(std::memory_order_acquire);
      if (active == kAllDone) return {};
      if (active == kNobody) {
        if (meeting_.failed != 0) return {};
        SleepNs(100'000);
        continue;
      }
      const Result<uint64_t> got = receivers_[active - 1]->ReadAll();
      if (!got.ok()) {
        // A sender that is done closes its sockets, perhaps between the load above and the read.
        return board_.active.load(std::memory_order_acquire) == kAllDone ? Status() : got.status();
      }
      if (*got != 0) {
        board_.received[active - 1].fetch_add(*got, std::memory_order_release);
      } else {
        if (NowNs() > deadline) return {};  // the sender says so better
        sched_yield();
      }
    }
  }

 private:
  Status Connect(Contender contender, uint64_t deadline) {
    const auto index = static_cast<size_t>(contender);
    uint16_t port = 0;
    if (Status found = WaitForPort(board_.ports[index], meeting_, deadline, &port); !found.ok()) {
      return found;
    }
    const uint32_t wrap = contender == Contender::kBare ? options_.window_frames : 0;
    receivers_[index] = std::make_unique<FanoutReceiver>(options_.size, wrap, options_.check_all);
    FanoutReceiver& receiver = *receivers_[index];
    const uint32_t idle = IsOmbus(contender) ? options_.idle_clients : 0;
    if (Status connected = receiver.ConnectIdle(port, idle); !connected.ok()) return connected;
    return receiver.Connect(port, options_.clients, idle != 0);
  }

  const BenchOptions& options_;
  FanoutBoard& board_;
  Meeting& meeting_;
  std::unique_ptr<FanoutReceiver> receivers_[kContenders];
};

double Rate(const FanoutTotals& totals) {
  return static_cast<double>(totals.frames) * 1e9 / static_cast<double>(totals.ns);
}

void AddRun(const BenchOptions& options, const std::array<FanoutTotals, kContenders>& runs,
            const std::vector<Contender>& contenders, BenchResult* result) {
  const double frame_bytes = static_cast<double>(net::FrameBytes(options.size));
  for (const Contender contender : contenders) {
    const std::string name = kContenderNames[static_cast<size_t>(contender)];
    const FanoutTotals& totals = runs[static_cast<size_t>(contender)];
    const auto frames = static_cast<double>(totals.frames);
    result->Add(name + "_deliveries_per_s", Rate(totals));
    result->Add(name + "_gb_per_s", Rate(totals) * frame_bytes / 1e9);
    result->Add(name + "_sending_ns", static_cast<double>(totals.sending_ns) / frames);
    result->Add(name + "_cpu_ns", static_cast<double>(totals.cpu_ns) / frames);
    result->Add(name + "_calls_per_1000", static_cast<double>(totals.system_calls) * 1000 / frames);
    // To all clients.
    result->Add(name + "_calls_per_window", static_cast<double>(totals.system_calls) *
                                                options.window_frames * options.clients / frames);
  }
  const auto ratio = [&](const char* name, Contender over, Contender under) {
    const auto has = [&](Contender c) {
      return std::find(contenders.begin(), contenders.end(), c) != contenders.end();
    };
    if (!has(over) || !has(under)) return;
    result->Add(name,
                Rate(runs[static_cast<size_t>(over)]) / Rate(runs[static_cast<size_t>(under)]));
  };
  ratio("uring_to_bare", Contender::kUring, Contender::kBare);
  ratio("epoll_to_bare", Contender::kEpoll, Contender::kBare);
  ratio("uring_to_encoded", Contender::kUring, Contender::kEncoded);
  ratio("epoll_to_encoded", Contender::kEpoll, Contender::kEncoded);
  ratio("encoded_to_bare", Contender::kEncoded, Contender::kBare);
  // The most that any server can be of classic whose sends cost what bare ones do.
  ratio("bare_to_classic", Contender::kBare, Contender::kClassic);
  ratio("encoded_to_classic", Contender::kEncoded, Contender::kClassic);
  ratio("uring_to_classic", Contender::kUring, Contender::kClassic);
  ratio("epoll_to_classic", Contender::kEpoll, Contender::kClassic);
  ratio("uring_to_epoll", Contender::kUring, Contender::kEpoll);
}

}  // namespace

Result<BenchResult> BenchFanout(const BenchOptions& options) {
  if (options.runs > kFanoutRunsMax) {
    return Status(StatusCode::kInvalidArgument, "bench \"fanout\": EINVAL; give at most " +
                                                    std::to_string(kFanoutRunsMax) + " runs");
  }
  BenchResult result{
      "fanout",
      std::to_string(options.size) + "-byte records, " + std::to_string(options.clients) +
          (options.clients == 1 ? " client" : " clients") +
          (options.idle_clients == 0 ? ""
                                     : " and " + std::to_string(options.idle_clients) + " idle") +
          ", windows of " + std::to_string(options.window_frames) + " frames",
      {}};
  const std::vector<Contender> contenders = ContendersOf(options);
  if (Status raised = RaiseDescriptorLimit(options, contenders.size()); !raised.ok()) return raised;
  SharedFanoutBoard board;
  BenchProcesses processes;
  const uint64_t deadline = NowNs() + options.timeout_ns;
  Status status = processes.Start(options.cpu(0),
                                  [&](Meeting&) { return SendingSide(options, &*board).Run(); });
  if (status.ok()) {
    status = processes.Start(options.cpu(1), [&](Meeting& meeting) {
      return ReceivingSide(options, &*board, &meeting).Run();
    });
  }
  if (status.ok()) status = processes.Join(deadline);
  if (!status.ok()) return status;
  for (uint32_t run = 0; run < options.runs; ++run) {
    AddRun(options, board->runs[run], contenders, &result);
  }
  for (const Contender contender : contenders) {
    const auto index = static_cast<size_t>(contender);
    result.Add(std::string(kContenderNames[index]) + "_heap_bytes_per_client",
               static_cast<double>(board->heap_bytes[index]));
  }
  return result;
}

}  // namespace ombus::tools

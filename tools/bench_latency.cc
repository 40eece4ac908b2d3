// ombus bench --mode latency: open loop, records at a fixed rate to --clients clients, the time
// from when a record was due until a client has it. Two senders, in alternating blocks of one run:
//   ombus   a Server: all that is due is broadcast, then one turn sends it
//   single  send() of each record to each client, one after the other, as it is due
// Who falls behind is not forgiven: times count from the schedule, not from the send.
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "net/frame.h"
#include "net/socket.h"
#include "ombus/server.h"
#include "tools/bench.h"
#include "tools/bench_process.h"
#include "tools/cpu.h"
#include "tools/fanout_senders.h"
#include "tools/latency_clients.h"
#include "tools/pacer.h"

namespace ombus::tools {
namespace {

constexpr size_t kSenders = 2;
constexpr const char* kSenderNames[kSenders] = {"ombus", "single"};
constexpr uint64_t kBlocks = 4;  // of each, in a run
constexpr uint64_t kHeadStartNs = 1'000'000;

// Slots of Meeting::extra. Ports and figures have one per sender.
enum : size_t { kPort = 0, kActive = 2, kArrived = 3, kP50 = 4, kP99 = 6, kP999 = 8, kMax = 10 };
constexpr uint64_t kAllDone = ~uint64_t{0};  // of kActive; else 1 + block * kSenders + the sender

Status Late() {
  return {StatusCode::kUnavailable,
          "bench \"latency\": ETIMEDOUT; a sender cannot keep that rate up; lower --rate"};
}

uint64_t RecordsPerBlock(const BenchOptions& options) {
  return std::max<uint64_t>(1, options.tcp_iters / kBlocks);
}

class LatencySenders {
 public:
  LatencySenders(const BenchOptions& options, Meeting* meeting)
      : options_(options),
        meeting_(*meeting),
        deadline_ns_(NowNs() + options.timeout_ns),
        record_(options.size),
        frame_(net::FrameBytes(options.size)) {}

  Status Run() {
    if (Status opened = Open(); !opened.ok()) return opened;
    for (uint64_t block = 0; block < 2 * kBlocks; ++block) {
      if (Status ran = RunBlock(block, (block + block / 2) % kSenders); !ran.ok()) return ran;
    }
    meeting_.extra[kActive].store(kAllDone, std::memory_order_release);
    return {};
  }

 private:
  Status Open() {
    auto server = Server::Create({.max_clients = options_.clients,
                                  .slow_client_policy = SlowClientPolicy::kWait,
                                  .send_buffer_bytes = options_.send_buffer_bytes,
                                  .backend = options_.backend,
                                  .io = options_.io});
    if (!server.ok()) return server.status();
    server_ = std::move(*server);
    meeting_.extra[kPort].store(server_->port(), std::memory_order_release);
    while (server_->client_count() < options_.clients) {
      if (Status polled = server_->PollIo(1'000'000); !polled.ok()) return polled;
      if (NowNs() > deadline_ns_) return Late();
    }
    auto sockets = AcceptClients(options_.clients, deadline_ns_, [&](uint16_t port) {
      meeting_.extra[kPort + 1].store(port, std::memory_order_release);
    });
    if (!sockets.ok()) return sockets.status();
    sockets_ = std::move(*sockets);
    return {};
  }

  Status RunBlock(uint64_t block, size_t sender) {
    const uint64_t count = RecordsPerBlock(options_);
    const uint64_t arrived = meeting_.extra[kArrived];
    meeting_.extra[kActive].store(1 + block * kSenders + sender, std::memory_order_release);
    const Pacer pacer(NowNs() + kHeadStartNs, options_.rate);
    for (uint64_t sent = 0; sent < count;) {
      const uint64_t due = pacer.Due(NowNs(), sent, count - sent);
      for (uint64_t i = 0; i < due; ++i) {
        const Record record = record_.Make(++wal_seq_[sender], pacer.DueAtNs(sent + i));
        if (Status status = sender == 0 ? Broadcast(record) : SendToEach(record); !status.ok()) {
          return status;
        }
      }
      sent += due;
      if (sender != 0) continue;
      if (Status polled = server_->PollIo(0); !polled.ok()) return polled;
    }
    while (meeting_.extra[kArrived].load(std::memory_order_acquire) == arrived) {
      if (sender == 0) {
        if (Status polled = server_->PollIo(0); !polled.ok()) return polled;
      }
      sched_yield();
      if (NowNs() > deadline_ns_) return Late();
    }
    return {};
  }

  Status Broadcast(const Record& record) {
    while (server_->Broadcast(record) == BroadcastResult::kFull) {
      if (Status polled = server_->PollIo(100'000); !polled.ok()) return polled;
      if (NowNs() > deadline_ns_) return Late();
    }
    return {};
  }

  Status SendToEach(const Record& record) {
    net::EncodeFrame(frame_.data(), record);
    for (const net::UniqueFd& socket : sockets_) {
      if (Status sent = SendWhole(socket.get()); !sent.ok()) return sent;
    }
    return {};
  }
  Status SendWhole(int fd) {
    size_t sent = 0;
    while (true) {
      const ssize_t n =
          send(fd, frame_.data() + sent, frame_.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<size_t>(n);
      if (sent == frame_.size()) return {};
      if (n < 0 && errno != EAGAIN) return ErrnoStatus("send", "client", errno, "is it gone?");
      pollfd full{fd, POLLOUT, 0};
      if (poll(&full, 1, 100) == 0 && NowNs() > deadline_ns_) return Late();
    }
  }

  const BenchOptions& options_;
  Meeting& meeting_;
  const uint64_t deadline_ns_;
  DueRecord record_;
  std::vector<std::byte> frame_;
  uint64_t wal_seq_[kSenders] = {};
  std::unique_ptr<Server> server_;
  std::vector<net::UniqueFd> sockets_;
};

Status ReceiveLatencies(const BenchOptions& options, Meeting& meeting) {
  const uint64_t deadline_ns = NowNs() + options.timeout_ns;
  LatencyClients clients[kSenders] = {{"latency", options.size}, {"latency", options.size}};
  for (size_t i = 0; i < kSenders; ++i) {
    while (meeting.extra[kPort + i].load(std::memory_order_acquire) == 0) {
      if (NowNs() > deadline_ns || meeting.failed != 0) return Late();
      SleepNs(100'000);
    }
    const auto port = static_cast<uint16_t>(meeting.extra[kPort + i]);
    if (Status connected = clients[i].Connect(port, options.clients); !connected.ok()) {
      return connected;
    }
  }
  const uint64_t wanted = RecordsPerBlock(options) * options.clients;
  uint64_t came[kSenders] = {};
  while (true) {
    const uint64_t active = meeting.extra[kActive].load(std::memory_order_acquire);
    if (active == kAllDone) break;
    if (NowNs() > deadline_ns || meeting.failed != 0) return {};  // the sender says so better
    if (active == 0) {
      SleepNs(100'000);
      continue;
    }
    const size_t sender = (active - 1) % kSenders;
    const Result<uint64_t> records = clients[sender].ReadAll();
    if (!records.ok()) return records.status();
    if (*records == 0) sched_yield();
    came[sender] += *records;
    if (came[sender] < wanted) continue;
    came[sender] -= wanted;
    meeting.extra[kArrived].fetch_add(1, std::memory_order_acq_rel);
    // Not this block's sender again before it has seen that.
    while (meeting.extra[kActive].load(std::memory_order_acquire) == active &&
           NowNs() < deadline_ns && meeting.failed == 0) {
      sched_yield();
    }
  }
  for (size_t i = 0; i < kSenders; ++i) {
    const Histogram& times = clients[i].times();
    meeting.extra[kP50 + i] = times.Percentile(50);
    meeting.extra[kP99 + i] = times.Percentile(99);
    meeting.extra[kP999 + i] = times.Percentile(99.9);
    meeting.extra[kMax + i] = times.max();
  }
  return {};
}

}  // namespace

Result<BenchResult> BenchLatency(const BenchOptions& options) {
  BenchResult result{"latency",
                     std::to_string(options.size) + "-byte records at " +
                         std::to_string(options.rate) + "/s to " + std::to_string(options.clients) +
                         (options.clients == 1 ? " client" : " clients") + ", open loop",
                     {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    BenchProcesses processes;
    const uint64_t deadline = NowNs() + options.timeout_ns;
    Status status = processes.Start(
        options.cpu(0), [&](Meeting& meeting) { return LatencySenders(options, &meeting).Run(); });
    if (status.ok()) {
      status = processes.Start(
          options.cpu(1), [&](Meeting& meeting) { return ReceiveLatencies(options, meeting); });
    }
    if (status.ok()) status = processes.Join(deadline);
    if (!status.ok()) return status;
    const auto figure = [&](size_t slot) {
      return static_cast<double>(processes.meeting().extra[slot].load());
    };
    for (size_t i = 0; i < kSenders; ++i) {
      const std::string name = kSenderNames[i];
      result.Add(name + "_p50_ns", figure(kP50 + i));
      result.Add(name + "_p99_ns", figure(kP99 + i));
      result.Add(name + "_p99.9_ns", figure(kP999 + i));
      result.Add(name + "_max_ns", figure(kMax + i));
    }
    result.Add("ratio_p50", figure(kP50) / std::max(1.0, figure(kP50 + 1)));
    result.Add("ratio_p99", figure(kP99) / std::max(1.0, figure(kP99 + 1)));
  }
  return result;
}

}  // namespace ombus::tools

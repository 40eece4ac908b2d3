// ombus bench --mode rtt: busy round trips through Server and Client, against the least there is,
// send and recv on non-blocking sockets. Blocks of all kinds alternate in one run, so that what the
// machine does meanwhile meets all of them. Two shapes:
//   one connection: a record goes out, the client's heartbeat with its sequence comes back;
//   feeds: a record each way, each over its own server and client, hence its own connection.

#include <algorithm>
#include <memory>
#include <vector>

#include "ombus/client.h"
#include "ombus/histogram.h"
#include "ombus/server.h"
#include "ombus/wire.h"
#include "tools/bench.h"
#include "tools/bench_bare_socket.h"
#include "tools/bench_content.h"
#include "tools/bench_process.h"
#include "tools/cpu.h"

namespace ombus::tools {
namespace {

constexpr uint64_t kBlockTrips = 500;
constexpr uint64_t kTripsMax = 50'000;  // per run and kind: enough for a p99
constexpr uint64_t kWarmUpTrips = 2'000;

// Where each side finds the other; slots of Meeting::extra.
enum : size_t {
  kFirstPort,
  kSecondPort,
  kBarePort,
  kOutPort,
  kInPort,
  kBareP50,
  kBareP99,
  kOmbusP50,
  kOmbusP99,
  kBareFeedsP50,
  kOmbusFeedsP50
};

Status Late() {
  return {StatusCode::kUnavailable, "bench \"rtt\": ETIMEDOUT; the other side does not answer"};
}

Status WaitForPort(const std::atomic<uint64_t>& port, uint64_t deadline_ns) {
  while (port.load(std::memory_order_acquire) == 0) {
    if (NowNs() > deadline_ns) return Late();
    SleepNs(100'000);
  }
  return {};
}

// A server to send by and a client to receive by, each to the other side.
class OmbusEnds {
 public:
  explicit OmbusEnds(uint32_t bytes) : writer_(bytes), reader_(bytes) {}

  Status Open(const BenchOptions& options, std::atomic<uint64_t>* own_port,
              const std::atomic<uint64_t>* other_port, uint64_t deadline_ns) {
    auto server = Server::Create({.control_frames_per_second = 0,
                                  .send_buffer_bytes = options.send_buffer_bytes,
                                  .backend = options.backend,
                                  .io = options.io});
    if (!server.ok()) return server.status();
    server_ = std::move(*server);
    own_port->store(server_->port(), std::memory_order_release);
    while (other_port->load(std::memory_order_acquire) == 0) {
      if (NowNs() > deadline_ns) return Late();
      SleepNs(100'000);
    }
    auto client = Client::Connect(
        {.port = static_cast<uint16_t>(*other_port), .hello = false, .backend = options.backend});
    if (!client.ok()) return client.status();
    client_ = std::move(*client);
    while (server_->client_count() == 0) {
      if (NowNs() > deadline_ns) return Late();
      if (Status polled = server_->PollIo(1'000'000); !polled.ok()) return polled;
    }
    return {};
  }

  bool Send() {
    return server_->Broadcast(writer_.Next()) == BroadcastResult::kOk && server_->PollIo(0).ok();
  }
  bool Receive(Patience* patience) {
    Record record;
    while (true) {
      const ClientResult result = client_->Poll(&record, 0);
      if (result == ClientResult::kRecord) break;
      if (result != ClientResult::kEmpty || patience->over()) return false;
    }
    reader_.Check(record);
    return reader_.wrong() == 0;
  }

  bool SendHeartbeat() { return client_->SendHeartbeat(); }
  bool AwaitHeartbeat(Patience* patience) {
    const uint64_t before = heartbeats_;
    while ((heartbeats_ = server_->heartbeats_received()) == before) {
      if (!server_->PollIo(0).ok() || patience->over()) return false;
    }
    return true;
  }

 private:
  uint64_t heartbeats_ = 0;
  BenchWriter writer_;
  BenchReader reader_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
};

// One connection: who asks sends a record, who answers a heartbeat.
struct Asking {
  OmbusEnds* ends;
  bool Send() { return ends->Send(); }
  bool Receive(Patience* patience) { return ends->AwaitHeartbeat(patience); }
};
struct Answering {
  OmbusEnds* ends;
  bool Send() { return ends->SendHeartbeat(); }
  bool Receive(Patience* patience) { return ends->Receive(patience); }
};

template <typename Ends>
bool Ping(Ends* ends, uint64_t trips, Patience* patience, Histogram* times) {
  for (uint64_t i = 0; i < trips; ++i) {
    const uint64_t start = NowNs();
    if (!ends->Send() || !ends->Receive(patience)) return false;
    times->Record(NowNs() - start);
  }
  return true;
}

template <typename Ends>
bool Pong(Ends* ends, uint64_t trips, Patience* patience) {
  for (uint64_t i = 0; i < trips; ++i) {
    if (!ends->Receive(patience) || !ends->Send()) return false;
  }
  return true;
}

uint64_t TripsOf(const BenchOptions& options) { return std::min(options.tcp_iters, kTripsMax); }

Status RunPing(const BenchOptions& options, Meeting& meeting) {
  const uint64_t deadline = NowNs() + options.timeout_ns;
  Patience patience(deadline);
  BareSocket bare(static_cast<uint32_t>(kFrameHeaderBytes) + options.size);
  OmbusEnds ombus(options.size);
  BarePair two(static_cast<uint32_t>(kFrameHeaderBytes) + options.size);
  Status opened = bare.Accept(&meeting.extra[kBarePort]);
  if (opened.ok()) opened = two.out().Accept(&meeting.extra[kOutPort]);
  if (opened.ok()) opened = two.in().Accept(&meeting.extra[kInPort]);
  if (opened.ok()) {
    opened = ombus.Open(options, &meeting.extra[kFirstPort], &meeting.extra[kSecondPort], deadline);
  }
  if (!opened.ok()) return opened;
  Histogram warm_up, bare_ns, ombus_ns, bare_feeds_ns, ombus_feeds_ns;
  Asking asking{&ombus};
  if (!Ping(&bare, kWarmUpTrips, &patience, &warm_up) ||
      !Ping(&ombus, kWarmUpTrips, &patience, &warm_up)) {
    return Late();
  }
  for (uint64_t done = 0; done < TripsOf(options); done += kBlockTrips) {
    if (!Ping(&bare, kBlockTrips, &patience, &bare_ns) ||
        !Ping(&asking, kBlockTrips, &patience, &ombus_ns) ||
        !Ping(&two, kBlockTrips, &patience, &bare_feeds_ns) ||
        !Ping(&ombus, kBlockTrips, &patience, &ombus_feeds_ns)) {
      return Late();
    }
  }
  meeting.extra[kBareP50] = bare_ns.Percentile(50);
  meeting.extra[kBareP99] = bare_ns.Percentile(99);
  meeting.extra[kOmbusP50] = ombus_ns.Percentile(50);
  meeting.extra[kOmbusP99] = ombus_ns.Percentile(99);
  meeting.extra[kBareFeedsP50] = bare_feeds_ns.Percentile(50);
  meeting.extra[kOmbusFeedsP50] = ombus_feeds_ns.Percentile(50);
  return {};
}

Status RunPong(const BenchOptions& options, Meeting& meeting) {
  const uint64_t deadline = NowNs() + options.timeout_ns;
  Patience patience(deadline);
  BareSocket bare(static_cast<uint32_t>(kFrameHeaderBytes) + options.size);
  OmbusEnds ombus(options.size);
  BarePair two(static_cast<uint32_t>(kFrameHeaderBytes) + options.size);
  Status opened;
  for (auto& [socket, slot] : {std::pair<BareSocket*, size_t>{&bare, kBarePort},
                               {&two.in(), kOutPort},
                               {&two.out(), kInPort}}) {
    if (opened.ok()) opened = WaitForPort(meeting.extra[slot], deadline);
    if (opened.ok()) opened = socket->Connect(static_cast<uint16_t>(meeting.extra[slot]));
  }
  if (opened.ok()) {
    opened = ombus.Open(options, &meeting.extra[kSecondPort], &meeting.extra[kFirstPort], deadline);
  }
  if (!opened.ok()) return opened;
  Answering answering{&ombus};
  bool going = Pong(&bare, kWarmUpTrips, &patience) && Pong(&ombus, kWarmUpTrips, &patience);
  for (uint64_t done = 0; going && done < TripsOf(options); done += kBlockTrips) {
    going = Pong(&bare, kBlockTrips, &patience) && Pong(&answering, kBlockTrips, &patience) &&
            Pong(&two, kBlockTrips, &patience) && Pong(&ombus, kBlockTrips, &patience);
  }
  return going ? Status() : Late();
}

}  // namespace

Result<BenchResult> BenchRtt(const BenchOptions& options) {
  BenchResult result{
      "rtt",
      std::to_string(kFrameHeaderBytes + options.size) +
          "-byte frames, busy, against bare send and recv; one connection: heartbeat back",
      {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    BenchProcesses processes;
    const uint64_t deadline = NowNs() + options.timeout_ns;
    Status status = processes.Start(options.cpu(0),
                                    [&](Meeting& meeting) { return RunPing(options, meeting); });
    if (status.ok()) {
      status = processes.Start(options.cpu(1),
                               [&](Meeting& meeting) { return RunPong(options, meeting); });
    }
    if (status.ok()) status = processes.Join(deadline);
    if (!status.ok()) return status;
    const auto& extra = processes.meeting().extra;
    for (const auto& [name, slot] : {std::pair{"bare_p50_ns", kBareP50},
                                     {"bare_p99_ns", kBareP99},
                                     {"ombus_p50_ns", kOmbusP50},
                                     {"ombus_p99_ns", kOmbusP99},
                                     {"bare_feeds_p50_ns", kBareFeedsP50},
                                     {"ombus_feeds_p50_ns", kOmbusFeedsP50}}) {
      result.Add(name, static_cast<double>(extra[slot]));
    }
    const auto ratio = [&](size_t ombus, size_t bare) {
      return static_cast<double>(extra[ombus]) /
             static_cast<double>(std::max<uint64_t>(1, extra[bare]));
    };
    result.Add("ratio_p50", ratio(kOmbusP50, kBareP50));
    result.Add("ratio_p99", ratio(kOmbusP99, kBareP99));
    result.Add("ratio_feeds_p50", ratio(kOmbusFeedsP50, kBareFeedsP50));
  }
  return result;
}

}  // namespace ombus::tools

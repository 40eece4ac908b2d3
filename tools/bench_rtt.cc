// ombus bench --mode rtt: round trips of one frame, busy, through Server and Client on both sides,
// against the least there is: send and recv on a non-blocking socket. Blocks of both alternate in
// one run, so that what the machine does meanwhile meets both.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "ombus/client.h"
#include "ombus/histogram.h"
#include "ombus/server.h"
#include "ombus/wire.h"
#include "tools/bench.h"
#include "tools/bench_content.h"
#include "tools/bench_process.h"
#include "tools/cpu.h"

namespace ombus::tools {
namespace {

constexpr uint64_t kBlockTrips = 500;
constexpr uint64_t kTripsMax = 50'000;  // per run and kind: enough for a p99
constexpr uint64_t kWarmUpTrips = 2'000;
constexpr uint64_t kSpinsPerClock = 4096;

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
  kTwoP50
};

Status Late() {
  return {StatusCode::kUnavailable, "bench \"rtt\": ETIMEDOUT; the other side does not answer"};
}

// The deadline, looked at seldom: a clock read per spin would be part of what is measured.
class Patience {
 public:
  explicit Patience(uint64_t deadline_ns) : deadline_ns_(deadline_ns) {}
  bool over() { return ++spins_ % kSpinsPerClock == 0 && NowNs() > deadline_ns_; }

 private:
  uint64_t deadline_ns_, spins_ = 0;
};

class BareSocket {
 public:
  explicit BareSocket(uint32_t bytes) : buffer_(bytes) {}
  ~BareSocket() {
    if (fd_ >= 0) close(fd_);
  }
  BareSocket(const BareSocket&) = delete;
  BareSocket& operator=(const BareSocket&) = delete;

  Status Accept(std::atomic<uint64_t>* port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(0);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (listener < 0 || bind(listener, any, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, any, &length) != 0) {
      return ErrnoStatus("listen", "127.0.0.1:0", errno, "check the loopback interface");
    }
    port->store(ntohs(address.sin_port), std::memory_order_release);
    fd_ = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
    return Prepare();
  }
  Status Connect(uint16_t port) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(port);
    if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return ErrnoStatus("connect", "127.0.0.1", errno, "check the loopback interface");
    }
    return Prepare();
  }

  bool Send() {
    return send(fd_, buffer_.data(), buffer_.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(buffer_.size());
  }
  bool Receive(Patience* patience) {
    size_t got = 0;
    while (got < buffer_.size()) {
      const ssize_t n = recv(fd_, buffer_.data() + got, buffer_.size() - got, MSG_DONTWAIT);
      if (n > 0) got += static_cast<size_t>(n);
      if (n == 0 || (n < 0 && errno != EAGAIN) || patience->over()) return false;
    }
    return true;
  }

 private:
  static sockaddr_in Loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  Status Prepare() {
    const int on = 1;
    if (fd_ >= 0 && setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0) return {};
    return ErrnoStatus("setsockopt", "TCP_NODELAY", errno, "check the loopback interface");
  }

  int fd_ = -1;
  std::vector<unsigned char> buffer_;
};

// The same over a connection per direction, as a server and a client of ombus have them: no answer
// carries the acknowledgement, so the kernel sends those alone. Tells ombus' share from TCP's.
class BarePair {
 public:
  explicit BarePair(uint32_t bytes) : out_(bytes), in_(bytes) {}
  BareSocket& out() { return out_; }
  BareSocket& in() { return in_; }
  bool Send() { return out_.Send(); }
  bool Receive(Patience* patience) { return in_.Receive(patience); }

 private:
  BareSocket out_, in_;
};

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
    auto server = Server::Create({.backend = options.backend});
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

 private:
  BenchWriter writer_;
  BenchReader reader_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
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
  Histogram warm_up, bare_ns, two_ns, ombus_ns;
  if (!Ping(&bare, kWarmUpTrips, &patience, &warm_up) ||
      !Ping(&ombus, kWarmUpTrips, &patience, &warm_up)) {
    return Late();
  }
  for (uint64_t done = 0; done < TripsOf(options); done += kBlockTrips) {
    if (!Ping(&bare, kBlockTrips, &patience, &bare_ns) ||
        !Ping(&two, kBlockTrips, &patience, &two_ns) ||
        !Ping(&ombus, kBlockTrips, &patience, &ombus_ns)) {
      return Late();
    }
  }
  meeting.extra[kBareP50] = bare_ns.Percentile(50);
  meeting.extra[kBareP99] = bare_ns.Percentile(99);
  meeting.extra[kOmbusP50] = ombus_ns.Percentile(50);
  meeting.extra[kTwoP50] = two_ns.Percentile(50);
  meeting.extra[kOmbusP99] = ombus_ns.Percentile(99);
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
  bool going = Pong(&bare, kWarmUpTrips, &patience) && Pong(&ombus, kWarmUpTrips, &patience);
  for (uint64_t done = 0; going && done < TripsOf(options); done += kBlockTrips) {
    going = Pong(&bare, kBlockTrips, &patience) && Pong(&two, kBlockTrips, &patience) &&
            Pong(&ombus, kBlockTrips, &patience);
  }
  return going ? Status() : Late();
}

}  // namespace

Result<BenchResult> BenchRtt(const BenchOptions& options) {
  BenchResult result{"rtt",
                     std::to_string(kFrameHeaderBytes + options.size) +
                         "-byte frames, busy, against bare send and recv in alternating blocks",
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
                                     {"bare_one_way_p50_ns", kTwoP50},
                                     {"ombus_p50_ns", kOmbusP50},
                                     {"ombus_p99_ns", kOmbusP99}}) {
      result.Add(name, static_cast<double>(extra[slot]));
    }
    result.Add("ratio_p50", static_cast<double>(extra[kOmbusP50]) /
                                static_cast<double>(std::max<uint64_t>(1, extra[kBareP50])));
    result.Add("ratio_one_way_p50", static_cast<double>(extra[kOmbusP50]) /
                                        static_cast<double>(std::max<uint64_t>(1, extra[kTwoP50])));
    result.Add("ratio_p99", static_cast<double>(extra[kOmbusP99]) /
                                static_cast<double>(std::max<uint64_t>(1, extra[kBareP99])));
  }
  return result;
}

}  // namespace ombus::tools

// The modes of `ombus bench` that broadcast over TCP.
#include <sched.h>

#include <memory>
#include <vector>

#include "ombus/client.h"
#include "ombus/producer.h"
#include "ombus/relay.h"
#include "ombus/server.h"
#include "tools/bench.h"
#include "tools/bench_content.h"
#include "tools/bench_process.h"
#include "tools/bench_stream.h"
#include "tools/cpu.h"

namespace ombus::tools {
namespace {

constexpr size_t kVisitRecords = 1024;  // from one client before the next has its turn

Status WaitForPort(const Meeting& meeting, uint64_t deadline_ns, uint16_t* port) {
  while (meeting.port.load(std::memory_order_acquire) == 0) {
    if (NowNs() > deadline_ns || meeting.failed != 0) {
      return {StatusCode::kUnavailable, "bench \"connect\": ETIMEDOUT; the server did not start"};
    }
    SleepNs(100'000);
  }
  *port = static_cast<uint16_t>(meeting.port);
  return {};
}

struct Peer {
  std::unique_ptr<Client> client;
  BenchReader reader;
};

// All clients in one process, visited in turn, until each has tcp_iters records.
Status ReceiveAll(const BenchOptions& options, Meeting& meeting) {
  const uint64_t deadline = NowNs() + options.timeout_ns;
  uint16_t port = 0;
  if (Status found = WaitForPort(meeting, deadline, &port); !found.ok()) return found;
  std::vector<Peer> peers;
  for (uint32_t i = 0; i < options.clients; ++i) {
    auto client = Client::Connect({.port = port, .backend = options.backend});
    if (!client.ok()) return client.status();
    peers.push_back({std::move(*client), BenchReader(options.size)});
  }
  meeting.ready.fetch_add(1, std::memory_order_acq_rel);
  size_t open = peers.size();
  while (open > 0) {
    open = 0;
    bool idle = true;
    for (Peer& peer : peers) {
      Record record;
      for (size_t i = 0; i < kVisitRecords && peer.reader.records() < options.tcp_iters; ++i) {
        const ClientResult result = peer.client->Poll(&record, 0);
        if (result == ClientResult::kEmpty) break;
        if (result == ClientResult::kRecord || result == ClientResult::kGap) {
          peer.reader.Check(record);
          idle = false;
        } else if (result != ClientResult::kSlowWarning) {
          return {StatusCode::kCorrupt, "bench \"receive\": the stream ended after " +
                                            std::to_string(peer.reader.records()) + " records; " +
                                            peer.client->status().message()};
        }
      }
      if (peer.reader.records() < options.tcp_iters) ++open;
    }
    // The other side may share this cpu.
    if (idle) sched_yield();
    if (idle && NowNs() > deadline) break;
  }
  meeting.end_ns = NowNs();
  for (const Peer& peer : peers) {
    meeting.received += peer.reader.records();
    meeting.wrong += peer.reader.wrong();
  }
  return {};
}

ServerOptions ServerOptionsOf(const BenchOptions& options) {
  ServerOptions server;
  server.max_clients = options.clients;
  server.slow_client_policy = SlowClientPolicy::kWait;  // nothing may be lost
  server.backend = options.backend;
  server.io = options.io;
  server.send_buffer_bytes = options.send_buffer_bytes;
  return server;
}

Status Broadcast(const BenchOptions& options, Meeting& meeting) {
  auto server = Server::Create(ServerOptionsOf(options));
  if (!server.ok()) return server.status();
  meeting.port.store((*server)->port(), std::memory_order_release);
  while ((*server)->client_count() < options.clients) {
    if (Status polled = (*server)->PollIo(1'000'000); !polled.ok()) return polled;
  }
  BenchWriter writer(options.size);
  meeting.start_ns = NowNs();
  for (uint64_t i = 1; i <= options.tcp_iters; ++i) {
    const Record record = writer.Next();
    while ((*server)->Broadcast(record) == BroadcastResult::kFull) {
      if (Status polled = (*server)->PollIo(100'000); !polled.ok()) return polled;
    }
    if (i % 256 == 0) {
      if (Status polled = (*server)->PollIo(0); !polled.ok()) return polled;
    }
  }
  (void)(*server)->Flush(options.timeout_ns);
  (*server)->Shutdown(options.timeout_ns);
  return {};
}

Status RunRelayPart(const BenchOptions& options, Meeting& meeting) {
  RelayOptions relay_options;
  relay_options.stream = options.stream;
  relay_options.server = ServerOptionsOf(options);
  relay_options.wait_clients = options.clients;
  relay_options.on_end = StreamEnd::kExit;
  relay_options.idle = IdleStrategy::kBusy;
  relay_options.egress_threads = options.egress_threads;
  auto relay = Relay::Create(relay_options);
  if (!relay.ok()) return relay.status();
  meeting.port.store((*relay)->port(), std::memory_order_release);
  const Status ran = (*relay)->Run();
  const RelayStats stats = (*relay)->stats();
  meeting.extra[0] = stats.turn_ns.Percentile(50);
  meeting.extra[1] = stats.turn_ns.Percentile(99);
  return ran;
}

Status ProduceForRelay(const BenchOptions& options, Meeting& meeting) {
  auto producer = Producer::Create(BenchStream(options, options.size));
  if (!producer.ok()) return producer.status();
  const uint64_t deadline = NowNs() + options.timeout_ns;
  while ((*producer)->live_consumers() == 0) {
    if (NowNs() > deadline) {
      return {StatusCode::kUnavailable, "bench \"relay\": ETIMEDOUT; it did not join the ring"};
    }
    SleepNs(100'000);
  }
  meeting.start_ns = NowNs();
  return PublishBenchRecords(options, options.tcp_iters, options.shm_batch, producer->get());
}

Status AddDeliveries(const BenchOptions& options, const Meeting& meeting, BenchResult* result) {
  const uint64_t wanted = options.tcp_iters * options.clients;
  if (meeting.received != wanted || meeting.wrong != 0) {
    return {StatusCode::kCorrupt,
            "bench \"" + result->mode + "\": " + std::to_string(wanted - meeting.received) +
                " records lost, " + std::to_string(meeting.wrong) + " wrong; please report this"};
  }
  const double seconds = static_cast<double>(meeting.end_ns - meeting.start_ns) / 1e9;
  result->Add("records_per_s", static_cast<double>(options.tcp_iters) / seconds);
  result->Add("deliveries_per_s", static_cast<double>(wanted) / seconds);
  result->Add("bytes_delivered_per_s", static_cast<double>(wanted) * (options.size + 16) / seconds);
  return {};
}

std::string Setting(const BenchOptions& options) {
  return std::to_string(options.size) + "-byte records, " + std::to_string(options.clients) +
         (options.clients == 1 ? " client" : " clients");
}

}  // namespace

Result<BenchResult> BenchTcp(const BenchOptions& options) {
  BenchResult result{"tcp", Setting(options) + ", server and clients in two processes", {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    BenchProcesses processes;
    const uint64_t deadline = NowNs() + options.timeout_ns;
    Status status = processes.Start(options.cpu(0),
                                    [&](Meeting& meeting) { return Broadcast(options, meeting); });
    if (status.ok()) {
      status = processes.Start(options.cpu(1),
                               [&](Meeting& meeting) { return ReceiveAll(options, meeting); });
    }
    if (status.ok()) status = processes.Join(deadline);
    if (status.ok()) status = AddDeliveries(options, processes.meeting(), &result);
    if (!status.ok()) return status;
  }
  return result;
}

Result<BenchResult> BenchRelay(const BenchOptions& options) {
  std::string setting = Setting(options) + ", producer, ring, relay and TCP, lossless";
  if (options.egress_threads > 1) {
    setting += ", " + std::to_string(options.egress_threads) + " egress threads";
  }
  BenchResult result{"relay", setting, {}};
  for (uint32_t run = 0; run < options.runs; ++run) {
    BenchProcesses processes;
    const uint64_t deadline = NowNs() + options.timeout_ns;
    Status status = processes.Start(
        options.cpu(0), [&](Meeting& meeting) { return ProduceForRelay(options, meeting); });
    if (status.ok()) {
      status = processes.Start(options.cpu(1),
                               [&](Meeting& meeting) { return RunRelayPart(options, meeting); });
    }
    if (status.ok()) {
      status = processes.Start(options.cpu(2),
                               [&](Meeting& meeting) { return ReceiveAll(options, meeting); });
    }
    if (status.ok()) status = processes.Join(deadline);
    if (status.ok()) status = AddDeliveries(options, processes.meeting(), &result);
    if (!status.ok()) return status;
    result.Add("relay_turn_p50_ns", static_cast<double>(processes.meeting().extra[0]));
    result.Add("relay_turn_p99_ns", static_cast<double>(processes.meeting().extra[1]));
  }
  return result;
}

}  // namespace ombus::tools

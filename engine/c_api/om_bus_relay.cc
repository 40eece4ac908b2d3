// The relay loop of ombus/om_bus_relay.h. Programs of ombus' own have a better one in
// ombus/relay.h: this one copies each payload twice and neither reattaches nor waits for clients.
#include "ombus/om_bus_relay.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "engine/c_api/endpoint.h"
#include "engine/c_api/tcp_server.h"
#include "ombus/wire.h"
#include "ring/clock.h"

namespace {

constexpr size_t kBurstMax = 256;
constexpr uint64_t kWaitSliceNs = 10'000'000;  // sockets and *running are looked at that often

bool Running(const OmBusRelayConfig& config) {
  return __atomic_load_n(config.running, __ATOMIC_ACQUIRE);
}

// A burst can be more than a client may lag: sent in pieces that a client with room in its socket
// can take.
int Relay(OmBusTcpServer* srv, const OmBusRecord* records, int count) {
  const uint64_t piece_max = srv->lag_max / 2;
  uint64_t piece = 0;
  for (int i = 0; i < count; ++i) {
    const uint64_t bytes = ombus::kFrameHeaderBytes + records[i].payload_len;
    if (piece != 0 && piece + bytes > piece_max) {
      if (const int code = om_bus_tcp_server_poll_io(srv); code != 0) return code;
      piece = 0;
    }
    const int code = om_bus_tcp_server_broadcast_batch(srv, &records[i], 1);
    if (code != 0) return code;
    piece += bytes;
  }
  return om_bus_tcp_server_poll_io(srv);
}

size_t Bucket(uint64_t value, size_t buckets) {
  return std::min<size_t>(static_cast<size_t>(std::bit_width(value)), buckets - 1);
}

void Count(OmBusRelayStats* stats, uint64_t records, uint64_t loop_ns) {
  ++stats->loops;
  ++(records == 0 ? stats->idle_loops : stats->non_empty_loops);
  stats->records_relayed += records;
  stats->loop_ns_total += loop_ns;
  stats->loop_ns_max = std::max(stats->loop_ns_max, loop_ns);
  ++stats->loop_ns_hist[Bucket(loop_ns, OM_BUS_RELAY_LOOP_NS_BUCKETS)];
  ++stats->batch_hist[Bucket(records, OM_BUS_RELAY_BATCH_BUCKETS)];
}

void Idle(const OmBusRelayConfig& config) {
  if (config.poll_us == 0) {
    sched_yield();
    return;
  }
  const uint64_t wait_ns = std::min(uint64_t{config.poll_us} * 1000, kWaitSliceNs);
  if (std::exchange(config.ep->ended, false)) {  // there is always that to poll
    const struct timespec wait = {.tv_sec = 0, .tv_nsec = static_cast<long>(wait_ns)};
    nanosleep(&wait, nullptr);
    return;
  }
  (void)config.ep->consumer->Wait(wait_ns, 0);
}

}  // namespace

int om_bus_relay_run(const OmBusRelayConfig* config) {
  if (config == nullptr || config->ep == nullptr || config->srv == nullptr ||
      config->running == nullptr) {
    return OM_ERR_BUS_INIT;
  }
  std::array<OmBusRecord, kBurstMax> records;
  while (Running(*config)) {
    const uint64_t start_ns = config->stats == nullptr ? 0 : ombus::NowNs();
    const int polled = om_bus_endpoint_poll_batch(config->ep, records.data(), records.size());
    const int count = std::max(polled, 0);
    const int sent = Relay(config->srv, records.data(), count);
    if (config->stats != nullptr) {
      Count(config->stats, static_cast<uint64_t>(count), ombus::NowNs() - start_ns);
    }
    if (polled < 0) return polled;
    if (sent < 0) return sent;
    if (count == 0) Idle(*config);
  }
  return 0;
}

void om_bus_relay_stats_reset(OmBusRelayStats* stats) {
  if (stats != nullptr) *stats = {};
}

uint64_t om_bus_relay_stats_loop_ns_percentile(const OmBusRelayStats* stats, uint32_t percentile) {
  if (stats == nullptr || stats->loops == 0) return 0;
  // The rank of the loop wanted, from 1, rounded up; in parts, not to overflow.
  const uint64_t percent = std::min(percentile, uint32_t{100});
  const uint64_t rank = std::max<uint64_t>(
      1, stats->loops / 100 * percent + (stats->loops % 100 * percent + 99) / 100);
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < OM_BUS_RELAY_LOOP_NS_BUCKETS; ++bucket) {
    seen += stats->loop_ns_hist[bucket];
    if (seen < rank) continue;
    if (bucket == OM_BUS_RELAY_LOOP_NS_BUCKETS - 1) return stats->loop_ns_max;
    return std::min((uint64_t{1} << bucket) - 1, stats->loop_ns_max);
  }
  return stats->loop_ns_max;
}

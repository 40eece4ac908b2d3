// The server's side of ombus/om_bus_tcp.h.
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/c_api/backend_environment.h"
#include "engine/c_api/error_code.h"
#include "engine/c_api/tcp_server.h"
#include "engine/memory_guard.h"
#include "net/limits.h"
#include "ombus/wire.h"

static_assert(sizeof(OmBusTcpFrameHeader) == OM_BUS_TCP_FRAME_HEADER_SIZE);
static_assert(OM_BUS_TCP_FRAME_HEADER_SIZE == ombus::kFrameHeaderBytes);
static_assert(OM_BUS_TCP_FRAME_MAGIC == ombus::kFrameMagic);
static_assert(OM_BUS_TCP_WAL_TYPE_SLOW_WARNING == ombus::kTypeSlowWarning);

namespace {

using ombus::BroadcastResult;
using ombus::ServerEvent;
using ombus::engine::RunGuarded;

constexpr uint32_t kDefaultMaxClients = 64;
constexpr uint32_t kDefaultSendBufBytes = 262144;
constexpr uint64_t kLogRoomBytes = 128u << 10;  // what the log holds beyond what a client may lag
constexpr uint32_t kDrainMs = 5000;
constexpr uint64_t kDestroyNs = 100'000'000;
// A turn handles what the one before it has begun (who was accepted is read from, and closed if it
// has gone already; who was refused is closed), and at most so many of what is there: epoll accepts
// 16, io_uring takes 20 completions. As many turns as it takes for all clients there can be, those
// in the listener's queue among them; then who never ends sending has had its share.
constexpr uint32_t kClientsPerTurn = 16;
constexpr uint32_t kTurnsPerClient = 4;

ombus::ServerOptions OptionsOf(const OmBusTcpServerConfig& config) {
  ombus::ServerOptions options;
  options.address = config.bind_addr == nullptr ? "0.0.0.0" : config.bind_addr;
  options.port = config.port;
  options.max_clients = config.max_clients == 0
                            ? kDefaultMaxClients
                            : std::min(config.max_clients, ombus::net::kClientsMax);
  options.client_lag_bytes_max =
      config.send_buf_size == 0 ? kDefaultSendBufBytes : config.send_buf_size;
  options.log_bytes = std::bit_ceil(options.client_lag_bytes_max + kLogRoomBytes);
  options.turn_bytes_max = static_cast<uint32_t>(options.client_lag_bytes_max);
  options.oversized_cuts = true;
  options.stalled_peer_ms = 0;  // who lags less than send_buf_size stays, however long
  options.drain_ms = kDrainMs;
  return options;
}

uint32_t TurnsMax(uint32_t max_clients) {
  return kTurnsPerClient * (1 + (max_clients + ombus::net::kListenQueueMax) / kClientsPerTurn);
}

int Broadcast(OmBusTcpServer* server, const OmBusRecord& record) {
  if (record.payload == nullptr && record.payload_len != 0) return OM_ERR_BUS_INIT;
  const BroadcastResult result = server->server->Broadcast(
      {record.wal_seq, record.payload, record.payload_len, record.wal_type, 0});
  return result == BroadcastResult::kOk ? 0 : OM_ERR_BUS_TCP_SEND;
}

// A cut allocates.
int BroadcastGuarded(OmBusTcpServer* server, const OmBusRecord& record) {
  int code = OM_ERR_BUS_TCP_SEND;
  (void)server->guard.Run([&] { code = Broadcast(server, record); });
  return code;
}

int Create(const OmBusTcpServerConfig& config, OmBusTcpServer** out) {
  const auto backend = ombus::engine::BackendFromEnvironment();
  if (!backend.ok()) return OM_ERR_BUS_INIT;
  ombus::ServerOptions options = OptionsOf(config);
  options.backend = *backend;
  auto server = ombus::Server::Create(options);
  if (!server.ok()) return ombus::engine::SocketError(server.status(), OM_ERR_BUS_TCP_BIND);
  *out = new OmBusTcpServer{std::move(*server),
                            options.client_lag_bytes_max,
                            TurnsMax(options.max_clients),
                            getpid(),
                            {}};
  return 0;
}

// Until a turn finds nothing to do.
int PollIo(ombus::Server& server, uint32_t turns_max) {
  for (uint32_t turn = 0; turn < turns_max; ++turn) {
    const uint64_t before = server.busy_turns();
    if (!server.PollIo(0).ok()) return OM_ERR_BUS_TCP_IO;
    if (server.busy_turns() == before) break;
  }
  (void)server.TakeEvents();
  return 0;
}

}  // namespace

int om_bus_tcp_server_create(OmBusTcpServer** out, const OmBusTcpServerConfig* config) {
  if (out == nullptr) return OM_ERR_BUS_INIT;
  *out = nullptr;
  if (config == nullptr) return OM_ERR_BUS_INIT;
  int code = OM_ERR_BUS_TCP_IO;
  (void)RunGuarded([&] { code = Create(*config, out); });
  return code;
}

int om_bus_tcp_server_broadcast(OmBusTcpServer* server, uint64_t wal_seq, uint8_t wal_type,
                                const void* payload, uint16_t len) {
  if (server == nullptr) return OM_ERR_BUS_INIT;
  return BroadcastGuarded(server, {wal_seq, wal_type, len, payload});
}

int om_bus_tcp_server_broadcast_batch(OmBusTcpServer* server, const OmBusRecord* records,
                                      uint32_t count) {
  if (server == nullptr || (records == nullptr && count != 0)) return OM_ERR_BUS_INIT;
  for (uint32_t i = 0; i < count; ++i) {
    if (const int code = BroadcastGuarded(server, records[i]); code != 0) return code;
  }
  return 0;
}

int om_bus_tcp_server_poll_io(OmBusTcpServer* server) {
  if (server == nullptr) return OM_ERR_BUS_INIT;
  int code = OM_ERR_BUS_TCP_IO;
  (void)server->guard.Run([&] { code = PollIo(*server->server, server->turns_max); });
  return code;
}

uint32_t om_bus_tcp_server_client_count(const OmBusTcpServer* server) {
  return server == nullptr ? 0 : server->server->client_count();
}

uint16_t om_bus_tcp_server_port(const OmBusTcpServer* server) {
  return server == nullptr ? uint16_t{0} : server->server->port();
}

void om_bus_tcp_server_stats(const OmBusTcpServer* server, OmBusTcpServerStats* stats) {
  if (stats == nullptr) return;
  *stats = {};
  if (server == nullptr) return;
  const ombus::ServerStats now = server->server->stats();
  stats->records_broadcast = now.records_broadcast;
  stats->bytes_broadcast = now.bytes_broadcast;
  stats->clients_accepted = now.clients_accepted;
  stats->clients_disconnected = now.clients_disconnected;
  stats->slow_client_drops = now.slow_client_drops;
}

void om_bus_tcp_server_destroy(OmBusTcpServer* server) {
  if (server == nullptr) return;
  // A forked child's copy: the clients are the parent's.
  if (getpid() == server->creator) {
    (void)server->guard.Run([&] { server->server->Shutdown(kDestroyNs); });
  }
  delete server;
}

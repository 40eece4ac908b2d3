#include "engine/c_server_options.h"

#include "engine/c_struct.h"

namespace ombus::engine {
namespace {

static_assert(static_cast<int>(OMBUS_SLOW_DISCONNECT) ==
              static_cast<int>(SlowClientPolicy::kDisconnect));
static_assert(static_cast<int>(OMBUS_SLOW_WAIT) == static_cast<int>(SlowClientPolicy::kWait));

constexpr uint64_t kFirstBytes =  // of the options' first version
    offsetof(ombus_server_options, reserved) + sizeof(uint32_t);
constexpr uint64_t kFirstStatsBytes =
    offsetof(ombus_server_stats, log_bytes_high) + sizeof(uint64_t);

ombus_server_options Defaults() {
  const ServerOptions from;
  return {.size = sizeof(ombus_server_options),
          .address = nullptr,
          .port = from.port,
          .max_clients = from.max_clients,
          .log_bytes = from.log_bytes,
          .client_lag_bytes_max = from.client_lag_bytes_max,
          .slow_client_policy = static_cast<uint32_t>(from.slow_client_policy),
          .slow_wait_ms = from.slow_wait_ms,
          .send_buffer_bytes = from.send_buffer_bytes,
          .turn_bytes_max = from.turn_bytes_max,
          .drain_ms = from.drain_ms,
          .backend = static_cast<uint32_t>(from.backend),
          .epoch = from.epoch,
          .max_clients_per_address = from.max_clients_per_address,
          .require_hello = from.require_hello,
          .hello_timeout_ms = from.hello_timeout_ms,
          .control_frames_per_second = from.control_frames_per_second,
          .heartbeat_ms = from.heartbeat_ms,
          .client_timeout_ms = from.client_timeout_ms,
          .stalled_peer_ms = from.stalled_peer_ms,
          .reserved = 0};
}

Status Check(const char* call, const ombus_server_options& options) {
  if (Status status = CheckPort(call, options.port); !status.ok()) return status;
  if (Status status = CheckBackend(call, options.backend); !status.ok()) return status;
  return CheckChoice(call, "slow_client_policy", options.slow_client_policy, OMBUS_SLOW_WAIT,
                     "choose an OMBUS_SLOW_… value");
}

}  // namespace

Result<ServerOptions> ReadServerOptions(const char* call, const ombus_server_options* options) {
  ombus_server_options from = Defaults();
  if (Status status = ReadOptions(call, options, kFirstBytes, &from); !status.ok()) return status;
  if (Status status = Check(call, from); !status.ok()) return status;
  ServerOptions to;
  if (from.address != nullptr) to.address = from.address;
  to.port = static_cast<uint16_t>(from.port);
  to.max_clients = from.max_clients;
  to.log_bytes = from.log_bytes;
  to.client_lag_bytes_max = from.client_lag_bytes_max;
  to.slow_client_policy = static_cast<SlowClientPolicy>(from.slow_client_policy);
  to.slow_wait_ms = from.slow_wait_ms;
  to.send_buffer_bytes = from.send_buffer_bytes;
  to.turn_bytes_max = from.turn_bytes_max;
  to.drain_ms = from.drain_ms;
  to.backend = static_cast<BackendChoice>(from.backend);
  to.epoch = from.epoch;
  to.max_clients_per_address = from.max_clients_per_address;
  to.require_hello = from.require_hello != 0;
  to.hello_timeout_ms = from.hello_timeout_ms;
  to.control_frames_per_second = from.control_frames_per_second;
  to.heartbeat_ms = from.heartbeat_ms;
  to.client_timeout_ms = from.client_timeout_ms;
  to.stalled_peer_ms = from.stalled_peer_ms;
  return to;
}

ombus_status FillServerStats(const ServerStats& from, ombus_server_stats* to) {
  return FillStruct(to, kFirstStatsBytes,
                    {.size = 0,
                     .records_broadcast = from.records_broadcast,
                     .bytes_broadcast = from.bytes_broadcast,
                     .bytes_sent = from.bytes_sent,
                     .frames_delivered = from.frames_delivered,
                     .sends = from.sends,
                     .turns = from.turns,
                     .enters = from.enters,
                     .clients_accepted = from.clients_accepted,
                     .clients_refused = from.clients_refused,
                     .clients_timed_out = from.clients_timed_out,
                     .clients_disconnected = from.clients_disconnected,
                     .slow_client_drops = from.slow_client_drops,
                     .slow_client_warnings = from.slow_client_warnings,
                     .protocol_errors = from.protocol_errors,
                     .accept_failures = from.accept_failures,
                     .log_bytes_high = from.log_bytes_high});
}

}  // namespace ombus::engine

extern "C" void ombus_server_options_init(ombus_server_options* options, size_t size) noexcept {
  ombus::engine::InitOptions(options, size, ombus::engine::kFirstBytes, ombus::engine::Defaults());
}

#include "engine/c_server_options.h"

#include <memory>
#include <span>

#include "engine/c_struct.h"

namespace ombus::engine {
namespace {

static_assert(static_cast<int>(OMBUS_SLOW_DISCONNECT) ==
              static_cast<int>(SlowClientPolicy::kDisconnect));
static_assert(static_cast<int>(OMBUS_SLOW_WAIT) == static_cast<int>(SlowClientPolicy::kWait));
static_assert(static_cast<int>(OMBUS_SLOW_SKIP) == static_cast<int>(SlowClientPolicy::kSkip));
static_assert(static_cast<int>(OMBUS_SLOW_CATCH_UP) ==
              static_cast<int>(SlowClientPolicy::kCatchUp));

static_assert(static_cast<int>(OMBUS_SEND_FIXED) == static_cast<int>(SendMode::kFixed));
static_assert(static_cast<int>(OMBUS_SEND_PLAIN) == static_cast<int>(SendMode::kPlain));
static_assert(static_cast<int>(OMBUS_SEND_ZERO_COPY) == static_cast<int>(SendMode::kZeroCopy));
static_assert(static_cast<int>(OMBUS_SEND_AUTO) == static_cast<int>(SendMode::kAuto));

constexpr uint64_t kFirstBytes =  // of the options' first version
    offsetof(ombus_server_options, congestion_control) + sizeof(char*);
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
          .send_mode = static_cast<uint32_t>(from.io.send_mode),
          .busy_poll_us = from.io.busy_poll_us,
          .napi_busy_poll_us = from.io.napi_busy_poll_us,
          .incoming_cpu = from.io.incoming_cpu,
          .sq_poll = from.io.sq_poll,
          .sq_poll_cpu = from.io.sq_poll_cpu,
          .sq_poll_idle_ms = from.io.sq_poll_idle_ms,
          .congestion_control = nullptr,
          .soft_lag_bytes = from.soft_lag_bytes,
          .hard_lag_bytes = from.hard_lag_bytes,
          .soft_lag_ms = from.soft_lag_ms,
          .hard_lag_ms = from.hard_lag_ms,
          .catch_up = nullptr,
          .catch_up_context = nullptr,
          .catch_up_wait_ms = from.catch_up_wait_ms,
          .reserved = 0};
}

Status Check(const char* call, const ombus_server_options& options) {
  if (Status status = CheckPort(call, options.port); !status.ok()) return status;
  if (Status status = CheckBackend(call, options.backend); !status.ok()) return status;
  if (Status status = CheckChoice(call, "send_mode", options.send_mode, OMBUS_SEND_AUTO,
                                  "choose an OMBUS_SEND_… value");
      !status.ok()) {
    return status;
  }
  return CheckChoice(call, "slow_client_policy", options.slow_client_policy, OMBUS_SLOW_CATCH_UP,
                     "choose an OMBUS_SLOW_… value");
}

class CallbackSource final : public CatchUpSource {
 public:
  CallbackSource(ombus_catch_up_fn read, void* context) : read_(read), context_(context) {}
  size_t Read(uint64_t epoch, uint64_t from, std::span<std::byte> into) override {
    return read_(epoch, from, into.data(), into.size(), context_);
  }

 private:
  ombus_catch_up_fn read_;
  void* context_;
};

IoOptions ToIo(const ombus_server_options& from) {
  IoOptions to;
  to.send_mode = static_cast<SendMode>(from.send_mode);
  to.busy_poll_us = from.busy_poll_us;
  to.napi_busy_poll_us = from.napi_busy_poll_us;
  to.incoming_cpu = from.incoming_cpu;
  to.sq_poll = from.sq_poll != 0;
  to.sq_poll_cpu = from.sq_poll_cpu;
  to.sq_poll_idle_ms = from.sq_poll_idle_ms;
  if (from.congestion_control != nullptr) to.congestion_control = from.congestion_control;
  return to;
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
  to.io = ToIo(from);
  to.epoch = from.epoch;
  to.max_clients_per_address = from.max_clients_per_address;
  to.require_hello = from.require_hello != 0;
  to.hello_timeout_ms = from.hello_timeout_ms;
  to.control_frames_per_second = from.control_frames_per_second;
  to.heartbeat_ms = from.heartbeat_ms;
  to.client_timeout_ms = from.client_timeout_ms;
  to.stalled_peer_ms = from.stalled_peer_ms;
  to.soft_lag_bytes = from.soft_lag_bytes;
  to.soft_lag_ms = from.soft_lag_ms;
  to.hard_lag_bytes = from.hard_lag_bytes;
  to.hard_lag_ms = from.hard_lag_ms;
  if (from.catch_up != nullptr) {
    to.catch_up = std::make_shared<CallbackSource>(from.catch_up, from.catch_up_context);
  }
  to.catch_up_wait_ms = from.catch_up_wait_ms;
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
                     .sends_fixed = from.sends_fixed,
                     .sends_plain = from.sends_plain,
                     .sends_zero_copy = from.sends_zero_copy,
                     .zero_copy_copied = from.zero_copy_copied,
                     .clients_accepted = from.clients_accepted,
                     .clients_refused = from.clients_refused,
                     .clients_timed_out = from.clients_timed_out,
                     .clients_disconnected = from.clients_disconnected,
                     .slow_client_drops = from.slow_client_drops,
                     .slow_client_warnings = from.slow_client_warnings,
                     .protocol_errors = from.protocol_errors,
                     .accept_failures = from.accept_failures,
                     .log_bytes_high = from.log_bytes_high,
                     .slow_client_skips = from.slow_client_skips,
                     .frames_skipped = from.frames_skipped,
                     .catch_ups = from.catch_ups,
                     .frames_caught_up = from.frames_caught_up});
}

}  // namespace ombus::engine

extern "C" ombus_status ombus_server_options_init(ombus_server_options* options,
                                                  size_t size) noexcept {
  return ombus::engine::InitOptions(options, size, ombus::engine::kFirstBytes,
                                    ombus::engine::Defaults());
}

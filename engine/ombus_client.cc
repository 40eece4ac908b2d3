#include "ombus/ombus_client.h"

#include <memory>
#include <utility>

#include "engine/c_record.h"
#include "engine/c_struct.h"
#include "ombus/client.h"

struct ombus_client {
  std::unique_ptr<ombus::Client> client;
  ombus::engine::MemoryFailStop guard = {};
};

namespace ombus::engine {
namespace {

constexpr bool Same(ombus_client_result c, ClientResult cpp) {
  return static_cast<int>(c) == static_cast<int>(cpp);
}
static_assert(Same(OMBUS_CLIENT_EMPTY, ClientResult::kEmpty));
static_assert(Same(OMBUS_CLIENT_RECORD, ClientResult::kRecord));
static_assert(Same(OMBUS_CLIENT_GAP, ClientResult::kGap));
static_assert(Same(OMBUS_CLIENT_REORDER, ClientResult::kReorder));
static_assert(Same(OMBUS_CLIENT_SLOW_WARNING, ClientResult::kSlowWarning));
static_assert(Same(OMBUS_CLIENT_EPOCH_CHANGED, ClientResult::kEpochChanged));
static_assert(Same(OMBUS_CLIENT_CONNECTED, ClientResult::kConnected));
static_assert(Same(OMBUS_CLIENT_END_OF_STREAM, ClientResult::kEndOfStream));
static_assert(Same(OMBUS_CLIENT_DISCONNECTED, ClientResult::kDisconnected));
static_assert(Same(OMBUS_CLIENT_PROTOCOL_ERROR, ClientResult::kProtocolError));

constexpr uint64_t kFirstBytes =  // of the options' first version
    offsetof(ombus_client_options, idle_timeout_ms) + sizeof(uint32_t);

Client* Of(ombus_client* handle) { return handle->client.get(); }
const Client* Of(const ombus_client* handle) { return handle->client.get(); }

ombus_client_options Defaults() {
  const ClientOptions from;
  return {.size = sizeof(ombus_client_options),
          .host = nullptr,
          .port = from.port,
          .connect_timeout_ms = from.connect_timeout_ms,
          .receive_buffer_bytes = from.receive_buffer_bytes,
          .hello = from.hello,
          .resume_from = from.resume_from,
          .reject_reorder = from.reject_reorder,
          .reconnect = from.reconnect,
          .retry_base_ms = from.retry_base_ms,
          .retry_max_ms = from.retry_max_ms,
          .max_retries = from.max_retries,
          .backend = static_cast<uint32_t>(from.backend),
          .heartbeat_ms = from.heartbeat_ms,
          .idle_timeout_ms = from.idle_timeout_ms};
}

ClientOptions ToCpp(const ombus_client_options& from) {
  ClientOptions to;
  if (from.host != nullptr) to.host = from.host;
  to.port = static_cast<uint16_t>(from.port);
  to.connect_timeout_ms = from.connect_timeout_ms;
  to.receive_buffer_bytes = from.receive_buffer_bytes;
  to.hello = from.hello != 0;
  to.resume_from = from.resume_from;
  to.reject_reorder = from.reject_reorder != 0;
  to.reconnect = from.reconnect != 0;
  to.retry_base_ms = from.retry_base_ms;
  to.retry_max_ms = from.retry_max_ms;
  to.max_retries = from.max_retries;
  to.backend = static_cast<BackendChoice>(from.backend);
  to.heartbeat_ms = from.heartbeat_ms;
  to.idle_timeout_ms = from.idle_timeout_ms;
  return to;
}

ombus_client_result ToC(bool enough, ClientResult end) {
  return enough ? static_cast<ombus_client_result>(end) : OMBUS_CLIENT_NO_MEMORY;
}

Result<ombus_client*> Connect(const char* call, const ombus_client_options* given) {
  ombus_client_options options = Defaults();
  if (Status status = ReadOptions(call, given, kFirstBytes, &options); !status.ok()) return status;
  if (Status status = CheckPort(call, options.port); !status.ok()) return status;
  if (Status status = CheckBackend(call, options.backend); !status.ok()) return status;
  auto client = Client::Connect(ToCpp(options));
  if (!client.ok()) return client.status();
  return new ombus_client{.client = std::move(*client)};
}

}  // namespace
}  // namespace ombus::engine

using ombus::engine::Of;

extern "C" {

ombus_status ombus_client_options_init(ombus_client_options* options, size_t size) noexcept {
  return ombus::engine::InitOptions(options, size, ombus::engine::kFirstBytes,
                                    ombus::engine::Defaults());
}

ombus_client* ombus_client_connect(const ombus_client_options* options,
                                   ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_client_connect";
  return ombus::engine::MakeHandle<ombus_client>(
      kCall, error, [&] { return ombus::engine::Connect(kCall, options); });
}

void ombus_client_close(ombus_client* client) noexcept { delete client; }

ombus_client_result ombus_client_poll(ombus_client* client, ombus_record* record,
                                      uint64_t timeout_ns) noexcept {
  if (client == nullptr || record == nullptr) [[unlikely]]
    return OMBUS_CLIENT_INVALID;
  auto result = ombus::ClientResult::kEmpty;
  const bool enough = client->guard.Run(
      [&] { result = Of(client)->Poll(ombus::engine::AsRecord(record), timeout_ns); });
  return ombus::engine::ToC(enough, result);
}

size_t ombus_client_poll_batch(ombus_client* client, ombus_record* records, size_t max,
                               uint64_t timeout_ns, ombus_client_result* end) noexcept {
  if (client == nullptr || records == nullptr) {
    if (end != nullptr) *end = OMBUS_CLIENT_INVALID;
    return 0;
  }
  auto why = ombus::ClientResult::kEmpty;
  size_t count = 0;
  const bool enough = client->guard.Run([&] {
    count = Of(client)->PollBatch(ombus::engine::AsRecords(records, max), timeout_ns, &why);
  });
  if (end != nullptr) *end = ombus::engine::ToC(enough, why);
  return count;
}

size_t ombus_client_drain(ombus_client* client, size_t max, uint64_t timeout_ns,
                          ombus_record_fn each, void* context, ombus_client_result* end) noexcept {
  if (client == nullptr || each == nullptr) {
    if (end != nullptr) *end = OMBUS_CLIENT_INVALID;
    return 0;
  }
  ombus::ClientResult why = ombus::ClientResult::kEmpty;
  size_t count = 0;
  const auto counted = [&](const ombus::Record& record) {
    ++count;
    each(ombus::engine::AsC(record), context);
  };
  const bool enough =
      client->guard.Run([&] { (void)Of(client)->Drain(max, timeout_ns, &why, counted); });
  if (end != nullptr) *end = ombus::engine::ToC(enough, why);
  return count;
}

int ombus_client_send_heartbeat(ombus_client* client) noexcept {
  bool sent = false;
  if (client != nullptr) {
    (void)client->guard.Run([&] { sent = Of(client)->SendHeartbeat(); });
  }
  return sent;
}

uint64_t ombus_client_wal_seq(const ombus_client* client) noexcept {
  return client == nullptr ? 0 : Of(client)->wal_seq();
}
uint64_t ombus_client_expected_wal_seq(const ombus_client* client) noexcept {
  return client == nullptr ? 0 : Of(client)->expected_wal_seq();
}
uint64_t ombus_client_epoch(const ombus_client* client) noexcept {
  return client == nullptr ? 0 : Of(client)->epoch();
}
int ombus_client_connected(const ombus_client* client) noexcept {
  return client != nullptr && Of(client)->connected() ? 1 : 0;
}
uint32_t ombus_client_reconnects(const ombus_client* client) noexcept {
  return client == nullptr ? 0 : Of(client)->reconnects();
}

void ombus_client_slow_warning(const ombus_client* client, uint32_t* pending_bytes,
                               uint32_t* limit_bytes) noexcept {
  const ombus::SlowWarning warning =
      client == nullptr ? ombus::SlowWarning() : Of(client)->slow_warning();
  if (pending_bytes != nullptr) *pending_bytes = warning.pending_bytes;
  if (limit_bytes != nullptr) *limit_bytes = warning.limit_bytes;
}

ombus_status ombus_client_status(const ombus_client* client, ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_client_status";
  if (client == nullptr) return ombus::engine::ReportNull(kCall, "client", error);
  return ombus::engine::ReportGuarded(kCall, error, [&] { return Of(client)->status(); });
}

const char* ombus_client_backend_name(const ombus_client* client) noexcept {
  return client == nullptr ? "" : Of(client)->backend_name();
}

const char* ombus_client_backend_note(const ombus_client* client) noexcept {
  return client == nullptr ? "" : Of(client)->backend_note();
}

}  // extern "C"

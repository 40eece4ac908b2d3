#include "ombus/ombus_server.h"

#include <memory>
#include <utility>

#include "engine/c_record.h"
#include "engine/c_server_options.h"
#include "engine/c_struct.h"
#include "ombus/server.h"

struct ombus_server {
  std::unique_ptr<ombus::Server> server;
  ombus::engine::MemoryFailStop guard = {};
};

namespace ombus::engine {
namespace {

constexpr bool Same(ombus_event_kind c, ServerEvent::Kind cpp) {
  return static_cast<int>(c) == static_cast<int>(cpp);
}
static_assert(Same(OMBUS_EVENT_CLIENT_JOINED, ServerEvent::Kind::kClientJoined));
static_assert(Same(OMBUS_EVENT_CLIENT_LEFT, ServerEvent::Kind::kClientLeft));
static_assert(Same(OMBUS_EVENT_CLIENT_SLOW, ServerEvent::Kind::kClientSlow));
static_assert(Same(OMBUS_EVENT_CLIENT_CUT, ServerEvent::Kind::kClientCut));
static_assert(Same(OMBUS_EVENT_CLIENT_REFUSED, ServerEvent::Kind::kClientRefused));
static_assert(Same(OMBUS_EVENT_PROTOCOL_ERROR, ServerEvent::Kind::kProtocolError));
static_assert(Same(OMBUS_EVENT_ACCEPT_FAILED, ServerEvent::Kind::kAcceptFailed));
static_assert(Same(OMBUS_EVENT_NOTE, ServerEvent::Kind::kNote));
static_assert(Same(OMBUS_EVENT_CLIENT_SKIPPED, ServerEvent::Kind::kClientSkipped));
static_assert(static_cast<int>(OMBUS_BROADCAST_OK) == static_cast<int>(BroadcastResult::kOk));
static_assert(static_cast<int>(OMBUS_BROADCAST_FULL) == static_cast<int>(BroadcastResult::kFull));
static_assert(static_cast<int>(OMBUS_BROADCAST_TOO_LARGE) ==
              static_cast<int>(BroadcastResult::kTooLarge));
static_assert(static_cast<int>(OMBUS_SHUTDOWN_RESTART) ==
              static_cast<int>(ShutdownReason::kShutdown));
static_assert(static_cast<int>(OMBUS_SHUTDOWN_END_OF_STREAM) ==
              static_cast<int>(ShutdownReason::kEndOfStream));

Server* Of(ombus_server* handle) { return handle->server.get(); }
const Server* Of(const ombus_server* handle) { return handle->server.get(); }

Result<ombus_server*> Create(const char* call, const ombus_server_options* given) {
  const Result<ServerOptions> options = ReadServerOptions(call, given);
  if (!options.ok()) return options.status();
  auto server = Server::Create(*options);
  if (!server.ok()) return server.status();
  return new ombus_server{.server = std::move(*server)};
}

}  // namespace
}  // namespace ombus::engine

using ombus::engine::Of;

extern "C" {

ombus_server* ombus_server_create(const ombus_server_options* options,
                                  ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_server_create";
  return ombus::engine::MakeHandle<ombus_server>(
      kCall, error, [&] { return ombus::engine::Create(kCall, options); });
}

void ombus_server_destroy(ombus_server* server) noexcept { delete server; }

ombus_broadcast_result ombus_server_broadcast(ombus_server* server,
                                              const ombus_record* record) noexcept {
  if (server == nullptr || !ombus::engine::Publishable(record)) [[unlikely]]
    return OMBUS_BROADCAST_INVALID;
  ombus_broadcast_result result = OMBUS_BROADCAST_NO_MEMORY;
  (void)server->guard.Run([&] {
    result = static_cast<ombus_broadcast_result>(
        Of(server)->Broadcast(ombus::engine::AsRecord(*record)));
  });
  return result;
}

void ombus_server_begin_epoch(ombus_server* server, uint64_t epoch, int whole) noexcept {
  if (server != nullptr) Of(server)->BeginEpoch(epoch, whole != 0);
}

ombus_status ombus_server_poll_io(ombus_server* server, uint64_t timeout_ns,
                                  ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_server_poll_io";
  if (server == nullptr) return ombus::engine::ReportNull(kCall, "server", error);
  return ombus::engine::ReportGuarded(kCall, error, server->guard,
                                      [&] { return Of(server)->PollIo(timeout_ns); });
}

int ombus_server_flush(ombus_server* server, uint64_t timeout_ns) noexcept {
  bool flushed = false;
  if (server != nullptr) {
    (void)server->guard.Run([&] { flushed = Of(server)->Flush(timeout_ns); });
  }
  return flushed;
}

void ombus_server_shutdown(ombus_server* server, uint64_t timeout_ns, uint32_t reason) noexcept {
  if (server == nullptr) return;
  const auto why = reason == OMBUS_SHUTDOWN_END_OF_STREAM ? ombus::ShutdownReason::kEndOfStream
                                                          : ombus::ShutdownReason::kShutdown;
  (void)server->guard.Run([&] { Of(server)->Shutdown(timeout_ns, why); });
}

size_t ombus_server_take_events(ombus_server* server, ombus_event_fn each, void* context) noexcept {
  if (server == nullptr || each == nullptr) return 0;
  size_t count = 0;
  const bool enough = ombus::engine::RunGuarded([&] {
    for (const ombus::ServerEvent& event : Of(server)->TakeEvents()) {
      each(static_cast<ombus_event_kind>(event.kind), event.text.c_str(), context);
      ++count;
    }
  });
  return enough ? count : 0;
}

ombus_status ombus_server_get_stats(const ombus_server* server,
                                    ombus_server_stats* stats) noexcept {
  if (server == nullptr) return OMBUS_INVALID_ARGUMENT;
  return ombus::engine::FillServerStats(Of(server)->stats(), stats);
}

uint32_t ombus_server_client_count(const ombus_server* server) noexcept {
  return server == nullptr ? 0 : Of(server)->client_count();
}
uint16_t ombus_server_port(const ombus_server* server) noexcept {
  return server == nullptr ? 0 : Of(server)->port();
}
uint64_t ombus_server_heartbeats_received(const ombus_server* server) noexcept {
  return server == nullptr ? 0 : Of(server)->heartbeats_received();
}
const char* ombus_server_backend_name(const ombus_server* server) noexcept {
  return server == nullptr ? "" : Of(server)->backend_name();
}

}  // extern "C"

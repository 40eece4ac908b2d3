// The clients of ombus/om_bus_tcp.h. They say nothing, as that protocol has it: no HELLO.
#include <memory>
#include <utility>

#include "engine/c_api/backend_environment.h"
#include "engine/c_api/error_code.h"
#include "engine/memory_guard.h"
#include "net/limits.h"
#include "ombus/client.h"
#include "ombus/om_bus_tcp.h"

struct OmBusTcpClient {
  std::unique_ptr<ombus::Client> client;
  ombus::engine::MemoryFailStop guard;
};

struct OmBusTcpAutoClient {
  std::unique_ptr<ombus::Client> client;
  ombus::engine::MemoryFailStop guard;
};

namespace {

using ombus::ClientResult;
using ombus::engine::RunGuarded;

constexpr uint32_t kDefaultRecvBufBytes = 262144;

ombus::ClientOptions OptionsOf(const OmBusTcpClientConfig& config) {
  ombus::ClientOptions options;
  options.host = config.host;
  options.port = config.port;
  options.receive_buffer_bytes =
      config.recv_buf_size == 0 ? kDefaultRecvBufBytes : config.recv_buf_size;
  options.hello = false;
  options.reject_reorder = (config.flags & OM_BUS_FLAG_REJECT_REORDER) != 0;
  return options;
}

ombus::ClientOptions OptionsOf(const OmBusTcpAutoClientConfig& config) {
  ombus::ClientOptions options = OptionsOf(config.base);
  options.reconnect = true;
  options.max_retries = config.max_retries;
  if (config.retry_base_ms != 0) options.retry_base_ms = config.retry_base_ms;
  if (config.retry_max_ms != 0) options.retry_max_ms = config.retry_max_ms;
  return options;
}

int Connect(ombus::ClientOptions options, std::unique_ptr<ombus::Client>* client) {
  const auto backend = ombus::engine::BackendFromEnvironment();
  if (!backend.ok()) return OM_ERR_BUS_INIT;
  options.backend = *backend;
  auto connected = ombus::Client::Connect(options);
  if (!connected.ok()) {
    return ombus::engine::SocketError(connected.status(), OM_ERR_BUS_TCP_CONNECT);
  }
  *client = std::move(*connected);
  return 0;
}

// Either handle: what is behind both is a client.
template <typename Handle, typename Options>
int Make(Handle** out, Options&& options) {
  int code = OM_ERR_BUS_TCP_IO;
  (void)RunGuarded([&] {
    auto handle = std::make_unique<Handle>();
    code = Connect(options(), &handle->client);
    if (code == 0) *out = handle.release();
  });
  return code;
}

int CodeOf(ClientResult result) {
  switch (result) {
    case ClientResult::kRecord:
      return 1;
    case ClientResult::kGap:
      return OM_ERR_BUS_GAP_DETECTED;
    case ClientResult::kReorder:
      return OM_ERR_BUS_REORDER_DETECTED;
    case ClientResult::kSlowWarning:
      return OM_ERR_BUS_TCP_SLOW_WARNING;
    case ClientResult::kEndOfStream:
    case ClientResult::kDisconnected:
      return OM_ERR_BUS_TCP_DISCONNECTED;
    case ClientResult::kProtocolError:
      return OM_ERR_BUS_TCP_PROTOCOL;
    default:  // nothing, or something that this protocol does not tell
      return 0;
  }
}

bool HasRecord(ClientResult result) {
  return result == ClientResult::kRecord || result == ClientResult::kGap ||
         result == ClientResult::kReorder;
}

// Either handle.
template <typename Handle>
int Poll(Handle* handle, OmBusRecord* record) {
  ombus::Record received;
  ClientResult result = ClientResult::kEmpty;
  // What a poll says of a lost connection, and a new one, are allocated.
  if (!handle->guard.Run([&] { result = handle->client->Poll(&received, 0); })) {
    return OM_ERR_BUS_TCP_IO;
  }
  if (HasRecord(result)) {
    record->wal_seq = received.wal_seq;
    record->wal_type = received.type;
    record->payload_len = received.size;
    record->payload = received.payload;
  }
  return CodeOf(result);
}

// A stream's flags may be a client's too, whose frames have no checksum.
bool Complete(const OmBusTcpClientConfig& config) {
  constexpr uint32_t kFlags = OM_BUS_FLAG_REJECT_REORDER | OM_BUS_FLAG_CRC;
  return config.host != nullptr && config.recv_buf_size <= ombus::net::kReceiveBufferBytesMax &&
         (config.flags & ~kFlags) == 0;
}

}  // namespace

int om_bus_tcp_client_connect(OmBusTcpClient** out, const OmBusTcpClientConfig* config) {
  if (out == nullptr) return OM_ERR_BUS_INIT;
  *out = nullptr;
  if (config == nullptr || !Complete(*config)) return OM_ERR_BUS_INIT;
  return Make(out, [&] { return OptionsOf(*config); });
}

int om_bus_tcp_client_poll(OmBusTcpClient* client, OmBusRecord* record) {
  if (client == nullptr || record == nullptr) return OM_ERR_BUS_INIT;
  return Poll(client, record);
}

uint64_t om_bus_tcp_client_wal_seq(const OmBusTcpClient* client) {
  return client == nullptr ? 0 : client->client->wal_seq();
}

void om_bus_tcp_client_close(OmBusTcpClient* client) { delete client; }

int om_bus_tcp_auto_client_create(OmBusTcpAutoClient** out,
                                  const OmBusTcpAutoClientConfig* config) {
  if (out == nullptr) return OM_ERR_BUS_INIT;
  *out = nullptr;
  if (config == nullptr || !Complete(config->base)) return OM_ERR_BUS_INIT;
  return Make(out, [&] { return OptionsOf(*config); });
}

int om_bus_tcp_auto_client_poll(OmBusTcpAutoClient* client, OmBusRecord* record) {
  if (client == nullptr || record == nullptr) return OM_ERR_BUS_INIT;
  return Poll(client, record);
}

uint64_t om_bus_tcp_auto_client_wal_seq(const OmBusTcpAutoClient* client) {
  return client == nullptr ? 0 : client->client->wal_seq();
}

void om_bus_tcp_auto_client_close(OmBusTcpAutoClient* client) { delete client; }

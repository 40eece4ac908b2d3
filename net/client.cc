#include "ombus/client.h"

#include <utility>

#include "net/backend_select.h"
#include "net/basic_client.h"
#include "net/epoll_backend.h"
#include "net/limits.h"
#ifdef OMBUS_HAVE_IOURING
#include "net/uring_backend.h"
#endif

namespace ombus {
namespace net {

Result<UniqueFd> NewClientSocket(const sockaddr_storage& address) {
  // For an unacknowledged HELLO or heartbeat, as long as the keep-alive probes take.
  constexpr uint32_t kUserTimeoutMs = 25'000;
  Result<UniqueFd> fd = NewTcpSocket(address);
  if (!fd.ok()) return fd;
  SetNoDelay(fd->get());
  SetKeepAlive(fd->get());
  SetUserTimeout(fd->get(), kUserTimeoutMs);
  return fd;
}

namespace {

template <Backend B>
class ClientOn final : public Client {
 public:
  ClientOn(std::unique_ptr<B> backend, std::vector<sockaddr_storage> addresses,
           const ClientOptions& options, std::string note)
      : note_(std::move(note)),
        client_(std::move(backend), std::move(addresses), options,
                {.look_up = [host = options.host, port = options.port] {
                  return ResolveHost(host, port);
                }}) {}

  Status ConnectFirst() { return client_.ConnectFirst(); }
  ClientResult Poll(Record* record, uint64_t timeout_ns) override {
    return client_.Poll(record, timeout_ns);
  }
  size_t PollBatch(std::span<Record> out, uint64_t timeout_ns, ClientResult* end) override {
    return client_.PollBatch(out, timeout_ns, end);
  }
  bool SendHeartbeat() override { return client_.SendHeartbeat(); }
  uint64_t wal_seq() const override { return client_.wal_seq(); }
  uint64_t expected_wal_seq() const override { return client_.expected_wal_seq(); }
  uint64_t epoch() const override { return client_.epoch(); }
  SlowWarning slow_warning() const override { return client_.slow_warning(); }
  bool connected() const override { return client_.connected(); }
  bool heard() const override { return client_.heard(); }
  uint32_t reconnects() const override { return client_.reconnects(); }
  Status status() const override { return client_.status(); }
  const char* backend_name() const override { return client_.backend_name(); }
  const char* backend_note() const override { return note_.c_str(); }

 private:
  const std::string note_;
  BasicClient<B> client_;
};

const BackendOptions kClientBackend = {.sockets_hint = 1, .receive_buffers = 0};

template <Backend B>
Result<std::unique_ptr<Client>> ConnectOn(std::unique_ptr<B> backend,
                                          std::vector<sockaddr_storage> addresses,
                                          const ClientOptions& options, std::string note) {
  auto client = std::make_unique<ClientOn<B>>(std::move(backend), std::move(addresses), options,
                                              std::move(note));
  if (Status status = client->ConnectFirst(); !status.ok()) return status;
  return std::unique_ptr<Client>(std::move(client));
}

Status CheckOptions(const ClientOptions& options) {
  const auto bad = [](const char* name, const char* remedy) {
    return Status(StatusCode::kInvalidArgument,
                  "Client::Connect \"" + std::string(name) + "\": EINVAL; " + remedy);
  };
  if (options.host.empty()) return bad("host", "give an address or a name");
  if (options.port == 0) return bad("port", "give the port the server listens on");
  if (options.receive_buffer_bytes > kReceiveBufferBytesMax) {
    return bad("receive_buffer_bytes", "give at most 1 GiB");
  }
  if (options.resume_from != 0 && !options.hello) {
    return bad("resume_from", "a server is asked for it with hello; leave that true, or this 0");
  }
  return Status();
}

}  // namespace
}  // namespace net

Result<std::unique_ptr<Client>> Client::Connect(const ClientOptions& options) {
  if (Status status = net::CheckOptions(options); !status.ok()) return status;
  std::string why;
  const auto kind = net::ChooseBackend(options.backend, &why);
  if (!kind.ok()) return kind.status();
  auto addresses = net::ResolveHost(options.host, options.port);
  if (!addresses.ok()) return addresses.status();
#ifdef OMBUS_HAVE_IOURING
  if (*kind == net::BackendKind::kUring) {
    auto backend = net::UringBackend::Create(net::kClientBackend);
    if (backend.ok()) {
      return net::ConnectOn(std::move(*backend), std::move(*addresses), options, "");
    }
    // The probe was let through and this ring, which is larger, was not.
    if (options.backend == BackendChoice::kUring) return backend.status();
    why = net::WhyEpoll(backend.status());
  }
#endif
  auto backend = net::EpollBackend::Create(net::kClientBackend);
  if (!backend.ok()) return backend.status();
  return net::ConnectOn(std::move(*backend), std::move(*addresses), options, std::move(why));
}

}  // namespace ombus

#include "ombus/server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

#include "net/backend_options.h"
#include "net/backend_select.h"
#include "net/basic_server.h"
#include "net/epoll_backend.h"
#include "net/io_options.h"
#include "net/limits.h"
#ifdef OMBUS_HAVE_IOURING
#include "net/uring_backend.h"
#endif

namespace ombus {
namespace net {

bool PrepareClientSocket(int fd, const ServerOptions& options, sockaddr_storage* peer) {
  SetNoDelay(fd);
  SetKeepAlive(fd);
  if (options.stalled_peer_ms != 0) SetUserTimeout(fd, options.stalled_peer_ms);
  if (options.send_buffer_bytes != 0) {
    const int bytes = static_cast<int>(std::min<uint32_t>(options.send_buffer_bytes, 1u << 30));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  }
  *peer = {};
  socklen_t length = sizeof(*peer);
  return getpeername(fd, reinterpret_cast<sockaddr*>(peer), &length) == 0 || errno != ENOTCONN;
}

namespace {

template <Backend B>
class ServerOn final : public Server {
 public:
  explicit ServerOn(std::unique_ptr<BasicServer<B>> server) : server_(std::move(server)) {}

  BroadcastResult Broadcast(const Record& record) override { return server_->Broadcast(record); }
  size_t BroadcastBatch(std::span<const Record> records, BroadcastResult* end) override {
    return server_->BroadcastBatch(records, end);
  }
  void BeginEpoch(uint64_t epoch, bool whole) override { server_->BeginEpoch(epoch, whole); }
  Status PollIo(uint64_t timeout_ns) override { return server_->Turn(timeout_ns); }
  bool Flush(uint64_t timeout_ns) override { return server_->Flush(timeout_ns); }
  void Shutdown(uint64_t timeout_ns, ShutdownReason reason) override {
    server_->Shutdown(timeout_ns, reason == ShutdownReason::kEndOfStream ? ByeReason::kEndOfStream
                                                                         : ByeReason::kShutdown);
  }
  uint32_t client_count() const override { return server_->client_count(); }
  uint16_t port() const override { return server_->port(); }
  const char* backend_name() const override { return server_->backend_name(); }
  uint64_t heartbeats_received() const override { return server_->heartbeats_received(); }
  uint64_t busy_turns() const override { return server_->busy_turns(); }
  ServerStats stats() const override { return server_->stats(); }
  std::vector<ServerEvent> TakeEvents() override { return server_->TakeEvents(); }

 private:
  std::unique_ptr<BasicServer<B>> server_;
};

template <Backend B>
Result<std::unique_ptr<Server>> CreateOn(std::unique_ptr<B> backend, UniqueFd listener,
                                         const ServerOptions& options, std::string note) {
  auto server = BasicServer<B>::Create(std::move(backend), std::move(listener), options);
  if (!server.ok()) return server.status();
  if (!note.empty()) (*server)->Note(std::move(note));
  return std::unique_ptr<Server>(std::make_unique<ServerOn<B>>(std::move(*server)));
}

}  // namespace
}  // namespace net

Result<std::unique_ptr<Server>> Server::Create(const ServerOptions& options) {
  std::string why;
  const auto kind = net::ChooseBackend(options.backend, &why);
  if (!kind.ok()) return kind.status();
  Result<net::UniqueFd> listener = net::Listen(options.address, options.port, net::kListenQueueMax);
  if (!listener.ok()) return listener.status();
#ifdef OMBUS_HAVE_IOURING
  if (*kind == net::BackendKind::kUring) {
    auto backend = net::UringBackend::Create(net::BackendOptionsOf(options));
    if (backend.ok()) return net::CreateOn(std::move(*backend), std::move(*listener), options, "");
    // The probe was let through and this ring, which is larger, was not.
    if (options.backend == BackendChoice::kUring) return backend.status();
    why = net::WhyEpoll(backend.status());
  }
#endif
  auto backend = net::EpollBackend::Create(net::BackendOptionsOf(options));
  if (!backend.ok()) return backend.status();
  return net::CreateOn(std::move(*backend), std::move(*listener), options, std::move(why));
}

}  // namespace ombus

#include "ombus/relay.h"

#include <memory>
#include <string>
#include <utility>

#include "engine/basic_relay.h"
#include "net/backend_select.h"
#include "net/basic_server.h"
#include "net/epoll_backend.h"
#include "net/io_options.h"
#include "net/socket.h"
#ifdef OMBUS_HAVE_IOURING
#include "net/uring_backend.h"
#endif

namespace ombus {
namespace engine {
namespace {

constexpr int kListenBacklog = 1024;

struct Parts {
  net::UniqueFd listener;
  std::unique_ptr<WakeSet> wake;
  std::string note;  // for the operator, once Run starts
};

template <net::Backend B>
Result<std::unique_ptr<Relay>> CreateOn(const RelayOptions& options, std::unique_ptr<B> backend,
                                        Parts parts) {
  auto server =
      net::BasicServer<B>::Create(std::move(backend), std::move(parts.listener), options.server);
  if (!server.ok()) return server.status();
  return std::unique_ptr<Relay>(std::make_unique<RelayOn<net::BasicServer<B>>>(
      options, std::move(*server), std::move(parts.wake), std::move(parts.note)));
}

Status Check(const RelayOptions& options) {
  if (options.stream.size() < 2 || options.stream[0] != '/') {
    return Status(StatusCode::kInvalidArgument,
                  "relay stream \"" + options.stream +
                      "\": EINVAL; a stream's name is a slash and then no other, as /orders");
  }
  if (options.cpu < -1 || (options.cpu >= 0 && !CpuIsAllowed(options.cpu))) {
    return Status(StatusCode::kInvalidArgument,
                  "relay cpu \"" + std::to_string(options.cpu) +
                      "\": EINVAL; -1 leaves the thread where it is, else choose one of " +
                      AllowedCpus());
  }
  return BurstPolicy::Check(options.burst_min, options.burst_max);
}

Result<Parts> MakeParts(const RelayOptions& options) {
  Parts parts;
  auto listener = net::Listen(options.server.address, options.server.port, kListenBacklog);
  if (!listener.ok()) return listener.status();
  auto wake = WakeSet::Create();
  if (!wake.ok()) return wake.status();
  parts.listener = std::move(*listener);
  parts.wake = std::move(*wake);
  return parts;
}

}  // namespace
}  // namespace engine

Result<std::unique_ptr<Relay>> Relay::Create(const RelayOptions& options) {
  if (Status status = engine::Check(options); !status.ok()) return status;
  std::string why;
  const auto kind = net::ChooseBackend(options.server.backend, &why);
  if (!kind.ok()) return kind.status();
  Result<engine::Parts> parts = engine::MakeParts(options);
  if (!parts.ok()) return parts.status();
#ifdef OMBUS_HAVE_IOURING
  if (*kind == net::BackendKind::kUring) {
    auto uring = net::UringBackend::Create(net::BackendOptionsOf(options.server));
    if (uring.ok()) return engine::CreateOn(options, std::move(*uring), std::move(*parts));
    if (options.server.backend == BackendChoice::kUring) return uring.status();
    why = uring.status().message();  // the kernel's limits, most likely: epoll needs less
  }
#endif
  auto epoll = net::EpollBackend::Create(net::BackendOptionsOf(options.server));
  if (!epoll.ok()) return epoll.status();
  parts->note = std::move(why);
  return engine::CreateOn(options, std::move(*epoll), std::move(*parts));
}

}  // namespace ombus

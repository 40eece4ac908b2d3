#include "ombus/relay.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/basic_relay.h"
#include "engine/egress_group.h"
#include "engine/fork_safe_relay.h"
#include "net/backend_select.h"
#include "net/basic_server.h"
#include "net/epoll_backend.h"
#include "net/io_options.h"
#include "net/limits.h"
#include "net/socket.h"
#ifdef OMBUS_HAVE_IOURING
#include "net/uring_backend.h"
#endif

namespace ombus {
namespace engine {
namespace {

constexpr uint32_t kEgressThreadsMax = 64;

struct Parts {
  net::UniqueFd listener;
  std::unique_ptr<WakeSet> wake;
  std::string note;  // for the operator, once Run starts
};

template <typename S>
std::unique_ptr<Relay> RelayOver(std::unique_ptr<S> server, const RelayOptions& options,
                                 Parts* parts) {
  return std::make_unique<ForkSafeRelay>(std::make_unique<RelayOn<S>>(
      options, std::move(server), std::move(parts->wake), std::move(parts->note)));
}

// One back end serves all clients in the relay's own thread; more have a thread each.
template <net::Backend B>
Result<std::unique_ptr<Relay>> CreateOn(const RelayOptions& options,
                                        std::vector<std::unique_ptr<B>> backends, Parts parts) {
  if (backends.size() == 1) {
    auto server = net::BasicServer<B>::Create(std::move(backends[0]), std::move(parts.listener),
                                              options.server);
    if (!server.ok()) return server.status();
    return RelayOver(std::move(*server), options, &parts);
  }
  auto group = EgressGroup<B>::Create(options, std::move(backends), std::move(parts.listener));
  if (!group.ok()) return group.status();
  return RelayOver(std::move(*group), options, &parts);
}

template <net::Backend B>
Result<std::vector<std::unique_ptr<B>>> CreateBackends(const RelayOptions& options) {
  std::vector<std::unique_ptr<B>> backends;
  while (backends.size() < std::max<uint32_t>(options.egress_threads, 1)) {
    auto backend = B::Create(net::BackendOptionsOf(options.server));
    if (!backend.ok()) return backend.status();
    backends.push_back(std::move(*backend));
  }
  return backends;
}

Status BadCpu(const char* option, int cpu, const char* none) {
  return Status(StatusCode::kInvalidArgument, "relay " + std::string(option) + " \"" +
                                                  std::to_string(cpu) + "\": EINVAL; " + none +
                                                  ", else choose one of " + AllowedCpus());
}

Status CheckEgress(const RelayOptions& options) {
  if (options.egress_threads > kEgressThreadsMax) {
    return Status(StatusCode::kInvalidArgument,
                  "relay egress_threads \"" + std::to_string(options.egress_threads) +
                      "\": EINVAL; give at most " + std::to_string(kEgressThreadsMax));
  }
  const size_t cpus = options.egress_cpus.size();
  if (cpus != 0 && (options.egress_threads < 2 || cpus != options.egress_threads)) {
    return Status(StatusCode::kInvalidArgument,
                  "relay egress_cpus of " + std::to_string(cpus) +
                      ": EINVAL; give one for each of egress_threads, two or more, or none");
  }
  for (const int cpu : options.egress_cpus) {
    if (cpu < 0 || !CpuIsAllowed(cpu)) {
      return BadCpu("egress_cpus", cpu, "none at all leaves the threads where they are");
    }
  }
  return Status();
}

Status Check(const RelayOptions& options) {
  if (options.stream.size() < 2 || options.stream[0] != '/') {
    return Status(StatusCode::kInvalidArgument,
                  "relay stream \"" + options.stream +
                      "\": EINVAL; a stream's name is a slash and then no other, as /orders");
  }
  if (options.cpu < -1 || (options.cpu >= 0 && !CpuIsAllowed(options.cpu))) {
    return BadCpu("cpu", options.cpu, "-1 leaves the thread where it is");
  }
  if (Status status = CheckEgress(options); !status.ok()) return status;
  return BurstPolicy::Check(options.burst_min, options.burst_max);
}

Result<Parts> MakeParts(const RelayOptions& options) {
  Parts parts;
  auto listener = net::Listen(options.server.address, options.server.port, net::kListenQueueMax);
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
    auto uring = engine::CreateBackends<net::UringBackend>(options);
    if (uring.ok()) return engine::CreateOn(options, std::move(*uring), std::move(*parts));
    if (options.server.backend == BackendChoice::kUring) return uring.status();
    why = uring.status().message();  // the kernel's limits, most likely: epoll needs less
  }
#endif
  auto epoll = engine::CreateBackends<net::EpollBackend>(options);
  if (!epoll.ok()) return epoll.status();
  parts->note = std::move(why);
  return engine::CreateOn(options, std::move(*epoll), std::move(*parts));
}

}  // namespace ombus

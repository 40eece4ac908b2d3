#include "net/io_options.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "net/socket.h"

namespace ombus::net {
namespace {

constexpr uint32_t kBusyPollMaxUs = 1'000'000;  // more is a mistake of units

std::string AvailableCongestionControls() {
  UniqueFd fd(open("/proc/sys/net/ipv4/tcp_available_congestion_control", O_RDONLY | O_CLOEXEC));
  char text[256];
  const ssize_t n = fd.ok() ? read(fd.get(), text, sizeof text) : -1;
  if (n <= 0) return "see sysctl net.ipv4.tcp_available_congestion_control";
  return "this host has " + std::string(text, static_cast<size_t>(n) - (text[n - 1] == '\n'));
}

Status SetBusyPoll(int fd, uint32_t us) {
  const int value = static_cast<int>(std::min(us, kBusyPollMaxUs));
  if (setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof value) == 0) return {};
  return SystemStatus("setsockopt(SO_BUSY_POLL)", std::to_string(us) + " us", errno,
                      errno == EPERM
                          ? "before Linux 6.4 more than net.core.busy_read needs CAP_NET_ADMIN: "
                            "raise that sysctl, or grant it (setcap cap_net_admin+ep)"
                          : "this kernel has no busy polling; leave it 0");
}

Status SetCongestionControl(int fd, const std::string& name) {
  const auto bytes = static_cast<socklen_t>(name.size());
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), bytes) == 0) return {};
  const int error = errno;
  Status status = SystemStatus(
      "setsockopt(TCP_CONGESTION)", name, error,
      error == EPERM ? "it is not in net.ipv4.tcp_allowed_congestion_control: add it there, or "
                       "grant CAP_NET_ADMIN"
                     : AvailableCongestionControls() + "; load another with modprobe tcp_NAME");
  return error == ENOENT ? Status(StatusCode::kInvalidArgument, status.message()) : status;
}

Status SetIncomingCpu(int fd, int cpu) {
  if (setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof cpu) == 0) return {};
  return SystemStatus("setsockopt(SO_INCOMING_CPU)", "cpu " + std::to_string(cpu), errno,
                      "name a cpu of this host, or -1");
}

}  // namespace

Status PrepareListener(int fd, const IoOptions& io) {
  Status status;
  if (io.busy_poll_us != 0) status = SetBusyPoll(fd, io.busy_poll_us);
  if (status.ok() && !io.congestion_control.empty()) {
    status = SetCongestionControl(fd, io.congestion_control);
  }
  if (status.ok() && io.incoming_cpu >= 0) status = SetIncomingCpu(fd, io.incoming_cpu);
  return status;
}

Status ProbeBusyPoll() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return SystemStatus("socket", "AF_INET", errno, "check ulimit -n");
  int us = 0;
  socklen_t bytes = sizeof us;
  getsockopt(fd.get(), SOL_SOCKET, SO_BUSY_POLL, &us, &bytes);
  return SetBusyPoll(fd.get(), static_cast<uint32_t>(us) + 1);
}

BackendOptions BackendOptionsOf(const ServerOptions& options) {
  return {.sockets_hint = options.max_clients + 2,  // the listener and a wake-up
          .send_mode = options.io.send_mode,
          .napi_busy_poll_us = options.io.napi_busy_poll_us,
          .sq_poll = options.io.sq_poll,
          .sq_poll_cpu = options.io.sq_poll_cpu,
          .sq_poll_idle_ms = options.io.sq_poll_idle_ms};
}

const char* NameOf(SendMode mode) {
  switch (mode) {
    case SendMode::kFixed:
      return "fixed";
    case SendMode::kPlain:
      return "plain";
    case SendMode::kZeroCopy:
      return "zc";
    case SendMode::kAuto:
      return "auto";
  }
  return "unknown";
}

}  // namespace ombus::net

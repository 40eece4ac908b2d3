#include "net/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ring/base/above_stdio.h"
#include "ring/base/errno_name.h"

namespace ombus::net {
namespace {

StatusCode CodeOf(int error) {
  switch (error) {
    case EADDRINUSE:
    case EEXIST:
      return StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
      return StatusCode::kPermissionDenied;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:
      return StatusCode::kResourceExhausted;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EINVAL:
      return StatusCode::kInvalidArgument;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
    case EPIPE:
      return StatusCode::kUnavailable;
    case ENOSYS:
    case EOPNOTSUPP:
      return StatusCode::kUnsupported;
    default:
      return StatusCode::kInternal;
  }
}

std::string RemedyForListen(int error, uint16_t port) {
  switch (error) {
    case EADDRINUSE:
      return absl::StrCat("stop who listens there (ss -ltnp 'sport = :", port,
                          "') or choose another port");
    case EACCES:
      return "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one";
    case EADDRNOTAVAIL:
      return "no interface of this host has that address (ip address)";
    default:
      return "check the address and the limits of this process";
  }
}

Result<UniqueFd> NewSocket(int family) {
  UniqueFd fd(AboveStdio(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)));
  if (!fd.ok()) {
    return SystemStatus("socket", family == AF_INET6 ? "IPv6" : "IPv4", errno,
                        "check the descriptor limit (ulimit -n)");
  }
  return fd;
}

}  // namespace

Status SystemStatus(const std::string& call, const std::string& object, int error,
                    const std::string& remedy) {
  return Status(CodeOf(error),
                absl::StrCat(call, " \"", object, "\": ", ErrnoName(error), "; ", remedy));
}

std::string RemedyForConnect(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "check that a server listens there";
    case ETIMEDOUT:
      return "check that the host is up and no firewall drops the packets";
    case EHOSTUNREACH:
      return "check that the host is up and on this network, and that no firewall rejects it";
    case ENETUNREACH:
      return "this host has no route to that network; check the address and the routes (ip route)";
    case EACCES:
    case EPERM:
      return "a rule of this host's firewall forbids it";
    case EADDRNOTAVAIL:
      return "no local port or address is left for it; check net.ipv4.ip_local_port_range";
    default:
      return "check the address, and that a server listens there";
  }
}

socklen_t AddressBytes(const sockaddr_storage& address) {
  return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

Result<sockaddr_storage> ParseAddress(const std::string& text, uint16_t port) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return storage;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return storage;
  }
  return Status(StatusCode::kInvalidArgument,
                absl::StrCat("address \"", text,
                             "\": neither IPv4 nor IPv6; write 127.0.0.1, ::1, "
                             "0.0.0.0 or ::"));
}

Result<std::vector<sockaddr_storage>> ResolveHost(const std::string& host, uint16_t port) {
  if (Result<sockaddr_storage> numeric = ParseAddress(host, port); numeric.ok()) {
    return std::vector<sockaddr_storage>{*numeric};
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failure != 0) {
    return Status(failure == EAI_AGAIN ? StatusCode::kUnavailable : StatusCode::kNotFound,
                  absl::StrCat("getaddrinfo \"", host, "\": ", gai_strerror(failure),
                               "; check the name and /etc/resolv.conf"));
  }
  std::vector<sockaddr_storage> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
    sockaddr_storage storage{};
    std::memcpy(&storage, at->ai_addr, at->ai_addrlen);
    addresses.push_back(storage);
  }
  freeaddrinfo(found);
  if (addresses.empty()) {
    return Status(StatusCode::kNotFound,
                  absl::StrCat("getaddrinfo \"", host, "\": no IPv4 or IPv6 address"));
  }
  return addresses;
}

std::string FormatAddress(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return absl::StrCat("[", text, "]:", ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  return absl::StrCat(text, ":", ntohs(v4.sin_port));
}

std::string PeerName(int fd) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &bytes) != 0) return "unknown peer";
  return FormatAddress(storage);
}

uint16_t LocalPort(int fd) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &bytes) != 0) return 0;
  if (storage.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

Result<UniqueFd> Listen(const std::string& address, uint16_t port, int backlog) {
  Result<sockaddr_storage> parsed = ParseAddress(address, port);
  if (!parsed.ok()) return parsed.status();
  Result<UniqueFd> made = NewSocket(parsed->ss_family);
  if (!made.ok()) return made.status();
  const int on = 1;
  setsockopt(made->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const char* call = "bind";
  int result =
      bind(made->get(), reinterpret_cast<const sockaddr*>(&*parsed), AddressBytes(*parsed));
  if (result == 0) {
    call = "listen";
    result = listen(made->get(), backlog);
  }
  if (result != 0) {
    const int error = errno;
    return SystemStatus(call, FormatAddress(*parsed), error, RemedyForListen(error, port));
  }
  return made;
}

Result<UniqueFd> NewTcpSocket(const sockaddr_storage& address) {
  return NewSocket(address.ss_family);
}

void SetKeepAlive(int fd) {
  const int on = 1, idle_s = 10, interval_s = 5, probes = 3;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void SetUserTimeout(int fd, uint32_t timeout_ms) {
  const int value = static_cast<int>(std::min<uint32_t>(timeout_ms, 1u << 30));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value));
}

bool AllAcknowledged(int fd) {
  int unacknowledged = 0;
  return ioctl(fd, SIOCOUTQ, &unacknowledged) != 0 || unacknowledged == 0;
}

void ResetConnection(int fd) {
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  (void)connect(fd, &nowhere, sizeof nowhere);
}

Status MakeNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return SystemStatus("fcntl", absl::StrCat("descriptor ", fd), errno, "is it open?");
  }
  return Status();
}

void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace ombus::net

// The yardstick of ombus bench --mode rtt: send and recv on non-blocking TCP sockets, with nothing
// around them. Each in one thread; Receive polls busily.
#ifndef OMBUS_TOOLS_BENCH_BARE_SOCKET_H_
#define OMBUS_TOOLS_BENCH_BARE_SOCKET_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "ombus/status.h"
#include "tools/cpu.h"
#include "tools/errno_status.h"

namespace ombus::tools {

inline constexpr uint64_t kSpinsPerClock = 4096;

// The deadline, looked at seldom: a clock read per spin would be part of what is measured.
class Patience {
 public:
  explicit Patience(uint64_t deadline_ns) : deadline_ns_(deadline_ns) {}
  bool over() { return ++spins_ % kSpinsPerClock == 0 && NowNs() > deadline_ns_; }

 private:
  uint64_t deadline_ns_, spins_ = 0;
};

class BareSocket {
 public:
  explicit BareSocket(uint32_t bytes) : buffer_(bytes) {}
  ~BareSocket() {
    if (fd_ >= 0) close(fd_);
  }
  BareSocket(const BareSocket&) = delete;
  BareSocket& operator=(const BareSocket&) = delete;

  Status Accept(std::atomic<uint64_t>* port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(0);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (listener < 0 || bind(listener, any, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, any, &length) != 0) {
      return ErrnoStatus("listen", "127.0.0.1:0", errno, "check the loopback interface");
    }
    port->store(ntohs(address.sin_port), std::memory_order_release);
    fd_ = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
    return Prepare();
  }
  Status Connect(uint16_t port) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(port);
    if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return ErrnoStatus("connect", "127.0.0.1", errno, "check the loopback interface");
    }
    return Prepare();
  }

  bool Send() {
    return send(fd_, buffer_.data(), buffer_.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(buffer_.size());
  }
  bool Receive(Patience* patience) {
    size_t got = 0;
    while (got < buffer_.size()) {
      const ssize_t n = recv(fd_, buffer_.data() + got, buffer_.size() - got, MSG_DONTWAIT);
      if (n > 0) got += static_cast<size_t>(n);
      if (n == 0 || (n < 0 && errno != EAGAIN) || patience->over()) return false;
    }
    return true;
  }

 private:
  static sockaddr_in Loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  Status Prepare() {
    const int on = 1;
    if (fd_ >= 0 && setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0) return {};
    return ErrnoStatus("setsockopt", "TCP_NODELAY", errno, "check the loopback interface");
  }

  int fd_ = -1;
  std::vector<unsigned char> buffer_;
};

// The same over a connection per direction, as a server and a client of ombus have them: no answer
// carries the acknowledgement, so the kernel sends those alone. Tells ombus' share from TCP's.
class BarePair {
 public:
  explicit BarePair(uint32_t bytes) : out_(bytes), in_(bytes) {}
  BareSocket& out() { return out_; }
  BareSocket& in() { return in_; }
  bool Send() { return out_.Send(); }
  bool Receive(Patience* patience) { return in_.Receive(patience); }

 private:
  BareSocket out_, in_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_BENCH_BARE_SOCKET_H_

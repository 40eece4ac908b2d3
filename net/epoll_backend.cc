#include "net/epoll_backend.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace ombus::net {
namespace {

template <typename Call>
int32_t RetryOnSignal(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0) return static_cast<int32_t>(result);
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

}  // namespace

Result<std::unique_ptr<EpollBackend>> EpollBackend::Create(const BackendOptions& options) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.ok()) {
    return SystemStatus("epoll_create1", "epoll", errno, "check the descriptor limit (ulimit -n)");
  }
  return std::unique_ptr<EpollBackend>(new EpollBackend(std::move(epoll), options));
}

EpollBackend::EpollBackend(UniqueFd epoll, const BackendOptions& options)
    : epoll_(std::move(epoll)),
      receive_buffer_(options.receive_buffers == 0 ? 0 : options.receive_buffer_bytes) {
  std::string without;
  if (options.send_mode == SendMode::kZeroCopy || options.send_mode == SendMode::kAuto) {
    without += " zero-copy sends,";
  }
  if (options.napi_busy_poll_us != 0) without += " NAPI busy polling,";
  if (options.sq_poll) without += " a polling kernel thread,";
  if (without.empty()) return;
  without.back() = ';';
  note_ = "epoll \"options\": has no" + without + " use io_uring, or leave them out";
}

EpollBackend::~EpollBackend() {
  for (size_t id = 0; id < sockets_.size(); ++id) {
    if (sockets_[id].open) close(static_cast<int>(id));
  }
}

Result<SocketId> EpollBackend::Adopt(int fd) {
  if (Status status = MakeNonBlocking(fd); !status.ok()) return status;
  if (sockets_.size() <= static_cast<size_t>(fd)) sockets_.resize(static_cast<size_t>(fd) + 1);
  const uint32_t generation = sockets_[fd].generation + 1;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = uint64_t{generation} << 32 | static_cast<uint32_t>(fd);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return SystemStatus("epoll_ctl", "descriptor " + std::to_string(fd), errno,
                        "check /proc/sys/fs/epoll/max_user_watches");
  }
  sockets_[fd] = Socket{};
  sockets_[fd].generation = generation;
  sockets_[fd].open = true;
  // Optimistic: the first try finds out, without waiting for an edge.
  sockets_[fd].readable = sockets_[fd].writable = true;
  ++open_sockets_;
  return fd;
}

void EpollBackend::ListReady(SocketId id) {
  if (!Usable(id) || sockets_[id].ready_listed) return;
  sockets_[id].ready_listed = true;
  ready_.push_back(id);
}

int32_t EpollBackend::SendNow(SocketId id, std::span<const std::byte> bytes) {
  if (!Usable(id)) return -EBADF;
  ++stats_.enters;
  ++stats_.sends_plain;
  return RetryOnSignal(
      [&] { return send(id, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
}

int32_t EpollBackend::ReceiveNow(SocketId id, std::span<std::byte> into) {
  if (!Usable(id)) return -EBADF;
  ++stats_.enters;
  return RetryOnSignal([&] { return recv(id, into.data(), into.size(), MSG_DONTWAIT); });
}

int32_t EpollBackend::AcceptNow(int fd) {
  ++stats_.enters;
  return RetryOnSignal([&] { return accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); });
}

int32_t EpollBackend::ConnectNow(int fd, std::span<const std::byte> address) {
  ++stats_.enters;
  const auto* storage = reinterpret_cast<const sockaddr_storage*>(address.data());
  // Not retried: an interrupted connect goes on by itself.
  if (connect(fd, reinterpret_cast<const sockaddr*>(storage), AddressBytes(*storage)) == 0)
    return 0;
  return errno == EINTR ? -EINPROGRESS : -errno;
}

int32_t EpollBackend::ConnectResult(int fd) const {
  int error = 0;
  socklen_t bytes = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return -errno;
  if (error != 0) return -error;
  // A socket that never was connected reports an edge too: only a peer proves the connection.
  sockaddr_storage peer;
  socklen_t peer_bytes = sizeof peer;
  const bool connected = getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_bytes) == 0;
  return connected ? 0 : -EINPROGRESS;
}

bool EpollBackend::PollNow(int fd) const {
  pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&poll_fd, 1, 0) > 0;
}

int EpollBackend::WaitEvents(uint64_t timeout_ns) {
  ++stats_.enters;
  timespec timeout{};
  if (timeout_ns != kForeverNs) {
    timeout.tv_sec = static_cast<time_t>(timeout_ns / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(timeout_ns % 1'000'000'000);
  }
#ifdef SYS_epoll_pwait2
  const long count =
      syscall(SYS_epoll_pwait2, epoll_.get(), events_.data(), static_cast<int>(events_.size()),
              timeout_ns == kForeverNs ? nullptr : &timeout, nullptr, size_t{0});
  if (count >= 0) return static_cast<int>(count);
  if (errno == EINTR) return 0;
  if (errno != ENOSYS) return -errno;
#endif
  // Before Linux 5.11: milliseconds, rounded up so that a short wait does not become a spin.
  const int timeout_ms =
      timeout_ns == kForeverNs
          ? -1
          : static_cast<int>(std::min<uint64_t>((timeout_ns + 999'999) / 1'000'000, 1 << 30));
  const int waited =
      epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
  if (waited >= 0) return waited;
  return errno == EINTR ? 0 : -errno;
}

void EpollBackend::Retire(Socket& socket) {
  const uint32_t generation = socket.generation;
  socket = Socket{};
  socket.generation = generation;
  --open_sockets_;
}

int32_t EpollBackend::CloseNow(int fd) {
  ++stats_.enters;
  // A forked child may hold a copy of the descriptor: without this its events would go on.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  return close(fd) == 0 ? 0 : -errno;
}

// One of a kind at a time.
bool EpollBackend::IsArmed(const Socket& socket, Op op) {
  switch (op) {
    case Op::kAccept:
      return socket.accept.armed;
    case Op::kReceive:
      return socket.receive.armed;
    case Op::kPollIn:
      return socket.poll_in.armed;
    case Op::kPollOut:
      return socket.poll_out.armed;
    case Op::kConnect:
      return socket.connect.armed;
    case Op::kSend:
    case Op::kClose:
      break;
  }
  return false;
}

void EpollBackend::FinishSending(SocketId id) {
  if (!Usable(id)) return;
  ++stats_.enters;
  shutdown(id, SHUT_WR);  // a failure means that the peer is gone, which receiving tells
}

bool EpollBackend::AllDelivered(SocketId id) const { return !Usable(id) || AllAcknowledged(id); }

uint64_t EpollBackend::NowNs() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace ombus::net

// EpollBackend: the Backend contract over epoll and plain system calls, for kernels and containers
// that refuse io_uring.
//
// Each socket is registered once, edge-triggered for both directions; a flag per direction says
// whether the kernel might have something. An operation is tried when its flag is up and waits for
// the next edge when the kernel says EAGAIN. So there is one epoll_ctl in a socket's life, and an
// idle busy turn is a single epoll_wait.
//
// Threads: one at a time. Not for: regular files.
#ifndef OMBUS_NET_EPOLL_BACKEND_H_
#define OMBUS_NET_EPOLL_BACKEND_H_

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/backend.h"
#include "net/backend_options.h"
#include "net/socket.h"

namespace ombus::net {

class EpollBackend {
 public:
  static Result<std::unique_ptr<EpollBackend>> Create(const BackendOptions& options = {});
  ~EpollBackend();
  EpollBackend(const EpollBackend&) = delete;
  EpollBackend& operator=(const EpollBackend&) = delete;

  Status RegisterMemory(std::span<std::byte>) { return Status(); }  // plain sends need none
  Result<SocketId> Adopt(int fd);
  void Accept(SocketId id, uint64_t token) { Queue({Op::kAccept, id, token, {}, {}}); }
  void Receive(SocketId id, uint64_t token) { Queue({Op::kReceive, id, token, {}, {}}); }
  void ReceiveInto(SocketId id, std::span<std::byte> into, uint64_t token) {
    Queue({Op::kReceive, id, token, into, {}});
  }
  int32_t ReceiveNow(SocketId id, std::span<std::byte> into);
  void Send(SocketId id, std::span<const std::byte> bytes, uint64_t token) {
    Queue({Op::kSend, id, token, {}, bytes});
  }
  int32_t SendNow(SocketId id, std::span<const std::byte> bytes);
  void PollOut(SocketId id, uint64_t token) { Queue({Op::kPollOut, id, token, {}, {}}); }
  void PollIn(SocketId id, uint64_t token) { Queue({Op::kPollIn, id, token, {}, {}}); }
  void Connect(SocketId id, const sockaddr_storage& address, uint64_t token) {
    Queue({Op::kConnect, id, token, {}, std::as_bytes(std::span(&address, 1))});
  }
  bool HeldByPeer(SocketId) const { return false; }
  void FinishSending(SocketId id);
  bool AllDelivered(SocketId id) const;
  void Close(SocketId id, uint64_t token) { Queue({Op::kClose, id, token, {}, {}}); }

  template <typename Sink>
  Status Turn(Sink& sink, uint64_t timeout_ns);

  uint64_t NowNs() const;
  BackendStats stats() const { return stats_; }
  const char* name() const { return "epoll"; }
  std::string TakeNote() { return std::exchange(note_, {}); }

 private:
  struct Queued {
    Op op;
    SocketId id;
    uint64_t token;
    std::span<std::byte> into;
    std::span<const std::byte> bytes;
  };
  struct Pending {
    bool armed = false;
    uint64_t token = 0;
  };
  struct Socket {
    bool open = false;
    bool readable = false, writable = false;  // what the last edge or call said
    bool ready_listed = false;                // in ready_: more to read than one turn takes
    uint32_t generation = 0;                  // tells an old event from a new socket's
    Pending accept, receive, poll_in, poll_out, connect;
    std::span<std::byte> into;  // of receive; empty: multishot
  };

  EpollBackend(UniqueFd epoll, const BackendOptions& options);
  void Queue(const Queued& queued) { queue_.push_back(queued); }
  bool Usable(SocketId id) const {
    return id >= 0 && static_cast<size_t>(id) < sockets_.size() && sockets_[id].open;
  }
  // One system call each, so that the template below holds no more than the order of things.
  int32_t AcceptNow(int fd);
  int32_t ConnectNow(int fd, std::span<const std::byte> address);
  int32_t ConnectResult(int fd) const;  // -EINPROGRESS while it is under way
  bool PollNow(int fd) const;
  int WaitEvents(uint64_t timeout_ns);
  void Retire(Socket& socket);  // nothing more is taken for it
  int32_t CloseNow(int fd);

  template <typename Sink>
  void Deliver(Sink& sink, uint64_t token, Op op, int32_t result, bool more = false,
               std::span<const std::byte> data = {}) {
    delivered_ = true;
    sink.OnCompletion({.token = token, .op = op, .more = more, .result = result, .data = data});
  }
  template <typename Sink>
  void Finish(Sink& sink, Pending& pending, Op op, int32_t result) {
    pending.armed = false;
    Deliver(sink, pending.token, op, result);
  }
  template <typename Sink>
  void Start(Sink& sink, const Queued& queued);
  static bool IsArmed(const Socket& socket, Op op);
  template <typename Sink>
  void CloseSocket(Sink& sink, SocketId id, uint64_t token);
  template <typename Sink>
  void TryReads(Sink& sink, SocketId id);
  template <typename Sink>
  void TryAccepts(Sink& sink, SocketId id);
  template <typename Sink>
  void TryReceives(Sink& sink, SocketId id);
  template <typename Sink>
  void OnEvent(Sink& sink, const epoll_event& event);
  void ListReady(SocketId id);

  // So that one busy socket cannot keep the others waiting.
  static constexpr int kReadsPerTurn = 16;

  UniqueFd epoll_;
  std::vector<Socket> sockets_;  // by descriptor, which is the id
  std::vector<Queued> queue_, working_;
  std::vector<SocketId> ready_, ready_working_;
  std::vector<std::byte> receive_buffer_;
  std::array<epoll_event, 256> events_;
  size_t open_sockets_ = 0;
  bool delivered_ = false;
  BackendStats stats_;
  std::string note_;
};

template <typename Sink>
Status EpollBackend::Turn(Sink& sink, uint64_t timeout_ns) {
  delivered_ = false;
  working_.swap(queue_);
  for (const Queued& queued : working_) Start(sink, queued);
  working_.clear();

  ready_working_.swap(ready_);
  for (const SocketId id : ready_working_) {
    if (!Usable(id)) continue;
    sockets_[id].ready_listed = false;
    TryReads(sink, id);
  }
  ready_working_.clear();

  if (open_sockets_ == 0 && (timeout_ns == 0 || timeout_ns == kForeverNs)) return Status();
  const bool busy = delivered_ || !queue_.empty() || !ready_.empty();
  const int count = WaitEvents(busy ? 0 : timeout_ns);
  if (count < 0) return SystemStatus("epoll_pwait2", "epoll", -count, "this is a defect of ombus");
  for (int i = 0; i < count; ++i) OnEvent(sink, events_[i]);
  return Status();
}

template <typename Sink>
void EpollBackend::Start(Sink& sink, const Queued& queued) {
  const SocketId id = queued.id;
  if (!Usable(id)) return Deliver(sink, queued.token, queued.op, -EBADF);
  Socket& socket = sockets_[id];
  if (IsArmed(socket, queued.op)) return Deliver(sink, queued.token, queued.op, -EALREADY);
  switch (queued.op) {
    case Op::kSend: {
      const int32_t sent = SendNow(id, queued.bytes);
      if (sent == -EAGAIN) socket.writable = false;
      return Deliver(sink, queued.token, Op::kSend, sent);
    }
    case Op::kPollOut:
      if (socket.writable) return Deliver(sink, queued.token, Op::kPollOut, 0);
      socket.poll_out = {true, queued.token};
      return;
    case Op::kPollIn:
      if (PollNow(id)) return Deliver(sink, queued.token, Op::kPollIn, 0);
      socket.poll_in = {true, queued.token};
      return;
    case Op::kAccept:
      socket.accept = {true, queued.token};
      return TryAccepts(sink, id);
    case Op::kReceive:
      if (queued.into.empty() && receive_buffer_.empty()) {
        ++stats_.receive_buffer_shortages;
        return Deliver(sink, queued.token, Op::kReceive, -ENOBUFS);
      }
      socket.receive = {true, queued.token};
      socket.into = queued.into;
      return TryReceives(sink, id);
    case Op::kConnect: {
      const int32_t result = ConnectNow(id, queued.bytes);
      if (result != -EINPROGRESS) return Deliver(sink, queued.token, Op::kConnect, result);
      socket.connect = {true, queued.token};
      return;
    }
    case Op::kClose:
      return CloseSocket(sink, id, queued.token);
  }
}

template <typename Sink>
void EpollBackend::CloseSocket(Sink& sink, SocketId id, uint64_t token) {
  const Socket closing = sockets_[id];  // a copy: the sink may adopt and grow sockets_
  Retire(sockets_[id]);
  const auto cancel = [&](const Pending& pending, Op op) {
    if (pending.armed) Deliver(sink, pending.token, op, -ECANCELED);
  };
  cancel(closing.accept, Op::kAccept);
  cancel(closing.receive, Op::kReceive);
  cancel(closing.poll_in, Op::kPollIn);
  cancel(closing.poll_out, Op::kPollOut);
  cancel(closing.connect, Op::kConnect);
  // Only now: closed earlier, its number could come back to the sink as another socket's id.
  Deliver(sink, token, Op::kClose, CloseNow(id));
}

template <typename Sink>
void EpollBackend::TryReads(Sink& sink, SocketId id) {
  TryAccepts(sink, id);
  TryReceives(sink, id);
}

template <typename Sink>
void EpollBackend::TryAccepts(Sink& sink, SocketId id) {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (!Usable(id) || !sockets_[id].accept.armed || !sockets_[id].readable) return;
    const int32_t result = AcceptNow(id);
    if (result == -EAGAIN) {
      sockets_[id].readable = false;
      return;
    }
    if (result < 0) return Finish(sink, sockets_[id].accept, Op::kAccept, result);
    Deliver(sink, sockets_[id].accept.token, Op::kAccept, result, /*more=*/true);
  }
  ListReady(id);
}

template <typename Sink>
void EpollBackend::TryReceives(Sink& sink, SocketId id) {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (!Usable(id) || !sockets_[id].receive.armed || !sockets_[id].readable) return;
    Socket& socket = sockets_[id];
    const bool multishot = socket.into.empty();
    const std::span<std::byte> into = multishot ? std::span(receive_buffer_) : socket.into;
    const int32_t result = ReceiveNow(id, into);
    if (result == -EAGAIN) {
      socket.readable = false;
      return;
    }
    if (result <= 0 || !multishot) return Finish(sink, socket.receive, Op::kReceive, result);
    Deliver(sink, socket.receive.token, Op::kReceive, result, /*more=*/true,
            std::span<const std::byte>(receive_buffer_).first(result));
  }
  ListReady(id);
}

template <typename Sink>
void EpollBackend::OnEvent(Sink& sink, const epoll_event& event) {
  const auto id = static_cast<SocketId>(event.data.u64 & 0xFFFFFFFF);
  const auto generation = static_cast<uint32_t>(event.data.u64 >> 32);
  if (!Usable(id) || sockets_[id].generation != generation) return;
  constexpr uint32_t kTrouble = EPOLLERR | EPOLLHUP;
  if ((event.events & (EPOLLOUT | kTrouble)) != 0) {
    sockets_[id].writable = true;
    if (sockets_[id].connect.armed) {
      const int32_t result = ConnectResult(id);
      if (result != -EINPROGRESS) Finish(sink, sockets_[id].connect, Op::kConnect, result);
    }
    if (Usable(id) && sockets_[id].poll_out.armed) {
      Finish(sink, sockets_[id].poll_out, Op::kPollOut, 0);
    }
  }
  if (!Usable(id) || sockets_[id].generation != generation) return;
  if ((event.events & (EPOLLIN | EPOLLRDHUP | kTrouble)) != 0) {
    sockets_[id].readable = true;
    if (sockets_[id].poll_in.armed) Finish(sink, sockets_[id].poll_in, Op::kPollIn, 0);
    TryReads(sink, id);
  }
}

static_assert(Backend<EpollBackend>);

}  // namespace ombus::net

#endif  // OMBUS_NET_EPOLL_BACKEND_H_

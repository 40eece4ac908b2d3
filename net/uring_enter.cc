// UringBackend's system calls: when to enter the kernel, for how long, and SIGPIPE.
#include <algorithm>

#include "net/sigpipe_guard.h"
#include "net/socket.h"
#include "net/uring_backend.h"
#include "net/uring_user_data.h"

namespace ombus::net {

Status UringBackend::Enter(uint64_t timeout_ns) {
  if (!started_) {
    if (Status status = Start(); !status.ok()) return status;
  }
  telling_.clear();
  telling_.swap(untold_);
  next_telling_ = 0;
  if (ReceiveSole()) return Status();
  if (lone_send_.id != kNoSocket) SendLone();
  int result = 0;
  do {
    FillFromBacklog();
    const bool wait =
        backlog_.empty() && telling_.empty() && closed_.empty() && io_uring_cq_ready(&ring_) == 0;
    const uint64_t wait_ns = wait ? timeout_ns : 0;
    if (io_uring_sq_ready(&ring_) == 0 && wait_ns == 0 && !KernelHasNews()) break;
    result = EnterOnce(wait_ns);
  } while (result >= 0 && !backlog_.empty());
  reap_left_ = io_uring_cq_ready(&ring_);
  // Busy and again mean that completions have to be reaped first; the next turn goes on.
  if (result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
      result == -EAGAIN) {
    return Status();
  }
  return SystemStatus("io_uring_enter", "io_uring", -result,
                      result == -EEXIST ? "call Turn in one thread only" : "restart this program");
}

void UringBackend::FillFromBacklog() {
  size_t moved = 0;
  while (moved < backlog_.size()) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) break;
    *sqe = backlog_[moved++];
  }
  backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<ptrdiff_t>(moved));
}

// Completions that the kernel holds back until it is entered: deferred work, or overflow.
bool UringBackend::KernelHasNews() const {
  return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

// Where one client alone listens it is nearly always what the kernel has news of, and recv has its
// bytes sooner than the deferred work. That runs with the next system call, and finds nothing more.
// A busy round trip is 5 % shorter for it; see docs/decisions/busy-client.md.
bool UringBackend::ReceiveSole() {
  if (listening_ != 1 || received_sole_ || lone_send_.id != kNoSocket ||
      io_uring_sq_ready(&ring_) != 0 || !backlog_.empty() || io_uring_cq_ready(&ring_) != 0 ||
      IO_URING_READ_ONCE(*ring_.sq.kflags) != IORING_SQ_TASKRUN) {
    return false;
  }
  Slot& slot = *table_.Find(listening_ids_);
  if (slot.closing || slot.pending != SocketSlot::Bit(Op::kReceive)) return false;
  received_sole_ = true;
  const int32_t result = ReceiveNow(listening_ids_, sole_buffer_);
  if (result < 0 && result != -EAGAIN) slot.receive_error = result;
  if (result <= 0) return false;
  const auto size = static_cast<size_t>(result);
  telling_.push_back({.token = slot.token(Op::kReceive),
                      .op = Op::kReceive,
                      .more = true,
                      .result = result,
                      .data = std::span<const std::byte>(sole_buffer_).first(size)});
  return true;
}

// A turn that has one thing to send and no news to fetch makes send() its system call: 4 to 6 %
// more deliveries to a single client than by io_uring_enter, and of 64 KiB than from a registered
// buffer; see docs/decisions/fanout-figures.md. In a second thread, which no ring allows, the
// kernel is to say so.
void UringBackend::SendLone() {
  if (KernelHasNews() || pthread_equal(thread_, pthread_self()) == 0) return QueueLoneSend();
  const LoneSend lone = std::exchange(lone_send_, {});
  const int32_t result = SendNow(lone.id, lone.bytes);
  Slot& slot = *table_.Find(lone.id);
  telling_.push_back({.token = slot.token(Op::kSend),
                      .op = Op::kSend,
                      .more = false,
                      .result = result,
                      .data = {}});
  slot.End(Op::kSend);
}

int UringBackend::EnterOnce(uint64_t wait_ns) {
  if (CallsKernel(wait_ns)) ++stats_.enters;
  // The kernel's own thread takes no signals.
  const bool may_signal = !sq_poll_ && fixed_queued_ > 0 && (write_flags_ & kWriteNoSignal) == 0;
  fixed_queued_ = 0;
  received_sole_ = false;
  int result;
  if (may_signal) {
    SigpipeGuard guard;
    const unsigned ready_before = io_uring_cq_ready(&ring_);
    result = CallKernel(wait_ns);
    if (SawEpipe(ready_before)) guard.set_raised();
  } else {
    result = CallKernel(wait_ns);
  }
  if (io_uring_cq_has_overflow(&ring_)) ++stats_.completion_overflows;
  return result;
}

// Where a kernel thread submits it has to be woken only after it has slept.
bool UringBackend::CallsKernel(uint64_t wait_ns) const {
  return !sq_poll_ || wait_ns != 0 || KernelHasNews() ||
         (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_NEED_WAKEUP) != 0;
}

int UringBackend::CallKernel(uint64_t wait_ns) {
  if (sq_poll_ && wait_ns == 0) {
    const int result = io_uring_submit(&ring_);
    return result < 0 || backlog_.empty() ? result : io_uring_sqring_wait(&ring_);
  }
  if (wait_ns == 0) return io_uring_submit_and_get_events(&ring_);
  if (wait_ns == kForeverNs) return io_uring_submit_and_wait(&ring_, 1);
  __kernel_timespec timeout = {.tv_sec = static_cast<int64_t>(wait_ns / 1'000'000'000),
                               .tv_nsec = static_cast<long long>(wait_ns % 1'000'000'000)};
  io_uring_cqe* unused = nullptr;
  return io_uring_submit_and_wait_timeout(&ring_, &unused, 1, &timeout, nullptr);
}

// Whether a WRITE_FIXED among the new completions met a closed peer. Where some overflowed out of
// sight it is assumed.
bool UringBackend::SawEpipe(unsigned ready_before) const {
  if (io_uring_cq_has_overflow(&ring_)) return true;
  io_uring_cqe* cqe = nullptr;
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (seen++ < ready_before || cqe->res != -EPIPE) continue;
    if (UserData::Unpack(cqe->user_data).kind == kFixedSend) return true;
  }
  return false;
}

}  // namespace ombus::net

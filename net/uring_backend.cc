// Queueing and reaping; set-up is in uring_setup.cc, system calls are in uring_enter.cc.
#include "net/uring_backend.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "net/socket.h"
#include "net/uring_user_data.h"

namespace ombus::net {
namespace {

constexpr size_t kSendBytesMax = size_t{1} << 30;
// Below it a write by registered buffer costs more than a send by address, which looks a few pages
// up; docs/decisions/io-options.md.
constexpr size_t kFixedBytesMin = 32u << 10;
// Below it pinning pages and waiting for a notification cost more than the copy.
constexpr size_t kZeroCopyBytesMin = 16u << 10;
constexpr uint8_t kTrialSends = 64;

uint64_t Tag(SocketId id, const SocketSlot& slot, uint8_t kind) {
  return UserData{.kind = kind, .generation = slot.generation, .id = id}.Pack();
}

uint64_t Tag(SocketId id, const SocketSlot& slot, Op op) {
  return Tag(id, slot, static_cast<uint8_t>(op));
}

}  // namespace

UringBackend::Slot* UringBackend::Begin(SocketId id, Op op, uint64_t token) {
  Slot* slot = table_.Find(id);
  if (slot != nullptr && slot->closing) slot = nullptr;
  if (slot != nullptr && !slot->has(op)) {
    slot->Begin(op, token);
    return slot;
  }
  untold_.push_back({.token = token,
                     .op = op,
                     .more = false,
                     .result = slot == nullptr ? -EBADF : -EALREADY,
                     .data = {}});
  return nullptr;
}

// Order is kept: a lone send is no longer one, and once something waits in the backlog, everything
// goes there.
io_uring_sqe* UringBackend::NewSqe() {
  if (lone_send_.id != kNoSocket) QueueLoneSend();
  if (backlog_.empty()) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe != nullptr) return sqe;
  }
  return &backlog_.emplace_back();
}

void UringBackend::Accept(SocketId id, uint64_t token) {
  const Slot* slot = Begin(id, Op::kAccept, token);
  if (slot == nullptr) return;
  io_uring_sqe* sqe = NewSqe();
  io_uring_prep_multishot_accept(sqe, slot->fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  sqe->user_data = Tag(id, *slot, Op::kAccept);
}

void UringBackend::Receive(SocketId id, uint64_t token) {
  Slot* slot = Begin(id, Op::kReceive, token);
  if (slot == nullptr) return;
  if (buffers_.empty()) {
    slot->End(Op::kReceive);
    ++stats_.receive_buffer_shortages;
    untold_.push_back(
        {.token = token, .op = Op::kReceive, .more = false, .result = -ENOBUFS, .data = {}});
    return;
  }
  slot->into = nullptr;
  slot->listens = true;
  ++listening_;
  listening_ids_ += id;
  io_uring_sqe* sqe = NewSqe();
  io_uring_prep_recv_multishot(sqe, slot->fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = UringBuffers::kGroup;
  sqe->user_data = Tag(id, *slot, Op::kReceive);
}

void UringBackend::ReceiveInto(SocketId id, std::span<std::byte> into, uint64_t token) {
  Slot* slot = Begin(id, Op::kReceive, token);
  if (slot == nullptr) return;
  slot->into = into.data();
  io_uring_sqe* sqe = NewSqe();
  io_uring_prep_recv(sqe, slot->fd, into.data(), std::min(into.size(), kSendBytesMax), 0);
  sqe->user_data = Tag(id, *slot, Op::kReceive);
}

int32_t UringBackend::ReceiveNow(SocketId id, std::span<std::byte> into) {
  const Slot* slot = table_.Find(id);
  if (slot == nullptr || slot->closing) return -EBADF;
  ++stats_.enters;
  const ssize_t got =
      recv(slot->fd, into.data(), std::min(into.size(), kSendBytesMax), MSG_DONTWAIT);
  return got >= 0 ? static_cast<int32_t>(got) : -errno;
}

int32_t UringBackend::SendNow(SocketId id, std::span<const std::byte> bytes) {
  const Slot* slot = table_.Find(id);
  if (slot == nullptr || slot->closing) return -EBADF;
  ++stats_.enters;
  ++stats_.sends_plain;
  const ssize_t sent = send(slot->fd, bytes.data(), std::min(bytes.size(), kSendBytesMax),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent >= 0 ? static_cast<int32_t>(sent) : -errno;
}

bool UringBackend::InRegion(std::span<const std::byte> bytes) const {
  const auto start = reinterpret_cast<uintptr_t>(bytes.data());
  const auto region = reinterpret_cast<uintptr_t>(region_.data());
  const uintptr_t offset = start - region;  // huge where it starts below
  return offset < region_.size() && bytes.size() <= region_.size() - offset;
}

void UringBackend::Send(SocketId id, std::span<const std::byte> bytes, uint64_t token) {
  Slot* slot = Begin(id, Op::kSend, token);
  if (slot == nullptr) return;
  bytes = bytes.first(std::min(bytes.size(), kSendBytesMax));
  if (lone_send_.id == kNoSocket && io_uring_sq_ready(&ring_) == 0 && backlog_.empty() &&
      !sq_poll_ && !zero_copy_) {
    lone_send_ = {id, bytes};
    return;
  }
  QueueSend(id, *slot, bytes);
}

void UringBackend::QueueSend(SocketId id, Slot& slot, std::span<const std::byte> bytes) {
  io_uring_sqe* sqe = NewSqe();
  if (bytes.size() >= kZeroCopyBytesMin && InRegion(bytes)) {
    if (zero_copy_ && WantsZeroCopy(slot)) [[unlikely]] {
      return PrepareZeroCopy(sqe, id, slot, bytes);
    }
    if (bytes.size() >= kFixedBytesMin) return PrepareFixedWrite(sqe, id, slot, bytes);
  }
  const int fd = slot.registered_file ? id : slot.fd;
  io_uring_prep_send(sqe, fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (slot.registered_file) sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = Tag(id, slot, Op::kSend);
  ++stats_.sends_plain;
}

void UringBackend::QueueLoneSend() {
  const LoneSend lone = std::exchange(lone_send_, {});
  QueueSend(lone.id, *table_.Find(lone.id), lone.bytes);
}

bool UringBackend::WantsZeroCopy(Slot& slot) {
  if (options_.send_mode == SendMode::kZeroCopy) return true;
  if (slot.copied) return false;
  if (slot.large_sends == kTrialSends) return true;
  ++slot.large_sends;
  return false;
}

void UringBackend::PrepareZeroCopy(io_uring_sqe* sqe, SocketId id, const Slot& slot,
                                   std::span<const std::byte> bytes) {
  io_uring_prep_send_zc_fixed(sqe, slot.registered_file ? id : slot.fd, bytes.data(), bytes.size(),
                              MSG_DONTWAIT | MSG_NOSIGNAL, kZeroCopyReportUsage, 0);
  if (slot.registered_file) sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = Tag(id, slot, kZeroCopySend);
  ++stats_.sends_zero_copy;
}

void UringBackend::PrepareFixedWrite(io_uring_sqe* sqe, SocketId id, const Slot& slot,
                                     std::span<const std::byte> bytes) {
  const int fd = slot.registered_file ? id : slot.fd;
  io_uring_prep_write_fixed(sqe, fd, bytes.data(), static_cast<unsigned>(bytes.size()), 0, 0);
  sqe->rw_flags = static_cast<int>(write_flags_);
  if (slot.registered_file) sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = Tag(id, slot, kFixedSend);
  ++stats_.sends_fixed;
  ++fixed_queued_;
}

void UringBackend::PollOut(SocketId id, uint64_t token) {
  const Slot* slot = Begin(id, Op::kPollOut, token);
  if (slot == nullptr) return;
  io_uring_sqe* sqe = NewSqe();
  io_uring_prep_poll_add(sqe, slot->fd, POLLOUT);
  sqe->user_data = Tag(id, *slot, Op::kPollOut);
}

void UringBackend::PollIn(SocketId id, uint64_t token) {
  const Slot* slot = Begin(id, Op::kPollIn, token);
  if (slot == nullptr) return;
  io_uring_sqe* sqe = NewSqe();
  io_uring_prep_poll_add(sqe, slot->fd, POLLIN);
  sqe->user_data = Tag(id, *slot, Op::kPollIn);
}

void UringBackend::Connect(SocketId id, const sockaddr_storage& address, uint64_t token) {
  const Slot* slot = Begin(id, Op::kConnect, token);
  if (slot == nullptr) return;
  io_uring_sqe* sqe = NewSqe();
  io_uring_prep_connect(sqe, slot->fd, reinterpret_cast<const sockaddr*>(&address),
                        AddressBytes(address));
  sqe->user_data = Tag(id, *slot, Op::kConnect);
}

// Closing a descriptor does not end its requests: they are cancelled, the registered file is given
// up, and when all of it has completed the descriptor is closed.
void UringBackend::Close(SocketId id, uint64_t token) {
  Slot* slot = Begin(id, Op::kClose, token);
  if (slot == nullptr) return;
  slot->End(Op::kClose);  // its token stays; it is complete when nothing else is pending
  slot->closing = true;
  if (slot->held_by_peer) ResetConnection(slot->fd);
  if (slot->pending != 0) {
    io_uring_sqe* cancel = NewSqe();
    io_uring_prep_cancel_fd(cancel, slot->fd, IORING_ASYNC_CANCEL_ALL);
    cancel->user_data = Tag(id, *slot, kInternal);
    ++slot->internal_pending;
  }
  if (slot->registered_file) {
    io_uring_sqe* unregister = NewSqe();
    io_uring_prep_close_direct(unregister, static_cast<unsigned>(id));
    unregister->user_data = Tag(id, *slot, kInternal);
    ++slot->internal_pending;
  }
  CheckClosed(id, *slot);
}

void UringBackend::CheckClosed(SocketId id, const Slot& slot) {
  if (slot.closing && slot.pending == 0 && slot.internal_pending == 0) closed_.push_back(id);
}

void UringBackend::FinishClose(SocketId id, Completion* completion) {
  const Slot& slot = *table_.Find(id);
  const int result = close(slot.fd) == 0 ? 0 : -errno;
  *completion = {.token = slot.token(Op::kClose),
                 .op = Op::kClose,
                 .more = false,
                 .result = result,
                 .data = {}};
  table_.Free(id);
}

bool UringBackend::Next(Completion* completion) {
  if (held_buffer_ >= 0) buffers_.GiveBack(static_cast<uint16_t>(std::exchange(held_buffer_, -1)));
  if (next_telling_ < telling_.size()) {
    *completion = telling_[next_telling_++];
    return true;
  }
  for (;;) {
    if (!closed_.empty()) {
      const SocketId id = closed_.back();
      closed_.pop_back();
      FinishClose(id, completion);
      return true;
    }
    if (reap_left_ == 0) return false;
    --reap_left_;
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) { break; }
    const bool converted = Convert(*cqe, completion);
    io_uring_cq_advance(&ring_, 1);
    if (converted) return true;
  }
}

bool UringBackend::Convert(const io_uring_cqe& cqe, Completion* completion) {
  const UserData tag = UserData::Unpack(cqe.user_data);
  Slot* slot = table_.Find(tag.id);
  if (slot == nullptr || (slot->generation & UserData::kGenerationMask) != tag.generation) {
    return false;
  }
  if (tag.kind == kInternal) {
    --slot->internal_pending;
    CheckClosed(tag.id, *slot);
    return false;
  }
  if (tag.kind == kZeroCopySend) return ConvertZeroCopy(*slot, cqe, completion);
  const Op op = tag.kind == kFixedSend ? Op::kSend : static_cast<Op>(tag.kind);
  *completion = {.token = slot->token(op),
                 .op = op,
                 .more = (cqe.flags & IORING_CQE_F_MORE) != 0,
                 .result = cqe.res,
                 .data = {}};
  if (op == Op::kReceive) ConvertReceive(tag.id, *slot, cqe, completion);
  if (!completion->more) slot->End(op);
  CheckClosed(tag.id, *slot);
  return true;
}

// Told when the kernel has let go of the memory. That is the second completion; the first has the
// count, and is the only one where nothing was sent.
bool UringBackend::ConvertZeroCopy(Slot& slot, const io_uring_cqe& cqe, Completion* completion) {
  if ((cqe.flags & IORING_CQE_F_NOTIF) == 0) {
    slot.zero_copy_sent = cqe.res;
    slot.held_by_peer = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if (slot.held_by_peer) {
      if (slot.closing) ResetConnection(slot.fd);
      return false;
    }
  } else {
    slot.held_by_peer = false;
    // Only a send that took place has anything to report.
    if (slot.zero_copy_sent > 0 && (static_cast<uint32_t>(cqe.res) & kZeroCopyCopied) != 0) {
      ++stats_.zero_copy_copied;
      slot.copied = true;
    }
  }
  if (slot.zero_copy_sent == -EINVAL || slot.zero_copy_sent == -EOPNOTSUPP) {
    GiveUpZeroCopy(-std::exchange(slot.zero_copy_sent, -EAGAIN));
  }
  *completion = {.token = slot.token(Op::kSend),
                 .op = Op::kSend,
                 .more = false,
                 .result = slot.zero_copy_sent,
                 .data = {}};
  slot.End(Op::kSend);
  CheckClosed(UserData::Unpack(cqe.user_data).id, slot);
  return true;
}

void UringBackend::ConvertReceive(SocketId id, Slot& slot, const io_uring_cqe& cqe,
                                  Completion* completion) {
  if (cqe.res == -ENOBUFS) ++stats_.receive_buffer_shortages;
  const size_t size = cqe.res > 0 ? static_cast<size_t>(cqe.res) : 0;
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    held_buffer_ = static_cast<int>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    completion->data = buffers_.Bytes(static_cast<uint16_t>(held_buffer_), size);
  } else if (slot.into != nullptr) {
    completion->data = {slot.into, size};
  }
  if (completion->more || !slot.listens) return;
  slot.listens = false;
  --listening_;
  listening_ids_ -= id;
  const int32_t error = std::exchange(slot.receive_error, 0);
  if (completion->result == 0 && error != 0) completion->result = error;
}

bool UringBackend::HeldByPeer(SocketId id) {
  const Slot* slot = table_.Find(id);
  return slot != nullptr && slot->held_by_peer;
}

void UringBackend::FinishSending(SocketId id) {
  const Slot* slot = table_.Find(id);
  if (slot == nullptr || slot->closing) return;
  ++stats_.enters;
  shutdown(slot->fd, SHUT_WR);  // a failure means that the peer is gone, which receiving tells
}

bool UringBackend::AllDelivered(SocketId id) {
  const Slot* slot = table_.Find(id);
  return slot == nullptr || slot->closing || AllAcknowledged(slot->fd);
}

uint64_t UringBackend::NowNs() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace ombus::net

#include "net/sim_backend.h"

#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>

namespace ombus::net {
namespace {

constexpr uint64_t kTurnNs = 1000;
constexpr int kAcceptsPerTurn = 64, kReceivesPerTurn = 16;

}  // namespace

SimBackend::SimBackend(SimNetwork* network, const SimOptions& options)
    : network_(network),
      options_(options),
      table_(options.backend.sockets_hint),
      random_(options.seed) {}

SimBackend::~SimBackend() {
  for (const Slot& slot : table_.slots()) {
    if (slot.open) network_->Close(slot.fd);
  }
}

Status SimBackend::RegisterMemory(std::span<std::byte> region) {
  region_ = region;
  return Status();
}

Result<SocketId> SimBackend::Adopt(int fd) {
  if (!network_->Known(fd)) {
    return Status(StatusCode::kInvalidArgument, "adopt \"descriptor " + std::to_string(fd) +
                                                    "\": EBADF; the simulator did not make it");
  }
  return table_.Open(fd);
}

void SimBackend::RunTurn(uint64_t timeout_ns) {
  due_.erase(due_.begin(), due_.begin() + static_cast<ptrdiff_t>(deliver_));
  const size_t left_over = due_.size();
  now_ns_ += kTurnNs;
  ++stats_.enters;
  buffers_left_ = options_.backend.receive_buffers;
  working_.clear();
  working_.swap(queue_);
  size_t submitted = 0;
  for (const Queued& queued : working_) {
    if (options_.submit_max != 0 && submitted++ >= options_.submit_max) {
      queue_.push_back(queued);
    } else {
      Start(queued);
    }
  }
  if (stand_still_ns_ != 0) {
    now_ns_ += std::exchange(stand_still_ns_, 0);
    deliver_ = due_.size();
    return;
  }
  PollAll();
  const uint64_t deadline = timeout_ns < kForeverNs - now_ns_ ? now_ns_ + timeout_ns : kForeverNs;
  while (due_.empty() && timeout_ns != 0) {
    const uint64_t next = NextSoundNs();
    const uint64_t until = std::min(next, deadline);
    if (until == kForeverNs) break;
    now_ns_ = until;
    if (next > deadline) break;
    PollAll();
  }
  if (options_.shuffle && left_over == 0) Shuffle();
  deliver_ = due_.size();
  if (options_.complete_max != 0 && deliver_ > options_.complete_max) {
    deliver_ = options_.complete_max;
    ++stats_.completion_overflows;
  }
}

const Completion& SimBackend::Deliver(Due& due) {
  Completion& completion = due.completion;
  if (!due.data.empty()) completion.data = std::as_bytes(std::span(due.data));
  if (completion.op == Op::kClose && completion.result == 0) table_.Free(due.id);
  for (const uint64_t word :
       {completion.token, uint64_t{static_cast<uint8_t>(completion.op)}, uint64_t{completion.more},
        uint64_t{static_cast<uint32_t>(completion.result)}}) {
    trace_hash_ = (trace_hash_ ^ word) * 0x100000001B3;
  }
  return completion;
}

void SimBackend::AddDue(SocketId id, Op op, uint64_t token, int32_t result, bool more) {
  due_.push_back(
      {.id = id,
       .completion = {.token = token, .op = op, .more = more, .result = result, .data = {}},
       .data = {}});
}

void SimBackend::Finish(SocketId id, Slot& slot, Op op, int32_t result) {
  slot.End(op);
  AddDue(id, op, slot.token(op), result);
}

void SimBackend::Start(const Queued& queued) {
  Slot* slot = table_.Find(queued.id);
  if (slot == nullptr || slot->closing) {
    return AddDue(queued.id, queued.op, queued.token, -EBADF);
  }
  if (slot->has(queued.op)) return AddDue(queued.id, queued.op, queued.token, -EALREADY);
  if (queued.op == Op::kClose) return StartClose(queued.id, *slot, queued.token);
  if (queued.op == Op::kSend) {
    const bool fixed = queued.bytes.data() >= region_.data() &&
                       queued.bytes.data() < region_.data() + region_.size();
    ++(fixed ? stats_.sends_fixed : stats_.sends_plain);
    return AddDue(queued.id, Op::kSend, queued.token, SendNow(queued.id, queued.bytes));
  }
  if (queued.op == Op::kReceive && !queued.once && options_.backend.receive_buffers == 0) {
    ++stats_.receive_buffer_shortages;
    return AddDue(queued.id, Op::kReceive, queued.token, -ENOBUFS);
  }
  slot->Begin(queued.op, queued.token);
  if (queued.op == Op::kReceive) {
    slot->into = queued.into;
    slot->once = queued.once;
  }
  if (queued.op == Op::kConnect) {
    sockaddr_storage address;
    std::memcpy(&address, queued.bytes.data(), sizeof address);
    slot->connect_result = network_->Connect(slot->fd, address);
  }
}

void SimBackend::StartClose(SocketId id, Slot& slot, uint64_t token) {
  slot.closing = true;
  while (slot.pending != 0) {
    Finish(id, slot, static_cast<Op>(std::countr_zero(slot.pending)), -ECANCELED);
  }
  network_->Close(slot.fd);
  AddDue(id, Op::kClose, token, 0);
}

int32_t SimBackend::SendNow(SocketId id, std::span<const std::byte> bytes) {
  const Slot* slot = table_.Find(id);
  if (slot == nullptr || slot->closing) return -EBADF;
  if (Roll(options_.faults.send_again)) return -EAGAIN;
  if (Roll(options_.faults.reset)) network_->Reset(slot->fd);
  if (bytes.size() > 1 && Roll(options_.faults.short_send)) {
    bytes = bytes.first(1 + random_.Below(bytes.size() - 1));
  }
  return network_->Write(slot->fd, bytes);
}

void SimBackend::PollAll() {
  const auto count = static_cast<SocketId>(table_.slots().size());
  for (SocketId id = 0; id < count; ++id) {
    Slot* slot = table_.Find(id);
    if (slot == nullptr || slot->pending == 0 || slot->silent_until_ns > now_ns_) continue;
    if (Roll(options_.faults.delay)) {
      slot->silent_until_ns = now_ns_ + 1 + random_.Below(options_.faults.delay_ns_max);
      continue;
    }
    if (!CancelOne(id, *slot)) PollSlot(id, *slot);
  }
}

bool SimBackend::CancelOne(SocketId id, Slot& slot) {
  for (const Op op : {Op::kReceive, Op::kPollOut}) {
    if (!slot.has(op) || !Roll(options_.faults.cancel)) continue;
    Finish(id, slot, op, -ECANCELED);
    return true;
  }
  return false;
}

void SimBackend::PollSlot(SocketId id, Slot& slot) {
  if (slot.has(Op::kConnect)) Finish(id, slot, Op::kConnect, slot.connect_result);
  if (slot.has(Op::kAccept)) PollAccept(id, slot);
  if (slot.has(Op::kReceive)) PollReceive(id, slot);
  if (slot.has(Op::kPollIn) && network_->Readable(slot.fd)) Finish(id, slot, Op::kPollIn, POLLIN);
  if (slot.has(Op::kPollOut) && network_->Writable(slot.fd)) {
    Finish(id, slot, Op::kPollOut, POLLOUT);
  }
}

void SimBackend::PollAccept(SocketId id, Slot& slot) {
  for (int i = 0; i < kAcceptsPerTurn && network_->Readable(slot.fd); ++i) {
    if (Roll(options_.faults.accept_error)) {
      constexpr int kErrors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
      return Finish(id, slot, Op::kAccept, -kErrors[random_.Below(std::size(kErrors))]);
    }
    const int fd = network_->Accept(slot.fd);
    if (Roll(options_.faults.end_multishot)) return Finish(id, slot, Op::kAccept, fd);
    AddDue(id, Op::kAccept, slot.token(Op::kAccept), fd, /*more=*/true);
  }
}

void SimBackend::FinishSending(SocketId id) {
  const Slot* slot = table_.Find(id);
  if (slot != nullptr && !slot->closing) network_->FinishSending(slot->fd);
}

bool SimBackend::AllDelivered(SocketId id) {
  const Slot* slot = table_.Find(id);
  return slot == nullptr || slot->closing || network_->AllRead(slot->fd);
}

int32_t SimBackend::ReceiveNow(SocketId id, std::span<std::byte> into) {
  const Slot* slot = table_.Find(id);
  if (slot == nullptr || slot->closing) return -EBADF;
  if (!network_->Readable(slot->fd)) return -EAGAIN;
  if (Roll(options_.faults.reset)) network_->Reset(slot->fd);
  return network_->Read(slot->fd, into);
}

void SimBackend::PollReceive(SocketId id, Slot& slot) {
  for (int i = 0; i < kReceivesPerTurn && network_->Readable(slot.fd); ++i) {
    if (Roll(options_.faults.reset)) network_->Reset(slot.fd);
    if (slot.once) {
      const int got = network_->Read(slot.fd, slot.into);
      Finish(id, slot, Op::kReceive, got);
      if (got > 0) due_.back().completion.data = slot.into.first(static_cast<size_t>(got));
      return;
    }
    if (buffers_left_ == 0 || Roll(options_.faults.no_buffers)) {
      ++stats_.receive_buffer_shortages;
      return Finish(id, slot, Op::kReceive, -ENOBUFS);
    }
    std::string data(options_.backend.receive_buffer_bytes, '\0');
    const int got = network_->Read(slot.fd, std::as_writable_bytes(std::span(data)));
    if (got <= 0) return Finish(id, slot, Op::kReceive, got);
    --buffers_left_;
    data.resize(static_cast<size_t>(got));
    const bool more = !Roll(options_.faults.end_multishot);
    if (!more) slot.End(Op::kReceive);
    AddDue(id, Op::kReceive, slot.token(Op::kReceive), got, more);
    due_.back().data = std::move(data);
    if (!more) return;
  }
}

uint64_t SimBackend::NextSoundNs() const {
  uint64_t next = kForeverNs;
  for (const Slot& slot : table_.slots()) {
    if (slot.open && slot.pending != 0 && slot.silent_until_ns > now_ns_) {
      next = std::min(next, slot.silent_until_ns);
    }
  }
  return next;
}

// Fisher-Yates over the places; each socket's own completions then take its places in order.
void SimBackend::Shuffle() {
  std::vector<SocketId> places;
  std::map<SocketId, std::vector<Due>> by_socket;
  for (Due& due : due_) {
    places.push_back(due.id);
    by_socket[due.id].push_back(std::move(due));
  }
  for (size_t i = places.size(); i > 1; --i) std::swap(places[i - 1], places[random_.Below(i)]);
  due_.clear();
  std::map<SocketId, size_t> taken;
  for (const SocketId id : places) due_.push_back(std::move(by_socket[id][taken[id]++]));
}

}  // namespace ombus::net

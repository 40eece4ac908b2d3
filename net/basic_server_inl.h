// The bodies of BasicServer, but for those of net/basic_server_accept_inl.h and _end_inl.h.
// Included by net/basic_server.h alone.
#ifndef OMBUS_NET_BASIC_SERVER_INL_H_
#define OMBUS_NET_BASIC_SERVER_INL_H_

#include "net/basic_server.h"
#include "ring/base/errno_name.h"

namespace ombus::net {

template <Backend B>
Result<std::unique_ptr<BasicServer<B>>> BasicServer<B>::Create(std::unique_ptr<B> backend,
                                                               UniqueFd listener,
                                                               ServerOptions options,
                                                               SharedPart part) {
  if (Status status = SessionTable::CheckOptions(&options); !status.ok()) return status;
  Result<BroadcastLog> log =
      part.log != nullptr ? part.log->View() : BroadcastLog::Create(options.log_bytes);
  if (!log.ok()) return log.status();
  std::unique_ptr<BasicServer> server(
      new BasicServer(std::move(backend), std::move(*log), options, std::move(part)));
  if (listener.ok()) {
    if (Status status = server->Listen(std::move(listener)); !status.ok()) return status;
  }
  server->RegisterLog();
  return server;
}

// Both mappings where the memlock limit lets it, one where not: then only windows that cross the
// seam are sent the plain way.
template <Backend B>
void BasicServer<B>::RegisterLog() {
  const auto memory = table_.log().memory();
  const Status both = backend_->RegisterMemory(memory);
  if (!both.ok() && backend_->RegisterMemory(memory.first(memory.size() / 2)).ok()) {
    Note(both.message() +
         "; one of its mappings is registered: only what crosses the log's end is plain");
  }
  TellNote();
}

template <Backend B>
void BasicServer<B>::TellNote() {
  if (std::string note = backend_->TakeNote(); !note.empty()) Note(std::move(note));
}

template <Backend B>
uint64_t BasicServer<B>::lag_of(bool least) {
  const uint64_t head = table_.log().head();
  uint64_t low = head, high = 0;
  bool any = false;  // who catches up from a source does not lag in the log
  for (size_t slot = 0; slot < table_.slots(); ++slot) {
    const Session& session = table_.at(slot);
    if (session.state != SessionState::kLive) continue;
    any = true;
    low = std::min(low, head - session.cursor);
    high = std::max(high, head - session.cursor);
  }
  if (!any) return 0;
  return least ? low : high;
}

template <Backend B>
BroadcastResult BasicServer<B>::BroadcastSlow(const Record& record) {
  const auto result = MakeRoomSlow(record.size);
  if (result == BroadcastResult::kOk) table_.log().Append(record);
  return result;
}

template <Backend B>
BroadcastResult BasicServer<B>::MakeRoomSlow(uint16_t size) {
  const uint64_t bytes = FrameBytes(size);
  const SlowClientPolicy policy = table_.options().slow_client_policy;
  const bool wait = policy == SlowClientPolicy::kWait;
  const bool may_cut = policy == SlowClientPolicy::kDisconnect && table_.options().oversized_cuts;
  if (bytes > table_.lag_max() && !may_cut) {
    return BroadcastResult::kTooLarge;
  }
  const auto fits = [&] {
    table_.SaveOwed(bytes);
    table_.Refresh();
    return table_.log().head() + bytes <= table_.limit();
  };
  if (fits()) return BroadcastResult::kOk;
  attention_ = true;
  if (wait) {
    blocked_bytes_ = bytes;
    return BroadcastResult::kFull;
  }
  CutPinned(table_.log().head() + bytes - table_.lag_max());
  // What the kernel still reads must not be overwritten. Sends complete at once, so this ends with
  // the first turn; should it not, refusing is better than corrupting.
  const uint64_t needed = table_.log().head() + bytes - table_.lag_max();
  for (int tries = 0; table_.InFlightBelow(needed); ++tries) {
    if (tries == 100 || !backend_->Turn(*this, 1'000'000).ok()) return BroadcastResult::kFull;
  }
  table_.MakeRoom(bytes, backend_->NowNs());
  return fits() ? BroadcastResult::kOk : BroadcastResult::kFull;
}

// A zero-copy send holds the log until its peer acknowledges, which a peer that stands still never
// does: its connection is given up, since waiting would hold up everybody.
template <Backend B>
void BasicServer<B>::CutPinned(uint64_t needed) {
  for (size_t slot = 0; slot < table_.slots(); ++slot) {
    const Session& session = table_.at(slot);
    if (!session.sending || session.state != SessionState::kLive || session.cursor >= needed) {
      continue;
    }
    if (!backend_->HeldByPeer(session.socket)) continue;
    ++table_.counters().slow_client_drops;
    table_.TellOf(ServerEvent::Kind::kClientCut, session,
                  "cut and reset: it has not acknowledged a zero-copy send; send_mode kFixed lets "
                  "such clients drain");
    Close(slot);
  }
}

template <Backend B>
void BasicServer<B>::QueueSends() {
  table_.BeginTurn();
  for (size_t slot = 0; slot < table_.slots(); ++slot) {
    Session& session = table_.at(slot);
    if (session.state < SessionState::kLive || session.state > SessionState::kDraining) continue;
    if (session.sending || session.parked) continue;
    const auto bytes = table_.NextSend(session);
    if (bytes.empty()) continue;
    session.sending = true;
    ++table_.counters().sends;
    backend_->Send(session.socket, bytes, Token(slot));
  }
}

// Deadlines of our own end a wait early. Reads the clock only where there are any.
template <Backend B>
uint64_t BasicServer<B>::BoundedWait(uint64_t timeout_ns) {
  if (timeout_ns == 0 || closes_waiting_ != 0 || table_.drains_busy()) return 0;
  if (table_.draining() != 0 || accept_paused_ || blocked_bytes_ != 0) {
    timeout_ns = std::min<uint64_t>(timeout_ns, 10'000'000);
  }
  if (table_.catching_up() != 0) timeout_ns = std::min<uint64_t>(timeout_ns, 1'000'000);
  if (table_.timer_ns() == kForeverNs) return timeout_ns;
  const uint64_t now_ns = backend_->NowNs();
  return std::min(timeout_ns, table_.timer_ns() > now_ns ? table_.timer_ns() - now_ns : 0);
}

template <Backend B>
Status BasicServer<B>::Turn(uint64_t timeout_ns) {
  woken_ = false;
  completions_ = 0;
  if (follower_.has_value()) timeout_ns = Follow(timeout_ns);
  if (watched_ != kNoSocket && timeout_ns != 0 && !watch_queued_) {
    watch_queued_ = true;
    backend_->PollIn(watched_, kWatchToken);
  }
  const bool sweep = WantsSweep(timeout_ns);
  if (sweep) QueueSends();
  const uint64_t wait_ns = BoundedWait(timeout_ns);
  const Status status = backend_->Turn(*this, wait_ns);
  NoteAbsence(wait_ns);
  AfterTurn();
  if (sweep || attention_) {
    table_.Refresh();
    CheckMarks();
    if (follower_.has_value()) follower_->Report(table_);
  }
  return status;
}

// Takes over what another thread has broadcast, and returns how long the turn may wait then. Not
// more at once than a client may well lag: it gets what is there in steps, with a send after each.
template <Backend B>
uint64_t BasicServer<B>::Follow(uint64_t timeout_ns) {
  const uint64_t step =
      std::min<uint64_t>(table_.options().turn_bytes_max, table_.lag_max() / 4 + 1);
  const auto outcome =
      follower_->Follow(&table_, step, [this](uint16_t size) { return MakeRoomSlow(size); });
  return outcome == LogFollower::Outcome::kMore ? 0 : timeout_ns;
}

// Whether any session may have something to send that it had not before. A busy turn in which
// nothing was broadcast and nothing completed costs the same with one session as with thousands.
template <Backend B>
bool BasicServer<B>::WantsSweep(uint64_t timeout_ns) {
  const uint64_t head = table_.log().head();
  if (head == swept_head_ && !attention_ && timeout_ns == 0 && ++quiet_turns_ < kQuietTurnsMax) {
    return false;
  }
  swept_head_ = head;
  attention_ = false;
  quiet_turns_ = 0;
  return true;
}

// More than what the turn was to wait for, and a little, this process did not run, or did not turn.
// Reads the clock only where somebody's time is running. Where nobody's was at the last turn it may
// have begun at any time since.
template <Backend B>
void BasicServer<B>::NoteAbsence(uint64_t wait_ns) {
  if (!table_.HasDeadlines() && blocked_bytes_ == 0) {
    turned_ns_ = 0;
    return;
  }
  const uint64_t now_ns = backend_->NowNs(), last_ns = std::exchange(turned_ns_, now_ns);
  const uint64_t absent_ns = now_ns - last_ns - std::min(now_ns - last_ns, wait_ns);
  if (absent_ns > kAbsenceNs) table_.ForgiveAbsence(last_ns, now_ns, wait_ns);
}

template <Backend B>
void BasicServer<B>::AfterTurn() {
  if (completions_ != 0) {
    ++table_.counters().turns;
    attention_ = true;
  }
  if (accept_paused_ && !shutting_down_ && backend_->NowNs() >= accept_again_ns_) {
    accept_paused_ = false;
    backend_->Accept(listener_, kListenToken);
  }
  if (blocked_bytes_ != 0) {
    table_.CutStalled(blocked_bytes_, backend_->NowNs());
    blocked_bytes_ = 0;
    attention_ = true;
  }
  EndDrains();
  const uint64_t came = head() - std::exchange(turned_head_, head());
  if (table_.drains_busy()) {
    table_.StepDrains(came);
    attention_ = true;
  }
  if (table_.timer_ns() != kForeverNs) RunTimers();
}

template <Backend B>
void BasicServer<B>::CheckMarks() {
  if (!table_.MarksDue()) return;
  table_.CheckMarks(backend_->NowNs());
  table_.Refresh();
  attention_ = true;
}

template <Backend B>
void BasicServer<B>::RunTimers() {
  const uint64_t now_ns = backend_->NowNs();
  if (now_ns < table_.timer_ns()) return;
  table_.RestartTimer();
  attention_ = true;
  for (size_t slot = 0; slot < table_.slots(); ++slot) {
    const std::string why = table_.OnTimer(table_.at(slot), now_ns);
    if (!why.empty()) Lost(slot, why);
  }
}

template <Backend B>
void BasicServer<B>::OnCompletion(const Completion& done) {
  ++completions_;
  const auto slot = static_cast<uint32_t>(done.token);
  if (slot == kListenToken) {
    if (done.op == Op::kAccept) OnAccepted(done.result, done.more);
    return;
  }
  if (slot == kWatchToken) {
    watch_queued_ = false;
    woken_ = true;
    return;
  }
  if (slot >= table_.slots() || table_.at(slot).generation != done.token >> 32) return;
  switch (done.op) {
    case Op::kSend:
      return OnSent(slot, done.result);
    case Op::kReceive:
      return OnReceived(slot, done);
    case Op::kPollOut:
      table_.at(slot).parked = false;
      return;
    case Op::kClose:
      table_.at(slot).sending = false;
      return table_.Free(slot);
    default:
      return;
  }
}

template <Backend B>
void BasicServer<B>::OnSent(size_t slot, int result) {
  Session& session = table_.at(slot);
  session.sending = false;
  if (result > 0) return table_.OnSent(session, static_cast<uint32_t>(result));
  if (session.state == SessionState::kClosing) return;
  if (result == -EAGAIN || result == -EINTR || result == -ENOBUFS) {
    session.parked = true;
    backend_->PollOut(session.socket, Token(slot));
  } else {
    Lost(slot, "left: " + ErrnoName(-result));
  }
}

template <Backend B>
void BasicServer<B>::OnReceived(size_t slot, const Completion& done) {
  Session& session = table_.at(slot);
  if (session.state == SessionState::kClosing) return;
  if (done.result > 0) {
    if (follower_.has_value()) table_.NoteAhead(follower_->published());
    switch (table_.OnReceived(session, done.data, backend_->NowNs())) {
      case SessionTable::Verdict::kLeave:
        return Lost(slot, "left");
      case SessionTable::Verdict::kKeep:
      case SessionTable::Verdict::kEnd:
        break;
    }
  } else if (done.result == 0) {
    return Lost(slot, "left");
  } else if (done.result != -ENOBUFS && done.result != -EAGAIN && done.result != -EINTR) {
    return Lost(slot, "left: " + ErrnoName(-done.result));
  }
  if (!done.more) backend_->Receive(session.socket, Token(slot));
}

template <Backend B>
Status BasicServer<B>::WatchDescriptor(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.ok()) {
    return SystemStatus("fcntl(F_DUPFD_CLOEXEC)", "descriptor " + std::to_string(fd), errno,
                        "raise ulimit -n");
  }
  Result<SocketId> id = backend_->Adopt(copy.get());
  if (!id.ok()) return id.status();
  (void)copy.Release();
  watched_ = *id;
  return Status();
}

}  // namespace ombus::net

#endif  // OMBUS_NET_BASIC_SERVER_INL_H_

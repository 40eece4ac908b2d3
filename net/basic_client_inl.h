// The bodies of BasicClient. Included by net/basic_client.h alone.
#ifndef OMBUS_NET_BASIC_CLIENT_INL_H_
#define OMBUS_NET_BASIC_CLIENT_INL_H_

#include "net/basic_client.h"
#include "ring/base/errno_name.h"

namespace ombus::net {

template <Backend B>
BasicClient<B>::BasicClient(std::unique_ptr<B> backend, std::vector<sockaddr_storage> addresses,
                            const ClientOptions& options, ClientNetwork network)
    : options_(options),
      addresses_(std::move(addresses)),
      network_(std::move(network)),
      stream_(options.receive_buffer_bytes, options.reject_reorder, options.resume_from),
      backend_(std::move(backend)),
      random_(backend_->NowNs() ^ reinterpret_cast<uintptr_t>(this)) {}

template <Backend B>
Status BasicClient<B>::ConnectFirst() {
  StartConnect();
  while (!was_connected_ && failures_ == 0 && state_ != State::kFinal) Drive(10'000'000);
  tell_connected_ = false;
  return was_connected_ || options_.reconnect ? Status() : status_;
}

template <Backend B>
ClientResult BasicClient<B>::PollSlow(Record* record, ClientResult result, uint64_t timeout_ns) {
  uint64_t start_ns = 0, left_ns = timeout_ns;
  for (bool turned = false;; turned = true) {
    switch (result) {
      case ClientResult::kRecord:
      case ClientResult::kGap:
      case ClientResult::kReorder:
        return NoteRecord(*record, result);
      case ClientResult::kSlowWarning:
      case ClientResult::kEpochChanged:
      case ClientResult::kConnected:
        return result;
      case ClientResult::kEmpty:
        break;
      case ClientResult::kEndOfStream:
      case ClientResult::kDisconnected:
      case ClientResult::kProtocolError:
        if (state_ == State::kConnected) return Ended(result);
        break;
    }
    if (std::exchange(tell_connected_, false)) return ClientResult::kConnected;
    if (state_ == State::kClosing && !(retry_ && options_.reconnect)) {
      Turn(0);  // lets the close go out
      return final_;
    }
    if (state_ == State::kFinal) return final_;
    if (turned) {
      if (left_ns == 0) return ClientResult::kEmpty;
      const uint64_t spent_ns = backend_->NowNs() - start_ns;
      if (spent_ns >= timeout_ns) return ClientResult::kEmpty;
      left_ns = timeout_ns - spent_ns;
    } else if (timeout_ns != 0) {
      start_ns = backend_->NowNs();
    }
    Drive(left_ns);
    result = tell_connected_ ? ClientResult::kEmpty : stream_.Next(record);
  }
}

// The stream said how it ends. Closes; a reconnecting client hears of protocol errors, once each.
template <Backend B>
ClientResult BasicClient<B>::Ended(ClientResult result) {
  const bool end_of_stream = result == ClientResult::kEndOfStream;
  const bool retry = options_.reconnect && !end_of_stream && !stream_.refused_for_good();
  final_ = result;
  Drop(Status(
           result == ClientResult::kProtocolError ? StatusCode::kCorrupt : StatusCode::kUnavailable,
           "recv \"" + PeerText() + "\": " + stream_.problem()),
       retry);
  if (!retry || result == ClientResult::kProtocolError) return result;
  return ClientResult::kEmpty;
}

template <Backend B>
size_t BasicClient<B>::PollBatch(std::span<Record> out, uint64_t timeout_ns, ClientResult* end) {
  size_t count = 0;
  *end = ClientResult::kRecord;
  if (out.empty()) return 0;
  const ClientResult first = Poll(&out[0], timeout_ns);
  if (first != ClientResult::kRecord && first != ClientResult::kGap) {
    *end = first;
    return first == ClientResult::kReorder ? 1 : 0;
  }
  // Only what is in the buffer already: no payload moves.
  for (count = 1; count < out.size(); ++count) {
    const ClientResult result = stream_.Next(&out[count]);
    if (result == ClientResult::kRecord || result == ClientResult::kGap) continue;
    *end = result;
    if (result == ClientResult::kReorder) ++count;
    break;
  }
  last_wal_seq_ = out[count - 1].wal_seq;
  // How the connection ended is told by the next call, after these records.
  if (*end > ClientResult::kConnected) *end = ClientResult::kEmpty;
  return count;
}

template <Backend B>
void BasicClient<B>::Turn(uint64_t wait_ns) {
  if (const Status status = backend_->Turn(*this, wait_ns); !status.ok()) {
    status_ = status;
    final_ = ClientResult::kDisconnected;
    state_ = State::kFinal;
  }
}

template <Backend B>
void BasicClient<B>::Drive(uint64_t wait_ns) {
  switch (state_) {
    case State::kConnected:
      return DriveConnected(wait_ns);
    case State::kClosing:
      return Turn(wait_ns);
    case State::kFinal:
      return;
    case State::kWaiting:
    case State::kConnecting:
      break;
  }
  const uint64_t now_ns = backend_->NowNs();
  if (now_ns < deadline_ns_) return Turn(std::min(wait_ns, deadline_ns_ - now_ns));
  if (state_ == State::kWaiting) {
    StartConnect();
    return Turn(std::min(wait_ns, uint64_t{1'000'000}));
  }
  Drop(SystemStatus("connect", FormatAddress(addresses_[next_address_]), ETIMEDOUT,
                    RemedyForConnect(ETIMEDOUT)),
       true);
}

template <Backend B>
void BasicClient<B>::DriveConnected(uint64_t wait_ns) {
  if (outbox_sent_ != outbox_.size()) {
    const bool receiving = receiving_;
    Turn(0);  // HELLO goes out before anything is taken in
    // What came with it is for the caller first: what comes next may be the connection's end.
    if (state_ != State::kConnected || receiving_ != receiving) return;
  }
  if (!receiving_) {
    const std::span<std::byte> room = stream_.Compact();
    const int32_t received = backend_->ReceiveNow(socket_, room);
    if (received != -EAGAIN) {
      OnReceived(received);
      return Watch();
    }
    if (wait_ns == 0) {  // a busy poll is this one system call
      WatchWelcome();
      return Watch();
    }
    receiving_ = true;
    backend_->ReceiveInto(socket_, room, connection_);
  }
  Turn(BoundedWait(wait_ns));
  if (receiving_) WatchWelcome();
  Watch();
}

// A server that does not answer HELLO speaks the old protocol: its frames are taken from here on.
// Called where the socket was empty, so that no answer lies there.
template <Backend B>
void BasicClient<B>::WatchWelcome() {
  if (!AwaitsWelcome() || !welcome_.Overdue(backend_->NowNs(), kWelcomeWaitNs)) return;
  if (!CameMeanwhile()) stream_.StopSkipping();
}

template <Backend B>
uint64_t BasicClient<B>::idle_timeout_ns() const {
  const uint64_t agreed_ms = uint64_t{stream_.heartbeat_ms()} * 3;
  const uint64_t timeout_ms = options_.idle_timeout_ms != 0 ? options_.idle_timeout_ms : agreed_ms;
  if (timeout_ms == 0 && options_.hello && stream_.partial()) return kFramePatienceNs;
  return timeout_ms * 1'000'000;
}

template <Backend B>
void BasicClient<B>::Watch() {
  const uint64_t timeout_ns = idle_timeout_ns();
  if (timeout_ns == 0 || state_ != State::kConnected) return;
  const uint64_t now_ns = backend_->NowNs();
  if (silence_.Overdue(now_ns, timeout_ns) && !CameMeanwhile()) {
    const std::string within = stream_.partial() ? ", within a frame" : "";
    return Drop(Status(StatusCode::kUnavailable,
                       "recv \"" + PeerText() + "\": ETIMEDOUT; the server was silent for " +
                           std::to_string(timeout_ns / 1'000'000) + " ms" + within +
                           (stream_.spoke() ? "; check the network, or raise idle_timeout_ms"
                                            : "; is that an ombus relay?")),
                true);
  }
  if (state_ != State::kConnected) return;
  const uint64_t beat_ns = uint64_t{stream_.heartbeat_ms()} * 1'000'000;
  if (beat_ns != 0 && now_ns - spoke_ns_ >= beat_ns && outbox_sent_ == outbox_.size()) {
    spoke_ns_ = now_ns;
    MakeHeartbeat();
    SendOutbox();
  }
}

// Looks for what is in the socket without waiting: the clock may have gone on while this process
// stood still, or a signal may have ended the wait.
template <Backend B>
bool BasicClient<B>::CameMeanwhile() {
  if (receiving_) {
    Turn(0);
    return !receiving_ || state_ != State::kConnected;
  }
  const int32_t received = backend_->ReceiveNow(socket_, stream_.Compact());
  if (received == -EAGAIN) return false;
  OnReceived(received);
  return true;
}

template <Backend B>
uint64_t BasicClient<B>::BoundedWait(uint64_t wait_ns) {
  const uint64_t timeout_ns = idle_timeout_ns();
  const bool welcome = AwaitsWelcome();
  if (timeout_ns == 0 && !welcome) return wait_ns;
  const uint64_t now_ns = backend_->NowNs();
  uint64_t at_ns = timeout_ns != 0 ? silence_.DueNs(now_ns, timeout_ns) : ~uint64_t{0};
  if (welcome) at_ns = std::min(at_ns, welcome_.DueNs(now_ns, kWelcomeWaitNs));
  const uint64_t beat_ns = uint64_t{stream_.heartbeat_ms()} * 1'000'000;
  if (beat_ns != 0) at_ns = std::min(at_ns, spoke_ns_ + beat_ns);
  wait_ns = std::min(wait_ns, at_ns > now_ns ? at_ns - now_ns : 0);
  silence_.ListensUntil(now_ns + wait_ns);
  welcome_.ListensUntil(now_ns + wait_ns);
  return wait_ns;
}

// Keeps the addresses it had where that fails: a name server may be down while the server is not.
template <Backend B>
void BasicClient<B>::LookUpAgain() {
  if (!std::exchange(look_up_, false)) return;
  auto found = network_.look_up();
  if (found.ok() && !found->empty()) addresses_ = std::move(*found);
}

template <Backend B>
void BasicClient<B>::StartConnect() {
  LookUpAgain();
  ++connection_;
  outbox_.clear();
  outbox_sent_ = 0;
  const sockaddr_storage& address = addresses_[next_address_];
  state_ = State::kConnecting;
  const uint64_t share_ms = std::max<uint64_t>(1, options_.connect_timeout_ms / addresses_.size());
  deadline_ns_ = backend_->NowNs() + share_ms * 1'000'000;
  Result<UniqueFd> fd = network_.new_socket(address);
  if (!fd.ok()) return Drop(fd.status(), true);
  Result<SocketId> id = backend_->Adopt(fd->get());
  if (!id.ok()) return Drop(id.status(), true);
  (void)fd->Release();
  socket_ = *id;
  backend_->Connect(socket_, address, connection_);
}

// Gives the connection up; `retry` leaves it to the options whether there is another.
template <Backend B>
void BasicClient<B>::Drop(Status why, bool retry) {
  status_ = std::move(why);
  retry_ = retry;
  if (socket_ == kNoSocket) return OnClosed();
  state_ = State::kClosing;
  backend_->Close(socket_, connection_);
}

// A peer that accepts and says nothing of use, or ends every connection at once, is no server that
// came back: a connection counts as success that served, and lasted longer than the wait before it
// and than one heartbeat. The first that does not may be chance.
template <Backend B>
void BasicClient<B>::JudgeConnection() {
  heard_ |= stream_.spoke();
  const uint64_t least_ms = std::max(options_.retry_base_ms, stream_.heartbeat_ms());
  const uint64_t least_ns = std::max(backoff_ns_, least_ms * 1'000'000);
  // A server of the old protocol may have nothing to say.
  const bool useful = stream_.served() || !options_.hello;
  if (useful && backend_->NowNs() - connected_ns_ >= least_ns) {
    failures_ = 0;
    barren_ = false;
  } else if (std::exchange(barren_, true)) {
    ++failures_;
  }
}

template <Backend B>
void BasicClient<B>::OnClosed() {
  socket_ = kNoSocket;
  receiving_ = false;
  const bool lost = std::exchange(established_, false);
  if (!lost && retry_ && next_address_ + 1 < addresses_.size()) {
    ++next_address_;
    deadline_ns_ = 0;
    state_ = State::kWaiting;  // the next address, at once
    return;
  }
  next_address_ = 0;
  look_up_ = true;
  if (lost) {
    JudgeConnection();
  } else {
    ++failures_;
  }
  const bool spent = options_.max_retries != 0 && failures_ >= options_.max_retries;
  if (!retry_ || !options_.reconnect || spent) {
    state_ = State::kFinal;
    return;
  }
  final_ = ClientResult::kDisconnected;
  stream_.Reset(false);
  const uint64_t wait_ms = BackoffMs(failures_ == 0 ? 0 : failures_ - 1, options_.retry_base_ms,
                                     options_.retry_max_ms, random_.Next());
  state_ = State::kWaiting;
  backoff_ns_ = wait_ms * 1'000'000;
  deadline_ns_ = backend_->NowNs() + backoff_ns_;
}

template <Backend B>
void BasicClient<B>::OnCompletion(const Completion& done) {
  if (done.token != connection_) return;
  if (done.op == Op::kClose) return OnClosed();
  if (state_ == State::kClosing || state_ == State::kFinal) return;
  switch (done.op) {
    case Op::kConnect:
      return OnConnected(done.result);
    case Op::kReceive:
      return OnReceived(done.result);
    case Op::kSend:
      return OnSent(done.result);
    case Op::kPollOut:
      return SendOutbox();
    default:
      return;
  }
}

template <Backend B>
void BasicClient<B>::OnConnected(int result) {
  if (result < 0) {
    return Drop(SystemStatus("connect", FormatAddress(addresses_[next_address_]), -result,
                             RemedyForConnect(-result)),
                true);
  }
  state_ = State::kConnected;
  established_ = true;
  if (was_connected_) ++reconnects_;
  tell_connected_ = was_connected_ || options_.reconnect;
  was_connected_ = true;
  const uint64_t resume_from = options_.hello ? stream_.resume_from() : 0;
  stream_.Reset(resume_from != 0);
  connected_ns_ = spoke_ns_ = backend_->NowNs();
  silence_.Start(spoke_ns_);
  if (!options_.hello) return;
  AppendHello(&outbox_, {kWireVersion, resume_from, stream_.resume_epoch(), options_.heartbeat_ms});
  SendOutbox();
}

template <Backend B>
void BasicClient<B>::SendOutbox() {
  backend_->Send(socket_, std::span<const std::byte>(outbox_).subspan(outbox_sent_), connection_);
}

template <Backend B>
bool BasicClient<B>::SendHeartbeat() {
  if (state_ != State::kConnected || outbox_sent_ != outbox_.size()) return false;
  MakeHeartbeat();
  // Not through the queue: who calls this waits busily for what the server makes of it.
  OnSent(backend_->SendNow(socket_, outbox_));
  if (outbox_sent_ != outbox_.size()) Turn(0);
  return true;
}

template <Backend B>
void BasicClient<B>::MakeHeartbeat() {
  outbox_.clear();
  outbox_sent_ = 0;
  AppendHeartbeat(&outbox_, last_wal_seq_);
}

template <Backend B>
void BasicClient<B>::OnSent(int result) {
  if (result > 0) {
    outbox_sent_ += static_cast<size_t>(result);
    if (outbox_sent_ < outbox_.size()) return SendOutbox();
    if (stream_.skipping()) welcome_.Start(backend_->NowNs());
  } else if (result == -EAGAIN) {
    backend_->PollOut(socket_, connection_);
  }
  // Any other failure: the receive side will say it, after what has arrived.
}

template <Backend B>
void BasicClient<B>::OnReceived(int result) {
  receiving_ = false;
  if (result > 0) {
    silence_.Heard();
    return stream_.Received(static_cast<size_t>(result));
  }
  if (result == -EAGAIN || result == -EINTR) return;
  const std::string how = result == 0 ? "end of stream" : ErrnoName(-result);
  const bool closed = result == 0 || result == -ECONNRESET;
  Drop(Status(StatusCode::kUnavailable,
              "recv \"" + PeerText() + "\": " + how +
                  (closed ? ClosedText() : "; the connection broke; check the network")),
       true);
}

// Also of a reset: that is what a server's close is to a client whose HELLO it has not read.
template <Backend B>
std::string BasicClient<B>::ClosedText() const {
  if (stream_.partial()) return ", within a frame; the server closed the connection";
  if (stream_.spoke()) return "; the server closed the connection";
  return " before any word; the server is full (max_clients), shuts down, or is no ombus relay";
}

}  // namespace ombus::net

#endif  // OMBUS_NET_BASIC_CLIENT_INL_H_

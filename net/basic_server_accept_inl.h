// Who comes: the bodies of BasicServer that listen, take clients in and refuse them. Included by
// net/basic_server.h alone.
#ifndef OMBUS_NET_BASIC_SERVER_ACCEPT_INL_H_
#define OMBUS_NET_BASIC_SERVER_ACCEPT_INL_H_

#include "net/basic_server.h"
#include "ring/base/errno_name.h"

namespace ombus::net {

template <Backend B>
Status BasicServer<B>::Listen(UniqueFd listener) {
  if (Status status = PrepareListener(listener.get(), table_.options().io); !status.ok()) {
    return status;
  }
  port_ = LocalPort(listener.get());
  Result<SocketId> id = backend_->Adopt(listener.get());
  if (!id.ok()) return id.status();
  (void)listener.Release();
  listener_ = *id;
  backend_->Accept(listener_, kListenToken);
  return Status();
}

template <Backend B>
void BasicServer<B>::OnAccepted(int result, bool more) {
  if (result < 0) {
    OnAcceptFailed(-result);
  } else if (shutting_down_ || !deal_ || !deal_(result)) {
    TakeClient(result);
  }
  if (!more && !accept_paused_ && !shutting_down_) backend_->Accept(listener_, kListenToken);
}

template <Backend B>
void BasicServer<B>::TakeClient(int accepted) {
  UniqueFd fd(AboveStdio(accepted));
  sockaddr_storage peer;
  // Nobody came: as with ECONNABORTED.
  if (!PrepareClientSocket(fd.get(), table_.options(), &peer)) return;
  const Result<SocketId> id = backend_->Adopt(fd.get());
  if (!id.ok()) {
    return TellAcceptFailed(id.status().message());
  }
  (void)fd.Release();
  if (const auto refusal = WhyNot(peer)) return RefuseClient(*id, peer, *refusal);
  const size_t slot = table_.Add(*id, peer, backend_->NowNs());
  ++table_.counters().clients_accepted;
  table_.TellOf(ServerEvent::Kind::kClientJoined, table_.at(slot), "joined");
  backend_->Receive(*id, Token(slot));
  attention_ = true;
}

// Nothing, for who may stay: then it is counted in.
template <Backend B>
std::optional<typename BasicServer<B>::Refusal> BasicServer<B>::WhyNot(
    const sockaddr_storage& peer) {
  // Not the end of the stream, of which it may lack something: it came to resume, perhaps.
  if (shutting_down_) return Refusal{ByeReason::kShutdown, "this server shuts down"};
  switch (table_.admission().Enter(Admission::Of(peer))) {
    case Admission::Answer::kIn:
      return std::nullopt;
    case Admission::Answer::kFull:
      return Refusal{ByeReason::kFull,
                     std::to_string(table_.options().max_clients) +
                         " clients are connected; raise max_clients to serve more"};
    case Admission::Answer::kAddressFull:
      break;
  }
  return Refusal{ByeReason::kFull,
                 std::to_string(table_.options().max_clients_per_address) +
                     " clients are connected from this address; raise max_clients_per_address to "
                     "serve more"};
}

template <Backend B>
void BasicServer<B>::RefuseClient(SocketId id, const sockaddr_storage& peer,
                                  const Refusal& refusal) {
  SayWhy(id, refusal);
  backend_->Close(id, kNobodyToken);
  ++table_.counters().clients_refused;
  uint64_t untold = 0;
  if (!table_.admission().ShouldTell(backend_->NowNs(), &untold)) return;
  const std::string text = "client " + FormatAddress(peer) + ": refused, " + refusal.why;
  table_.Tell(ServerEvent::Kind::kClientRefused, text + TellSeldom::Text(untold));
}

// Only to who has said HELLO by now: to a client of the older protocol it would be a record. Taking
// that HELLO in also keeps the close from being a reset, which could overtake what is said.
template <Backend B>
void BasicServer<B>::SayWhy(SocketId id, const Refusal& refusal) {
  std::array<std::byte, 64> said;  // no control frame is larger
  const int32_t got = backend_->ReceiveNow(id, said);
  if (got <= 0) return;
  Frame frame;
  Hello hello;
  const auto bytes = std::span<const std::byte>(said).first(static_cast<size_t>(got));
  if (ParseFrame(bytes, &frame) != ParseResult::kFrame || !ParseHello(frame, &hello)) return;
  std::vector<std::byte> bye;
  AppendBye(&bye, refusal.reason, "refused, " + refusal.why);
  (void)backend_->SendNow(id, bye);
}

template <Backend B>
void BasicServer<B>::TellAcceptFailed(const std::string& text) {
  ++table_.counters().accept_failures;
  uint64_t untold = 0;
  if (!accept_failures_.Now(backend_->NowNs(), &untold)) return;
  table_.Tell(ServerEvent::Kind::kAcceptFailed, text + TellSeldom::Text(untold));
}

template <Backend B>
void BasicServer<B>::OnAcceptFailed(int error) {
  if (error == ECONNABORTED || error == EINTR || error == EAGAIN || error == ECANCELED) return;
  TellAcceptFailed("accept \"port " + std::to_string(port_) + "\": " + ErrnoName(error) +
                   "; trying again every 100 ms" +
                   (error == EMFILE || error == ENFILE ? "; raise ulimit -n" : ""));
  accept_paused_ = true;
  accept_again_ns_ = backend_->NowNs() + kAcceptPauseNs;
}

}  // namespace ombus::net

#endif  // OMBUS_NET_BASIC_SERVER_ACCEPT_INL_H_

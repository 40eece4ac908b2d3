// How sessions end, and the server: the bodies of BasicServer that drain and close clients, flush
// and shut down. Included by net/basic_server.h alone.
#ifndef OMBUS_NET_BASIC_SERVER_END_INL_H_
#define OMBUS_NET_BASIC_SERVER_END_INL_H_

#include <utility>

#include "net/basic_server.h"

namespace ombus::net {

// Who has all it is owed is closed at once. Those that were cut together run out of time together:
// they are closed one a turn, since the others wait for that, and a sixty-fourth of those still
// waiting, so that they cannot come faster than they go. From the slot on where the last turn
// stopped: none waits for ever.
template <Backend B>
void BasicServer<B>::EndDrains() {
  uint32_t left = 1 + std::exchange(closes_waiting_, 0) / 64;
  if (table_.draining() == 0) return;
  const uint64_t now_ns = backend_->NowNs();
  const size_t slots = table_.slots(), first = drains_from_;
  for (size_t i = 0; i < slots; ++i) {
    const size_t slot = (first + i) % slots;
    Session& session = table_.at(slot);
    if (session.state != SessionState::kDraining) continue;
    if (!table_.DrainIsOver(session, now_ns)) {
      if (table_.OwnDone(session) && FinishedAndDelivered(session)) Close(slot);
    } else if (left != 0) {
      Close(slot);
      if (--left == 0) drains_from_ = slot + 1;
    } else {
      ++closes_waiting_;
    }
  }
}

// Ends the session's stream and says, from the next turn on, whether the peer's kernel has all of
// it. Closing at once could reset the connection, for a HELLO that is still unread, and take from
// the client what it was about to read.
template <Backend B>
bool BasicServer<B>::FinishedAndDelivered(Session& session) {
  if (session.finished) return backend_->AllDelivered(session.socket);
  session.finished = true;
  backend_->FinishSending(session.socket);
  return false;
}

template <Backend B>
void BasicServer<B>::Close(size_t slot) {
  Session& session = table_.at(slot);
  table_.Leave(session);
  session.state = SessionState::kClosing;
  backend_->Close(session.socket, Token(slot));
}

template <Backend B>
void BasicServer<B>::Lost(size_t slot, std::string_view how) {
  Session& session = table_.at(slot);
  if (session.state < SessionState::kDraining) {
    table_.TellOf(ServerEvent::Kind::kClientLeft, session, how);
  }
  Close(slot);
}

template <Backend B>
bool BasicServer<B>::Flush(uint64_t timeout_ns) {
  const uint64_t start_ns = backend_->NowNs();
  while (!all_drained()) {
    const uint64_t spent_ns = backend_->NowNs() - start_ns;
    if (spent_ns >= timeout_ns) return false;
    if (!Turn(std::min<uint64_t>(timeout_ns - spent_ns, 10'000'000)).ok()) return false;
  }
  return true;
}

template <Backend B>
void BasicServer<B>::Shutdown(uint64_t timeout_ns, ByeReason why) {
  shutting_down_ = true;
  const uint64_t start_ns = backend_->NowNs();
  const std::string_view text =
      why == ByeReason::kEndOfStream ? "end of stream" : "the server shuts down";
  while (true) {
    bool open = false;
    const uint64_t now_ns = backend_->NowNs();
    const bool late = now_ns - start_ns >= timeout_ns;
    for (size_t slot = 0; slot < table_.slots(); ++slot) {
      Session& session = table_.at(slot);
      if (session.state == SessionState::kFree) continue;
      open = true;
      // Who has just come may be about to say HELLO, and could not tell an end without BYE from a
      // connection that broke.
      if (!late && !session.said_hello && session.state < SessionState::kDraining &&
          now_ns - session.since_ns < kFirstWordNs) {
        continue;
      }
      // Who is draining has its last words already; EndDrains closes it.
      if (session.state != SessionState::kLive) {
        const bool greeting = session.state == SessionState::kGreeting;
        if (greeting || (late && session.state < SessionState::kClosing)) Close(slot);
        continue;
      }
      const bool log_done = session.cursor == table_.log().head() && !behind();
      const bool done = log_done && !session.sending && table_.OwnDone(session) &&
                        (session.extra == nullptr || !session.extra->hello_waits);
      if (late || (done && session.bye_queued && FinishedAndDelivered(session))) {
        Close(slot);
      } else if (done && !session.bye_queued) {
        table_.QueueBye(session, why, text);
        attention_ = true;
      }
    }
    if (!open || !Turn(1'000'000).ok()) return;
    if (late && backend_->NowNs() - start_ns >= timeout_ns + 1'000'000'000) return;
  }
}

}  // namespace ombus::net

#endif  // OMBUS_NET_BASIC_SERVER_END_INL_H_

#include "net/session_table.h"

#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "net/limits.h"
#include "net/socket.h"

namespace ombus::net {
namespace {

// Whose answers wait for a client to read; more HELLOs than that are not answered.
constexpr uint32_t kHellosMax = 64;

Status BadOption(const char* name, const std::string& remedy) {
  return Status(StatusCode::kInvalidArgument,
                "Server::Create \"" + std::string(name) + "\": EINVAL; " + remedy);
}

}  // namespace

// What is to be done with slow clients; the limit itself is known.
Status SessionTable::CheckSlowOptions(const ServerOptions& options) {
  const uint64_t most = options.client_lag_bytes_max;
  const std::string within = "give at most client_lag_bytes_max, " + std::to_string(most);
  if (options.soft_lag_bytes > most) return BadOption("soft_lag_bytes", within);
  if (options.hard_lag_bytes > most) return BadOption("hard_lag_bytes", within);
  if (options.soft_lag_bytes == 0 && options.soft_lag_ms != 0) {
    return BadOption("soft_lag_ms", "give soft_lag_bytes too");
  }
  if (options.hard_lag_bytes == 0 && options.hard_lag_ms != 0) {
    return BadOption("hard_lag_ms", "give hard_lag_bytes too");
  }
  if (options.hard_lag_bytes != 0 && options.slow_client_policy == SlowClientPolicy::kWait) {
    return BadOption("hard_lag_bytes", "none with kWait; slow_wait_ms says when a client is cut");
  }
  if (options.slow_client_policy == SlowClientPolicy::kCatchUp && options.catch_up == nullptr) {
    return BadOption("catch_up", "kCatchUp needs a source");
  }
  return Status();
}

Status SessionTable::CheckOptions(ServerOptions* options) {
  if (options->log_bytes > kLogBytesMax) {
    return BadOption("log_bytes", "give at most " + std::to_string(kLogBytesMax));
  }
  if (options->max_clients == 0 || options->max_clients > kClientsMax) {
    return BadOption("max_clients", "give a number from 1 to " + std::to_string(kClientsMax));
  }
  if (options->require_hello && options->hello_timeout_ms == 0) {
    return BadOption("hello_timeout_ms", "give at least 1 with require_hello");
  }
  if (options->turn_bytes_max == 0) return BadOption("turn_bytes_max", "give at least 1");
  options->log_bytes = std::bit_ceil(std::max(options->log_bytes, kLogBytesMin));
  uint64_t& lag = options->client_lag_bytes_max;
  const uint64_t lag_most = options->log_bytes - kLagMarginBytes;
  if (lag == 0) lag = std::min(options->log_bytes / 4 * 3, lag_most);
  if (lag > lag_most) {
    return BadOption("client_lag_bytes_max",
                     "give at most " + std::to_string(lag_most) + ", or a larger log_bytes");
  }
  return CheckSlowOptions(*options);
}

SessionTable::SessionTable(BroadcastLog log, const ServerOptions& options,
                           std::shared_ptr<Admission> admission)
    : log_(std::move(log)),
      epochs_(options.epoch),
      options_(options),
      turn_bytes_max_(options.turn_bytes_max),
      admission_(std::move(admission)) {
  if (admission_ == nullptr) {
    admission_ = std::make_shared<Admission>(options.max_clients, options.max_clients_per_address);
  }
  limit_ = lag_max();
  for (const uint64_t mark : {options_.soft_lag_bytes, options_.hard_lag_bytes}) {
    if (mark != 0) mark_bytes_ = std::min(mark_bytes_, mark);
  }
}

size_t SessionTable::Add(SocketId socket, const sockaddr_storage& peer, uint64_t now_ns) {
  if (free_.empty()) {
    sessions_.emplace_back();
    free_.push_back(static_cast<uint32_t>(sessions_.size() - 1));
  }
  const size_t slot = free_.back();
  free_.pop_back();
  Session& session = sessions_[slot];
  const uint32_t generation = session.generation;
  session = Session{};
  session.generation = generation;
  session.socket = socket;
  session.peer_is_v6 = peer.ss_family == AF_INET6;
  if (session.peer_is_v6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(peer);
    std::copy_n(v6.sin6_addr.s6_addr, 16, session.peer_ip.begin());
    session.peer_port = v6.sin6_port;
  } else if (peer.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(peer);
    std::copy_n(reinterpret_cast<const uint8_t*>(&v4.sin_addr), 4, session.peer_ip.begin());
    session.peer_port = v4.sin_port;
  }
  session.since_ns = now_ns;
  if (options_.require_hello) {
    session.state = SessionState::kGreeting;
    ++greeting_;
    NeedTimer(now_ns + uint64_t{options_.hello_timeout_ms} * 1'000'000);
  } else {
    StartLive(session);
  }
  return slot;
}

void SessionTable::StartLive(Session& session) {
  session.state = SessionState::kLive;
  session.cursor = log_.head();
  session.counted_from = log_.frames();
  ++live_;
  limit_ = std::min(limit_, log_.head() + lag_max());
}

void SessionTable::Free(size_t slot) {
  Session& session = sessions_[slot];
  admission_->Leave(Admission::Of(PeerAddress(session)));
  session.extra.reset();
  session.state = SessionState::kFree;
  ++session.generation;
  free_.push_back(static_cast<uint32_t>(slot));
}

SessionExtra& SessionTable::Extra(Session& session) {
  if (session.extra == nullptr) session.extra = std::make_unique<SessionExtra>();
  return *session.extra;
}

std::span<const std::byte> SessionTable::NextSendSlow(Session& session) {
  SessionExtra& extra = *session.extra;
  if (session.state == SessionState::kDraining) {
    session.sending_own = true;
    if (OwnDone(session)) return {};
    return extra.drain[extra.drain_at].Ready(extra.drain_sent);
  }
  bool own_left = extra.own_sent < extra.own.size();
  if (session.state == SessionState::kCatchingUp && !own_left) {
    Refill(session);
    own_left = extra.own_sent < extra.own.size();
  }
  if (session.state == SessionState::kLive) {
    if (extra.had_next != 0) PassOverHad(session);
    if (!own_left && !extra.hello_waits && !extra.skip_waits) {
      const auto window = LogWindow(session, turn_bytes_max_);
      own_left = extra.own_sent < extra.own.size();
      if (!own_left) return window;
    }
    // Frames of its own begin only where a frame of the log ends; once begun they go first.
    if (extra.own_sent == 0) {
      const uint64_t boundary = log_.BoundaryAfter(session.cursor).position;
      if (boundary != session.cursor) {
        return log_.Window(session.cursor, std::min(boundary - session.cursor, turn_bytes_max_));
      }
      // A resume says itself what is missing.
      if (extra.hello_waits && extra.hello.resume_from != 0) {
        extra.skip_waits = extra.epoch_cut = false;
      }
      if (extra.skip_waits) TellSkip(session);
      if (extra.hello_waits) AnswerHello(session);
    }
  }
  session.sending_own = true;
  return std::span<const std::byte>(extra.own).subspan(extra.own_sent);
}

void SessionTable::OnOwnSent(Session& session, uint32_t bytes) {
  SessionExtra& extra = *session.extra;
  if (session.state == SessionState::kDraining) return OnDrained(extra, bytes);
  extra.own_sent += bytes;
  if (extra.own_sent == extra.own.size() && session.served()) ForgetOwn(extra);
}

void SessionTable::ForgetOwn(SessionExtra& extra) {
  extra.own.clear();
  extra.own_sent = 0;
  extra.own_first = false;
  extra.gap_at = kNoGap;
  extra.warning_waits = false;
  extra.hellos_unanswered = 0;
}

void SessionTable::Reposition(Session& session, BroadcastLog::Place place) {
  stats_.frames_delivered += log_.BoundaryBefore(session.cursor).frame - session.counted_from;
  session.counted_from = place.frame;
  session.cursor = place.position;
  limit_ = std::min(limit_, place.position + lag_max());
}

SessionTable::Verdict SessionTable::OnReceived(Session& session, std::span<const std::byte> data,
                                               uint64_t now_ns) {
  if (!session.served() && session.state != SessionState::kGreeting) return Verdict::kKeep;
  SessionExtra& extra = Extra(session);
  extra.silence.Heard();
  while (true) {
    Frame frame;
    switch (extra.reader.Read(&data, &frame)) {
      case ControlReader::Outcome::kNeedMore:
        return Verdict::kKeep;
      case ControlReader::Outcome::kBad:
        return Refuse(session, ByeReason::kProtocolError, extra.reader.problem(), now_ns);
      case ControlReader::Outcome::kFrame:
        break;
    }
    if (!WithinRate(extra, now_ns)) {
      return Refuse(session, ByeReason::kProtocolError, "control frames faster than it may",
                    now_ns);
    }
    if (frame.type == static_cast<uint8_t>(ControlType::kHello)) {
      const Verdict verdict = OnHello(session, frame, now_ns);
      if (verdict != Verdict::kKeep) return verdict;
    } else if (frame.type == static_cast<uint8_t>(ControlType::kBye)) {
      return Verdict::kLeave;
    } else if (frame.type == static_cast<uint8_t>(ControlType::kHeartbeat)) {
      ++heartbeats_received_;
    } else {
      return Refuse(session, ByeReason::kProtocolError, "a control frame that no client sends",
                    now_ns);
    }
    if (data.empty()) return Verdict::kKeep;
  }
}

SessionTable::Verdict SessionTable::OnHello(Session& session, const Frame& frame, uint64_t now_ns) {
  Hello hello;
  if (!ParseHello(frame, &hello)) {
    return Refuse(session, ByeReason::kProtocolError, "a malformed HELLO", now_ns);
  }
  session.said_hello = true;
  if (hello.version != kWireVersion) {
    return Refuse(session, ByeReason::kVersion,
                  "HELLO of version " + std::to_string(hello.version) + "; this server speaks " +
                      std::to_string(kWireVersion),
                  now_ns);
  }
  SessionExtra& extra = *session.extra;
  if (++extra.hellos_unanswered > kHellosMax) {
    return Refuse(session, ByeReason::kProtocolError, "HELLO again without reading the answers",
                  now_ns);
  }
  extra.hello = hello;
  extra.hello_waits = true;
  extra.answer_at = hello.resume_from != 0 ? ahead_ : 0;
  AgreeOnHeartbeats(extra, hello.heartbeat_ms, now_ns);
  if (session.state == SessionState::kGreeting) {
    --greeting_;
    StartLive(session);
  }
  return Verdict::kKeep;
}

SessionTable::Verdict SessionTable::Refuse(Session& session, ByeReason why, std::string_view what,
                                           uint64_t now_ns) {
  ++stats_.protocol_errors;
  TellOf(ServerEvent::Kind::kProtocolError, session, "sent " + std::string(what) + "; closed");
  // A send in flight pins the log; there is no waiting for it for the sake of a broken peer.
  if (!session.said_hello || session.sending) return Verdict::kLeave;
  if (session.state == SessionState::kGreeting) {
    --greeting_;
    StartLive(session);
  }
  if (session.state == SessionState::kCatchingUp) GoLive(session, {log_.head(), log_.frames()});
  std::vector<std::byte> tail;
  AppendBye(&tail, why, what);
  BeginDrain(session, log_.BoundaryAfter(session.cursor).position, tail, now_ns);
  return Verdict::kEnd;
}

void SessionTable::Leave(Session& session) {
  if (session.state == SessionState::kDraining) {
    --draining_;
    return;
  }
  if (session.state < SessionState::kDraining && session.state != SessionState::kFree) {
    admission_->Depart();
  }
  if (session.state == SessionState::kGreeting) {
    --greeting_;
    ++stats_.clients_disconnected;
  }
  if (session.state == SessionState::kCatchingUp) {
    --catching_up_;
    --live_;
    ++stats_.clients_disconnected;
  }
  if (session.state != SessionState::kLive) return;
  stats_.frames_delivered += log_.BoundaryBefore(session.cursor).frame - session.counted_from;
  ++stats_.clients_disconnected;
  --live_;
}

bool SessionTable::InFlightBelow(uint64_t position) const {
  for (const Session& session : sessions_) {
    if (!session.sending || session.cursor >= position) continue;
    if (!session.sending_own || session.state == SessionState::kLive) return true;
  }
  return false;
}

// As far as the log may be written for the sake of those cut.
uint64_t SessionTable::OwedLimit() const {
  const uint64_t unsaved = drains_.unsaved();
  return unsaved == DrainLog::kAllSaved ? unsaved : unsaved + log_.bytes();
}

void SessionTable::Refresh() {
  NoteEpochFirst();
  uint64_t lowest = ~uint64_t{0};
  bool busy = catching_up_ != 0;
  for (Session& session : sessions_) {
    const bool pins = session.sending && !session.sending_own;
    if (session.state != SessionState::kLive && !pins) continue;
    if (session.state == SessionState::kLive && session.extra != nullptr &&
        session.extra->had_next != 0) {
      PassOverHad(session);
    }
    lowest = std::min(lowest, session.cursor);
    busy |= session.sending ||
            (session.extra != nullptr &&
             (!OwnDone(session) || session.extra->hello_waits || session.extra->skip_waits));
  }
  held_ = std::min(lowest, drains_.unsaved());
  all_drained_ = lowest >= log_.head() && !busy;
  limit_ = OwedLimit();
  if (lowest != ~uint64_t{0}) {
    limit_ = std::min(limit_, lowest + lag_max());
    stats_.log_bytes_high = std::max(stats_.log_bytes_high, log_.head() - lowest);
  } else if (!epochs_.latest().first_wal_seq.has_value()) {
    // No session holds the log; but the first record of an epoch, yet to come, is to be seen.
    limit_ = std::min(limit_, log_.head() + log_.bytes());
  }
}

void SessionTable::QueueBye(Session& session, ByeReason why, std::string_view text) {
  session.bye_queued = true;
  if (session.said_hello) AppendBye(&Extra(session).own, why, text);
}

void SessionTable::Tell(ServerEvent::Kind kind, std::string text) {
  if (events_.size() == kEventsMax) {
    events_.pop_front();
    ++events_untold_;
  }
  events_.push_back({kind, std::move(text)});
}

void SessionTable::TellOf(ServerEvent::Kind kind, const Session& session, std::string_view what) {
  const uint64_t lag = session.state == SessionState::kLive ? log_.head() - session.cursor : 0;
  Tell(kind, "client " + PeerText(session) + ": " + std::string(what) + " (lag " +
                 std::to_string(lag) + " bytes, limit " + std::to_string(lag_max()) + ")");
}

std::vector<ServerEvent> SessionTable::TakeEvents() {
  std::vector<ServerEvent> taken;
  if (events_untold_ != 0) {
    taken.push_back({ServerEvent::Kind::kNote,
                     "server \"events\": " + std::to_string(std::exchange(events_untold_, 0)) +
                         " older events are not told; take them more often"});
  }
  taken.insert(taken.end(), std::make_move_iterator(events_.begin()),
               std::make_move_iterator(events_.end()));
  events_.clear();
  return taken;
}

ServerStats SessionTable::Stats() const {
  ServerStats stats = stats_;
  stats.records_broadcast = log_.frames();
  stats.bytes_broadcast = log_.head() - log_.frames() * kFrameHeaderBytes;
  for (const Session& session : sessions_) {
    if (session.state != SessionState::kLive) continue;
    stats.frames_delivered += log_.BoundaryBefore(session.cursor).frame - session.counted_from;
  }
  return stats;
}

sockaddr_storage PeerAddress(const Session& session) {
  sockaddr_storage address{};
  if (session.peer_is_v6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = session.peer_port;
    std::copy_n(session.peer_ip.begin(), 16, v6.sin6_addr.s6_addr);
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address);
    v4.sin_family = AF_INET;
    v4.sin_port = session.peer_port;
    std::copy_n(session.peer_ip.begin(), 4, reinterpret_cast<uint8_t*>(&v4.sin_addr));
  }
  return address;
}

std::string PeerText(const Session& session) { return FormatAddress(PeerAddress(session)); }

}  // namespace ombus::net

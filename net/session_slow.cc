// What happens to clients that are too slow: the part of SessionTable that warns, skips and cuts.
#include <algorithm>
#include <string>
#include <utility>

#include "net/session_table.h"

namespace ombus::net {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

uint32_t Clamped(uint64_t bytes) { return static_cast<uint32_t>(std::min<uint64_t>(bytes, ~0u)); }

}  // namespace

void SessionTable::MakeRoom(uint64_t bytes, uint64_t now_ns) {
  for (Session& session : sessions_) {
    if (session.state != SessionState::kLive) continue;
    if (log_.head() + bytes - session.cursor <= lag_max()) continue;
    Overrun(session, now_ns,
            "it would lag more than it may; raise client_lag_bytes_max and log_bytes "
            "(--client-lag-bytes, --log-bytes), or wait for it (--slow-client wait)");
  }
}

void SessionTable::CutStalled(uint64_t bytes, uint64_t now_ns) {
  const uint64_t wait_ns = uint64_t{options_.slow_wait_ms} * kNsPerMs;
  for (Session& session : sessions_) {
    if (session.state != SessionState::kLive || session.sending) continue;
    if (log_.head() + bytes - session.cursor <= lag_max()) continue;
    if (session.stalled_since_ns == 0 || session.stalled_cursor != session.cursor) {
      session.stalled_cursor = session.cursor;
      session.stalled_since_ns = now_ns;
    } else if (now_ns - session.stalled_since_ns >= wait_ns) {
      Cut(session, now_ns, "it held everybody up and made no progress");
    }
  }
}

bool SessionTable::MarksDue() const {
  if (mark_bytes_ == ~uint64_t{0}) return false;
  // limit_ is lag_max() above the lowest cursor, or higher where nobody holds the log.
  const uint64_t most = log_.head() + lag_max();
  return over_mark_ || (limit_ < most && most - limit_ > mark_bytes_);
}

void SessionTable::CheckMarks(uint64_t now_ns) {
  over_mark_ = false;
  for (Session& session : sessions_) {
    if (session.state != SessionState::kLive) continue;
    const uint64_t lag = log_.head() - session.cursor;
    const bool soft = options_.soft_lag_bytes != 0 && lag > options_.soft_lag_bytes;
    const bool hard = options_.hard_lag_bytes != 0 && lag > options_.hard_lag_bytes;
    if (!soft) session.over_soft_ns = 0;
    if (!soft) session.warned = false;
    if (!hard) session.over_hard_ns = 0;
    if (!soft && !hard) continue;
    over_mark_ = true;
    if (soft && session.over_soft_ns == 0) session.over_soft_ns = now_ns;
    if (hard && session.over_hard_ns == 0) session.over_hard_ns = now_ns;
    const uint64_t hard_at = session.over_hard_ns + options_.hard_lag_ms * kNsPerMs;
    const uint64_t soft_at = session.over_soft_ns + options_.soft_lag_ms * kNsPerMs;
    if (hard) NeedTimer(std::max(hard_at, now_ns + kNsPerMs));
    if (soft && !session.warned) NeedTimer(std::max(soft_at, now_ns + kNsPerMs));
    if (session.sending) continue;  // its frames are the kernel's until the next turn
    if (hard && now_ns >= hard_at) {
      session.over_hard_ns = 0;
      Overrun(session, now_ns, "it was over the hard mark for too long");
    } else if (soft && !session.warned && now_ns >= soft_at) {
      Warn(session);
    }
  }
}

// Once, until it has come back below the mark and has taken the warning before.
void SessionTable::Warn(Session& session) {
  session.warned = true;
  if (std::exchange(Extra(session).warning_waits, true)) return;
  TellOf(ServerEvent::Kind::kClientSlow, session, "slow: warned, over the soft mark");
  AppendWarning(&session.extra->own, log_.head() - session.cursor);
}

void SessionTable::AppendWarning(std::vector<std::byte>* to, uint64_t pending_bytes) {
  ++stats_.slow_client_warnings;
  AppendSlowWarning(to, {Clamped(pending_bytes), Clamped(lag_max())});
}

// Its send is not in flight.
void SessionTable::Overrun(Session& session, uint64_t now_ns, const std::string& why) {
  switch (options_.slow_client_policy) {
    case SlowClientPolicy::kDisconnect:
    case SlowClientPolicy::kWait:
      return Cut(session, now_ns, why);
    case SlowClientPolicy::kSkip:
      return Skip(session, why);
    case SlowClientPolicy::kCatchUp:
      return FallBehind(session, why);
  }
}

void SessionTable::Cut(Session& session, uint64_t now_ns, const std::string& why) {
  const uint64_t pending = log_.head() - session.cursor;
  ++stats_.slow_client_drops;
  TellOf(ServerEvent::Kind::kClientCut, session, "cut: " + why);
  std::vector<std::byte> tail;
  if (pending + FrameBytes(kSlowWarningBytes) <= lag_max()) AppendWarning(&tail, pending);
  if (session.said_hello) AppendBye(&tail, ByeReason::kTooSlow, "too slow");
  BeginDrain(session, log_.head(), tail, now_ns);
}

// Lets go of the log: keeps what is left of a frame that has begun, counts those before it as
// delivered, and leaves the cursor at the boundary that follows.
void SessionTable::LetGo(Session& session) {
  SessionExtra& extra = Extra(session);
  const BroadcastLog::Place next = log_.BoundaryAfter(session.cursor);
  if (next.position != session.cursor) {
    const auto rest = log_.Window(session.cursor, next.position - session.cursor);
    extra.own.insert(extra.own.begin(), rest.begin(), rest.end());
    extra.own_first = true;
  }
  session.cursor = next.position;
  stats_.frames_delivered += next.frame - session.counted_from;
  session.counted_from = next.frame;
}

// To the head. The gap is told when the client has room for it; one that is not yet on its way
// grows instead of being followed by another.
void SessionTable::Skip(Session& session, const std::string& why) {
  const uint64_t lag = log_.head() - session.cursor;
  SessionExtra& extra = Extra(session);
  LetGo(session);
  TakeBackGap(extra);
  // What is missing may be of an epoch that it has yet to be told of. Where a gap still waits no
  // record of that epoch was sent, and the next record's WELCOME and GAP will say so.
  const bool more = extra.skip_waits ? session.cursor != log_.head() : TellWhereItStands(session);
  if (!more) return;  // it was within the last frame: nothing to skip
  const BroadcastLog::Place next{session.cursor, session.counted_from};
  const uint64_t epoch = epochs_.NumberAt(next.position);
  const uint64_t to = EndOf(epoch).last_wal_seq;
  if (!extra.skip_waits) {
    extra.skip = {log_.WalSeqAt(next.position), to, static_cast<uint32_t>(GapReason::kSkipped)};
    extra.skip_epoch = epoch;
    extra.skip_bytes = 0;
  } else if (extra.skip_epoch == epoch) {
    extra.skip.to = to;
  }
  // Also something of later epochs is missing.
  extra.epoch_cut |=
      extra.skip_epoch < epochs_.first() || EndOf(extra.skip_epoch).place.position < log_.head();
  extra.skip_waits = true;
  extra.skip_bytes += log_.head() - next.position;
  const uint64_t frames = log_.frames() - next.frame;
  ++stats_.slow_client_skips;
  stats_.frames_skipped += frames;
  TellOf(ServerEvent::Kind::kClientSkipped, session,
         "skipped " + std::to_string(frames) + " records up to sequence " +
             std::to_string(log_.last_wal_seq()) + ": " + why + ", it lagged " +
             std::to_string(lag) + " bytes");
  session.cursor = log_.head();
  session.counted_from = log_.frames();
}

// Takes a gap that has not begun to be sent out of its frames again.
void SessionTable::TakeBackGap(SessionExtra& extra) {
  const size_t at = std::exchange(extra.gap_at, kNoGap);
  if (at == kNoGap || at < extra.own_sent) return;
  const auto begin = extra.own.begin() + static_cast<ptrdiff_t>(at);
  extra.own.erase(begin, begin + static_cast<ptrdiff_t>(extra.gap_bytes));
  extra.skip_waits = true;
  if (extra.own_sent == extra.own.size()) ForgetOwn(extra);
}

// A client of the old protocol sees the jump in the sequence, after the warning; so does one that
// waits for the answer to its HELLO, which says where it is.
void SessionTable::TellSkip(Session& session) {
  SessionExtra& extra = *session.extra;
  extra.skip_waits = false;
  extra.gap_at = extra.own.size();
  if (session.said_hello && !extra.hello_waits) {
    AppendGap(&extra.own, extra.skip);
  } else {
    extra.epoch_cut = false;  // the warning is for all of it
    AppendWarning(&extra.own, extra.skip_bytes);
  }
  extra.gap_bytes = extra.own.size() - extra.gap_at;
}

}  // namespace ombus::net

// SessionTable's clockwork: HELLO that does not come, heartbeats, silence, and how often a client
// may speak.
#include <algorithm>

#include "net/session_table.h"

namespace ombus::net {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000, kNsPerSecond = 1'000'000'000;

}  // namespace

std::string SessionTable::OnTimer(Session& session, uint64_t now_ns) {
  if (session.state == SessionState::kGreeting) {
    const uint64_t due_ns = session.since_ns + options_.hello_timeout_ms * kNsPerMs;
    if (now_ns < due_ns) {
      NeedTimer(due_ns);
      return {};
    }
    ++stats_.clients_timed_out;
    return "closed: no HELLO within " + std::to_string(options_.hello_timeout_ms) + " ms";
  }
  if (!session.served() || session.extra == nullptr) return {};
  if (session.extra->heartbeat_ms != 0 && Silent(*session.extra, now_ns)) {
    ++stats_.clients_timed_out;
    return "closed: it promised heartbeats and was silent for " +
           std::to_string(session.extra->silence.SilentNs(now_ns) / kNsPerMs) + " ms";
  }
  if (session.state == SessionState::kCatchingUp) WatchCatchUp(session, now_ns);
  if (session.extra->heartbeat_ms != 0) Beat(session, now_ns);
  return {};
}

void SessionTable::ForgiveAbsence(uint64_t from_ns, uint64_t to_ns, uint64_t wait_ns) {
  const auto forgive = [&](uint64_t* since_ns, uint64_t limit_ms) {
    if (*since_ns == 0 || *since_ns >= to_ns) return;
    const uint64_t passed_ns = to_ns - std::max(*since_ns, from_ns);
    const uint64_t absent_ns = passed_ns - std::min(passed_ns, wait_ns);
    *since_ns += absent_ns - std::min(absent_ns, limit_ms * kNsPerMs / 3);
  };
  for (Session& session : sessions_) {
    if (session.state == SessionState::kGreeting) {
      forgive(&session.since_ns, options_.hello_timeout_ms);
    } else if (session.state == SessionState::kDraining) {
      forgive(&session.since_ns, options_.drain_ms);
    } else if (session.served()) {
      forgive(&session.stalled_since_ns, options_.slow_wait_ms);
      forgive(&session.over_soft_ns, options_.soft_lag_ms);
      forgive(&session.over_hard_ns, options_.hard_lag_ms);
      if (session.extra == nullptr) continue;
      forgive(&session.extra->starved_ns, options_.catch_up_wait_ms);
    }
  }
}

// Asked twice an interval, after a look at the sockets: longer than a third of its patience between
// two of these this process did not run, which is not the client's silence.
bool SessionTable::Silent(SessionExtra& extra, uint64_t now_ns) {
  if (options_.client_timeout_ms == 0) return false;
  const uint64_t patience_ms =
      std::max<uint64_t>(options_.client_timeout_ms, uint64_t{extra.heartbeat_ms} * 3);
  return extra.silence.Overdue(now_ns, patience_ms * kNsPerMs);
}

// Looks twice an interval, so that the client hears something in each. Who is behind is not told
// that nothing is new.
void SessionTable::Beat(Session& session, uint64_t now_ns) {
  SessionExtra& extra = *session.extra;
  if (now_ns >= extra.look_ns) {
    extra.look_ns = now_ns + std::max<uint64_t>(extra.heartbeat_ms * kNsPerMs / 2, kNsPerMs);
    const bool moved = std::exchange(extra.looked_cursor, session.cursor) != session.cursor;
    const bool idle = session.state == SessionState::kLive && session.cursor == log_.head() &&
                      !session.sending && !extra.hello_waits && !extra.skip_waits &&
                      OwnDone(session);
    if (!moved && idle && !session.bye_queued) AppendHeartbeat(&extra.own, 0);
  }
  NeedTimer(extra.look_ns);
}

void SessionTable::AgreeOnHeartbeats(SessionExtra& extra, uint32_t asked_ms, uint64_t now_ns) {
  const bool both = asked_ms != 0 && options_.heartbeat_ms != 0;
  extra.heartbeat_ms = both ? std::max(asked_ms, options_.heartbeat_ms) : 0;
  extra.silence.Start(now_ns);
  extra.look_ns = now_ns;
  if (both) NeedTimer(now_ns);
}

// A bucket of one second's frames.
bool SessionTable::WithinRate(SessionExtra& extra, uint64_t now_ns) {
  const uint32_t rate = options_.control_frames_per_second;
  if (rate == 0) return true;
  if (extra.control_budget == 0) {
    const uint64_t passed_ns =
        extra.budget_ns == 0 ? kNsPerSecond : std::min(now_ns - extra.budget_ns, kNsPerSecond);
    extra.control_budget = static_cast<uint32_t>(passed_ns * rate / kNsPerSecond);
    if (extra.control_budget == 0) return false;
    extra.budget_ns = now_ns;
  }
  --extra.control_budget;
  return true;
}

}  // namespace ombus::net

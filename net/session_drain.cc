// What a client still gets whose session is over: the part of SessionTable that drains.
#include <algorithm>
#include <utility>

#include "net/session_table.h"

namespace ombus::net {
namespace {

// Sessions cut at once share this many log sizes of drain memory; who comes later gets the warning
// alone. A storm of slow clients must not become a storm of allocations.
constexpr uint64_t kDrainLogsMax = 16;

}  // namespace

void SessionTable::BeginDrain(Session& session, uint64_t end, const std::vector<std::byte>& tail,
                              uint64_t now_ns) {
  SessionExtra& extra = Extra(session);
  Leave(session);
  std::vector<std::byte> all = TakeBegun(session);
  if (drain_bytes_ + end - session.cursor <= kDrainLogsMax * log_.bytes()) {
    const uint64_t frame = log_.BoundaryBefore(session.cursor).frame;
    AppendLog(session, end, &all);
    stats_.frames_delivered += log_.BoundaryBefore(session.cursor).frame - frame;
  }
  all.insert(all.end(), tail.begin(), tail.end());
  extra.own = std::move(all);
  extra.own_sent = 0;
  drain_bytes_ += extra.own.size();
  session.state = SessionState::kDraining;
  session.deadline_ns = now_ns + uint64_t{options_.drain_ms} * 1'000'000;
  ++draining_;
}

// What is left of the frame that has begun, and all of its own.
std::vector<std::byte> SessionTable::TakeBegun(Session& session) {
  SessionExtra& extra = *session.extra;
  std::vector<std::byte> taken;
  if (extra.own_sent == 0 && !extra.own_first) {
    const BroadcastLog::Place next = log_.BoundaryAfter(session.cursor);
    const auto rest = log_.Window(session.cursor, next.position - session.cursor);
    taken.assign(rest.begin(), rest.end());
    stats_.frames_delivered += rest.empty() ? 0 : 1;
    session.cursor = next.position;
  }
  taken.insert(taken.end(), extra.own.begin() + static_cast<ptrdiff_t>(extra.own_sent),
               extra.own.end());
  ForgetOwn(extra);
  return taken;
}

// The log up to `end`, and where epochs begin what has to be told there. A client whose HELLO waits
// for its answer gets no further than to the next epoch: what is told of that would seem the
// answer.
void SessionTable::AppendLog(Session& session, uint64_t end, std::vector<std::byte>* to) {
  SessionExtra& extra = *session.extra;
  if (extra.hello_waits) {
    const uint64_t next = epochs_.NumberAt(session.cursor) + 1;
    if (next < epochs_.count()) end = std::min(end, epochs_.at(next).position);
    extra.epochs_told = epochs_.count();
  }
  while (session.cursor < end) {
    const auto window = LogWindow(session, end - session.cursor);
    to->insert(to->end(), extra.own.begin(), extra.own.end());
    ForgetOwn(extra);
    to->insert(to->end(), window.begin(), window.end());
    session.cursor += window.size();
  }
}

}  // namespace ombus::net

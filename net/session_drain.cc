// What a client still gets whose session is over: the part of SessionTable that drains.
#include <algorithm>
#include <utility>

#include "net/session_table.h"

namespace ombus::net {
namespace {

// All drains together hold at most so many log sizes; who comes later gets the warning alone.
constexpr uint64_t kDrainLogsMax = 16;
// Less is not shared but copied between the frames of the client's own: so few bytes leave in one
// send.
constexpr size_t kSmallBytes = 16u << 10;

void AddOwn(std::vector<std::byte> bytes, std::vector<DrainPiece>* pieces) {
  if (!bytes.empty()) pieces->emplace_back(std::move(bytes));
}

}  // namespace

void SessionTable::BeginDrain(Session& session, uint64_t end, const std::vector<std::byte>& tail,
                              uint64_t now_ns) {
  SessionExtra& extra = Extra(session);
  Leave(session);
  session.state = SessionState::kDraining;
  session.since_ns = now_ns;
  ++draining_;
  std::vector<std::byte> own = TakeBegun(session);
  if (drains_.bytes() + end - session.cursor <= kDrainLogsMax * log_.bytes()) {
    const uint64_t frame = log_.BoundaryBefore(session.cursor).frame;
    AppendLog(session, end, &own);
    stats_.frames_delivered += log_.BoundaryBefore(session.cursor).frame - frame;
  }
  own.insert(own.end(), tail.begin(), tail.end());
  AddOwn(std::move(own), &extra.drain);
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
void SessionTable::AppendLog(Session& session, uint64_t end, std::vector<std::byte>* own) {
  SessionExtra& extra = *session.extra;
  if (extra.hello_waits) {
    const uint64_t next = epochs_.NumberAt(session.cursor) + 1;
    if (next < epochs_.count()) end = std::min(end, epochs_.at(next).position);
    // Nor into one that it has yet to be told of.
    if (extra.welcomed && extra.epochs_told < next) end = session.cursor;
    extra.epochs_told = epochs_.count();
  }
  while (session.cursor < end) {
    const auto window = LogWindow(session, end - session.cursor);
    own->insert(own->end(), extra.own.begin(), extra.own.end());
    ForgetOwn(extra);
    if (window.size() <= kSmallBytes) {
      own->insert(own->end(), window.begin(), window.end());
    } else {
      AddOwn(std::exchange(*own, {}), &extra.drain);
      drains_.Hold(log_, reads_from(), session.cursor, session.cursor + window.size(),
                   &extra.drain);
      limit_ = std::min(limit_, OwedLimit());  // until the next Refresh
    }
    session.cursor += window.size();
  }
}

void SessionTable::OnDrained(SessionExtra& extra, uint32_t bytes) {
  extra.drain_sent += bytes;
  if (extra.drain_sent < extra.drain[extra.drain_at].size()) return;
  extra.drain[extra.drain_at++].Forget();
  extra.drain_sent = 0;
}

}  // namespace ombus::net

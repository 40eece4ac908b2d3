// Clients that are behind the broadcast log and get what they miss from a CatchUpSource: the part
// of SessionTable that leaves the log and finds back into it.
#include <algorithm>
#include <string>
#include <utility>

#include "net/session_table.h"

namespace ombus::net {
namespace {

// Read at once for one client, and so many such reads a turn: the others wait meanwhile.
constexpr size_t kChunkBytes = 128u << 10;
static_assert(kChunkBytes >= kFrameBytesMax);
constexpr uint64_t kStarvedLookNs = 50'000'000;

}  // namespace

// Too slow for the log. Its send is not in flight.
void SessionTable::FallBehind(Session& session, const std::string& why) {
  LetGo(session);
  if (!TellWhereItStands(session)) return;  // it was within the last frame
  TellOf(ServerEvent::Kind::kClientSlow, session, "catches up from the source: " + why);
  StartCatchUp(session, epochs_.NumberAt(session.cursor), log_.WalSeqAt(session.cursor));
}

void SessionTable::StartCatchUp(Session& session, uint64_t epoch, uint64_t from) {
  SessionExtra& extra = *session.extra;
  ++stats_.catch_ups;
  ++catching_up_;
  session.state = SessionState::kCatchingUp;
  session.over_soft_ns = session.over_hard_ns = 0;
  session.warned = false;
  extra.catch_epoch = epoch;
  extra.catch_name = epochs_.at(epoch).epoch;
  extra.catch_next = from;
  extra.had_next = 0;
  extra.gap_at = kNoGap;
  extra.starved = false;
  extra.starved_ns = 0;
  NeedTimer(0);
}

// All of its own frames are sent: more of them, or back to the log.
void SessionTable::Refill(Session& session) {
  SessionExtra& extra = *session.extra;
  if (extra.hello_waits && extra.hello.resume_from != 0) {
    return GoLive(session, {log_.head(), log_.frames()});  // where Welcome decides anew
  }
  if (extra.catch_epoch < epochs_.first()) return GiveUpCatchUp(session);
  if (extra.catch_name != epochs_.at(extra.catch_epoch).epoch) {
    // Whatever the source may have of the epoch that was replaced.
    extra.catch_name = epochs_.at(extra.catch_epoch).epoch;
    extra.catch_next = extra.had_next = 0;
    extra.epoch_cut = true;
    extra.hello_waits |= session.said_hello;
  }
  if (extra.hello_waits) return WelcomeBehind(session);
  if (JoinLog(session) || reads_left_ == 0) return;
  --reads_left_;
  extra.own.resize(kChunkBytes);
  const size_t got = std::min(
      options_.catch_up->Read(epochs_.at(extra.catch_epoch).epoch, extra.catch_next, extra.own),
      extra.own.size());
  extra.own.resize(got);
  extra.starved = got == 0;
  if (extra.starved && JoinLog(session)) return;
  if (got != 0 && !TakeChunk(session)) {
    Tell(ServerEvent::Kind::kNote,
         "catch-up source: gave bytes that are no frames in rising "
         "sequence from " +
             std::to_string(extra.catch_next) + " on; repair it, clients go without");
    extra.own.clear();
    GiveUpCatchUp(session);
  }
}

// WELCOME for who goes on from the source.
void SessionTable::WelcomeBehind(Session& session) {
  SessionExtra& extra = *session.extra;
  const EpochEnd end = EndOf(extra.catch_epoch);
  // Beyond what was broadcast here the source alone knows what follows.
  const bool known = !end.empty && extra.catch_next <= end.last_wal_seq;
  extra.hello_waits = false;
  extra.epochs_told = end.empty ? extra.catch_epoch : extra.catch_epoch + 1;
  NameEpoch(extra, extra.catch_name, known ? extra.catch_next : 0);
  const EpochStart& start = epochs_.at(extra.catch_epoch);
  const bool at_start = !start.whole && start.first_wal_seq == extra.catch_next;
  // From its beginning on TakeChunk says what is missing before that.
  if (extra.catch_next != 0 && at_start && extra.hello.resume_from == 0) {
    AppendGap(&extra.own, EpochGap(extra.catch_next));
  }
}

// Checks what the source gave, whatever it is. Says what is missing before it.
bool SessionTable::TakeChunk(Session& session) {
  SessionExtra& extra = *session.extra;
  std::span<const std::byte> left(extra.own);
  uint64_t frames = 0, first = 0, next = extra.catch_next;
  Frame frame;
  while (!left.empty()) {
    if (ParseFrame(left, &frame) != ParseResult::kFrame) return false;
    if (frame.control() || frame.wal_seq < next) return false;
    if (frames++ == 0) first = frame.wal_seq;
    next = frame.wal_seq + 1;
    left = left.subspan(frame.bytes());
  }
  const EpochStart& start = epochs_.at(extra.catch_epoch);
  if (extra.catch_next == 0) {
    const bool cut = std::exchange(extra.epoch_cut, false);
    if (cut || !start.whole || first > start.first_wal_seq.value_or(first)) {
      TellMissing(session, EpochGap(first));
    }
  } else if (first > extra.catch_next) {
    TellMissing(session,
                {extra.catch_next, first - 1, static_cast<uint32_t>(GapReason::kNotRetained)});
  }
  extra.catch_next = extra.had_next = next;
  stats_.frames_caught_up += frames;
  stats_.frames_delivered += frames;
  return true;
}

void SessionTable::TellMissing(Session& session, const Gap& gap) {
  SessionExtra& extra = *session.extra;
  std::vector<std::byte> told;
  if (session.said_hello) {
    AppendGap(&told, gap);
  } else {
    AppendWarning(&told, 0);
  }
  extra.own.insert(extra.own.begin(), told.begin(), told.end());
}

// Back to the log where that has what comes next, far enough from being overtaken again.
bool SessionTable::JoinLog(Session& session) {
  SessionExtra& extra = *session.extra;
  const EpochStart& start = epochs_.at(extra.catch_epoch);
  const bool latest = extra.catch_epoch + 1 == epochs_.count();
  const EpochEnd end = EndOf(extra.catch_epoch);
  // Of an epoch of which nothing was broadcast here the source alone knows how far it goes.
  const bool over = end.empty ? !latest || extra.starved : extra.catch_next > end.last_wal_seq;
  // From its beginning on: whatever that is.
  const bool whole = extra.catch_next == 0 && log_.head() - start.position <= reach();
  const BroadcastLog::Place begin{start.position, start.frame};
  const auto found = over    ? std::optional(end.place)
                     : whole ? std::optional(begin)
                             : log_.Find(extra.catch_next, begin, end.place.position);
  if (found.has_value() && log_.head() - found->position <= reach()) {
    GoLive(session, *found);
    if (extra.had_next != 0) {
      extra.hello.epoch = extra.catch_name;
      extra.hello.resume_from = extra.had_next;
    }
    return true;
  }
  if (over && !latest) {
    // On with the next epoch, from its beginning.
    session.cursor = end.place.position;
    extra.catch_name = epochs_.at(++extra.catch_epoch).epoch;
    extra.catch_next = extra.had_next = 0;
    if (session.said_hello) {
      WelcomeBehind(session);
      return true;
    }
  }
  return false;
}

void SessionTable::GoLive(Session& session, BroadcastLog::Place place) {
  SessionExtra& extra = *session.extra;
  --catching_up_;
  session.state = SessionState::kLive;
  session.cursor = place.position;
  session.counted_from = place.frame;
  extra.own.shrink_to_fit();
  limit_ = std::min(limit_, place.position + lag_max());
  if (extra.catch_epoch < epochs_.first()) extra.had_next = 0;
  if (extra.had_next == 0) return;
  const EpochEnd end = EndOf(extra.catch_epoch);
  extra.had_from = end.empty ? 0 : end.last_wal_seq + 1;
}

// A source, or the server before this one, may have been ahead of the log: what it gave is left out
// here when it comes. At a boundary, and nothing of the log is sent until that is over.
void SessionTable::PassOverHad(Session& session) {
  SessionExtra& extra = *session.extra;
  const bool looked = extra.looked_cursor == session.cursor;  // and was sent nothing since
  uint64_t end = session.cursor;
  bool open = false;  // more of the epoch may come
  if (extra.catch_epoch >= epochs_.first() &&
      epochs_.at(extra.catch_epoch).epoch == extra.catch_name) {
    end = EndOf(extra.catch_epoch).place.position;
    open = extra.catch_epoch + 1 == epochs_.count();
  }
  while (session.cursor < end) {
    const uint64_t wal_seq = log_.WalSeqAt(session.cursor);
    if (wal_seq < extra.had_from || wal_seq >= extra.had_next) {
      open = false;
      break;
    }
    extra.had_from = wal_seq + 1;
    const BroadcastLog::Place next = log_.NextAfter({session.cursor, session.counted_from});
    session.cursor = next.position;
    session.counted_from = next.frame;
  }
  if (!open || extra.had_from >= extra.had_next) extra.had_next = 0;
  if (looked) extra.looked_cursor = session.cursor;
}

// What the source does not have will not come: on from what the log has.
void SessionTable::GiveUpCatchUp(Session& session) {
  SessionExtra& extra = *session.extra;
  TellOf(ServerEvent::Kind::kClientSlow, session,
         "the source has nothing from sequence " + std::to_string(extra.catch_next) +
             " on; it goes on with what the log has");
  std::optional<uint64_t> epoch;
  if (extra.catch_epoch >= epochs_.first()) epoch = extra.catch_epoch;
  GoLive(session, {log_.head(), log_.frames()});
  extra.hello.resume_from = std::max<uint64_t>(extra.catch_next, 1);
  extra.hello.epoch = epoch.has_value() ? extra.catch_name : ~uint64_t{0};
  const Gap gap =
      log_.frames() != 0 ? Resume(session, epoch, extra.catch_next, /*may_catch_up=*/false) : Gap{};
  if (session.said_hello) {
    TellPlace(session, gap);
  } else if (gap.why != 0) {
    TellMissing(session, gap);
  }
}

// Looks after those whose source has nothing for them, for as long as they may wait.
void SessionTable::WatchCatchUp(Session& session, uint64_t now_ns) {
  SessionExtra& extra = *session.extra;
  NeedTimer(now_ns + kStarvedLookNs);
  if (!extra.starved || session.sending) {
    extra.starved_ns = 0;
  } else if (extra.starved_ns == 0) {
    extra.starved_ns = now_ns;
  } else if (now_ns - extra.starved_ns >= uint64_t{options_.catch_up_wait_ms} * 1'000'000) {
    GiveUpCatchUp(session);
  }
}

}  // namespace ombus::net

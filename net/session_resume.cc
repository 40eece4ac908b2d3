// Where a session goes on when it says HELLO, and what it is told of epochs on its way: the part of
// SessionTable that looks back in the log.
#include <algorithm>
#include <utility>

#include "net/session_table.h"

namespace ombus::net {

namespace {

// Whether HELLO says how far a client is in this epoch. Without a name none can be told from
// another.
bool Names(const Hello& hello, const EpochStart& start) {
  return hello.resume_from != 0 && start.epoch != 0 && hello.epoch == start.epoch;
}

Gap NotRetained(uint64_t from, uint64_t first) {
  return {from, first - 1, static_cast<uint32_t>(GapReason::kNotRetained)};
}

}  // namespace

Gap EpochGap(uint64_t first) {
  return {0, first == 0 ? 0 : first - 1, static_cast<uint32_t>(GapReason::kEpochStart)};
}

std::span<const std::byte> SessionTable::LogWindow(Session& session, uint64_t max) {
  // Who skipped may have been told of none for as long as the list remembers.
  const uint64_t next = std::max(session.extra->epochs_told, epochs_.first());
  if (!session.said_hello || next >= epochs_.count()) return log_.Window(session.cursor, max);
  const uint64_t start = epochs_.at(next).position;
  if (session.cursor < start) {
    return log_.Window(session.cursor, std::min(max, start - session.cursor));
  }
  if (session.cursor == log_.head()) return {};
  TellEpoch(session);
  // There may be nothing to tell: it has no name, or was named before it began.
  return session.extra->own.empty() ? LogWindow(session, max) : std::span<const std::byte>();
}

// At a boundary, before the first record that this client gets of an epoch, which may be further
// on.
void SessionTable::TellEpoch(Session& session) {
  SessionExtra& extra = *session.extra;
  const uint64_t number = epochs_.NumberAt(session.cursor);
  const EpochStart& start = epochs_.at(number);
  extra.epochs_told = number + 1;
  extra.gap_at = kNoGap;  // a gap told before stays before
  const uint64_t first = log_.WalSeqAt(session.cursor);
  bool cut = std::exchange(extra.epoch_cut, false);
  // What it had of this very epoch, from a server before this one or one that is ahead.
  const uint64_t resume_from = Names(extra.hello, start) ? extra.hello.resume_from : 0;
  const bool at_start = session.cursor == start.position;
  const bool lacks = at_start && resume_from != 0 && resume_from < first;
  // The source may have it, or have got it since it was asked. Who is cut waits for no source.
  if (lacks && !cut && session.served() && options_.catch_up != nullptr) return Welcome(session);
  const uint64_t next = std::max(first, resume_from);
  if (start.epoch != 0) {
    // Who resumes where it begins here lacks nothing of it.
    const bool had = resume_from != 0 && first <= resume_from;
    cut |= !start.whole && at_start && !had;
    cut |= std::exchange(extra.resume_open, false) && extra.hello.epoch != 0 && resume_from == 0;
    if (cut || start.epoch != extra.epoch_named) NameEpoch(extra, start.epoch, next);
  }
  if (cut) {
    AppendGap(&extra.own, EpochGap(next));
  } else if (lacks) {
    AppendGap(&extra.own, NotRetained(resume_from, first));
  }
  if (resume_from <= first) return;
  NoteHad(extra, number, first, resume_from);
  PassOverHad(session);
}

// Of the epoch in which the session stands, and of the next where it had the rest of that one.
// False: it had all there is, or gets it from the source.
bool SessionTable::TellWhereItStands(Session& session) {
  SessionExtra& extra = *session.extra;
  while (session.said_hello && !extra.hello_waits && session.cursor != log_.head() &&
         extra.epochs_told <= epochs_.NumberAt(session.cursor)) {
    TellEpoch(session);
  }
  return session.state == SessionState::kLive && session.cursor != log_.head();
}

// It has all of that epoch before `next`; what is broadcast of it from `from` on may be of that.
void SessionTable::NoteHad(SessionExtra& extra, uint64_t number, uint64_t from, uint64_t next) {
  extra.catch_epoch = number;
  extra.catch_name = epochs_.at(number).epoch;
  extra.had_from = from;
  extra.had_next = next;
}

void SessionTable::NameEpoch(SessionExtra& extra, uint64_t epoch, uint64_t first_wal_seq) {
  extra.welcomed = true;
  extra.epoch_named = epoch;
  AppendWelcome(&extra.own, {kWireVersion, epoch, first_wal_seq, extra.heartbeat_ms});
}

// While it is still in the log, which limit_ sees to.
void SessionTable::NoteEpochFirst() {
  const EpochStart& latest = epochs_.latest();
  if (latest.first_wal_seq.has_value() || log_.head() == latest.position) return;
  epochs_.NoteFirst(log_.WalSeqAt(latest.position));
}

void SessionTable::BeginEpoch(uint64_t epoch, bool whole) {
  if (epoch == epochs_.latest().epoch) return;
  NoteEpochFirst();
  limit_ = std::min(limit_, log_.head() + lag_max());
  epochs_.Begin({.epoch = epoch,
                 .position = log_.head(),
                 .frame = log_.frames(),
                 .last_wal_seq = log_.last_wal_seq(),
                 .whole = whole});
  if (log_.head() > log_.bytes()) epochs_.ForgetBefore(log_.head() - log_.bytes());
  if (log_.frames() == 0 && options_.catch_up != nullptr) AnswerAgain(epoch);
}

// Those that have resumed in this epoch before it had a name, and been given nothing of it.
void SessionTable::AnswerAgain(uint64_t epoch) {
  for (Session& session : sessions_) {
    if (!session.served() || session.extra == nullptr) continue;
    SessionExtra& extra = *session.extra;
    const bool means_this = extra.hello.epoch == epoch || extra.hello.epoch == 0;
    extra.hello_waits |= extra.resume_open && means_this && extra.had_next == 0;
  }
}

// At a boundary. Who is not answered yet takes no notice of what comes before the answer: it goes
// along with the head, and nobody waits for it.
void SessionTable::AnswerHello(Session& session) {
  if (log_.head() >= session.extra->answer_at) return Welcome(session);
  Reposition(session, {log_.head(), log_.frames()});
}

SessionTable::EpochEnd SessionTable::EndOf(uint64_t number) const {
  EpochEnd end{{log_.head(), log_.frames()}, log_.last_wal_seq()};
  if (number + 1 < epochs_.count()) {
    const EpochStart& next = epochs_.at(number + 1);
    end = {{next.position, next.frame}, next.last_wal_seq};
  }
  end.empty = end.place.position == epochs_.at(number).position;
  return end;
}

// At a boundary.
void SessionTable::Welcome(Session& session) {
  SessionExtra& extra = *session.extra;
  extra.hello_waits = false;
  extra.gap_at = kNoGap;  // a gap told before stays before
  if (extra.hello.resume_from != 0) extra.had_next = 0;
  const Hello& hello = extra.hello;
  const auto number = epochs_.Find(hello.epoch);
  // A source is asked for epochs that are known here.
  const bool source_may = options_.catch_up != nullptr && number.has_value();
  const bool may_be_here = log_.frames() != 0 || source_may;
  const bool nameless = log_.frames() == 0 && epochs_.latest().epoch == 0;
  extra.resume_open = hello.resume_from != 0 && (hello.epoch != 0 ? !may_be_here : nameless);
  const Gap gap = hello.resume_from != 0 && may_be_here
                      ? Resume(session, number, hello.resume_from, true)
                      : Gap{};
  if (session.state != SessionState::kCatchingUp) return TellPlace(session, gap);
  WelcomeBehind(session);
}

// WELCOME for where the session stands, and what is missing before that.
void SessionTable::TellPlace(Session& session, const Gap& gap) {
  SessionExtra& extra = *session.extra;
  const uint64_t number = epochs_.NumberAt(session.cursor);
  const bool live = session.cursor == log_.head();
  // At the head the epoch that begins there is told with its first record, when that is known.
  const EpochStart& start = epochs_.at(number);
  const bool begins = live && start.position == session.cursor;
  extra.epochs_told = begins ? number : number + 1;
  const uint64_t had_next = extra.catch_epoch == number ? extra.had_next : 0;
  const uint64_t next =
      live ? std::max(log_.last_wal_seq() + 1, had_next) : log_.WalSeqAt(session.cursor);
  const bool known = log_.frames() != 0 && !begins;
  const Hello& hello = extra.hello;
  const bool asked_for = hello.resume_from != 0 && hello.epoch == start.epoch;
  const bool stands_in = asked_for || had_next != 0;
  const bool before = begins && number > 0 && !stands_in;
  const uint64_t epoch = before ? epochs_.at(number - 1).epoch : start.epoch;
  NameEpoch(extra, epoch, known ? next : 0);
  const bool cut = std::exchange(extra.epoch_cut, false) && hello.resume_from == 0;
  const bool at_start = known && session.cursor == start.position;
  const bool from_before = hello.resume_from == 0 || (hello.epoch != 0 && !asked_for);
  if (gap.why != 0) {
    AppendGap(&extra.own, gap);
  } else if (cut || (at_start && from_before && !start.whole)) {
    AppendGap(&extra.own, EpochGap(next));
  }
}

// Moves the session to the sequence `from` of the epoch of that number, which may be unknown, if
// that is still here, else to the oldest that is, and says what is missing. Not further back than
// half of what it may lag: else the next broadcast would cut it.
Gap SessionTable::Resume(Session& session, std::optional<uint64_t> number, uint64_t from,
                         bool may_catch_up) {
  const uint64_t head = log_.head();
  BroadcastLog::Place begin;
  EpochEnd end;
  if (number.has_value()) {
    begin = {epochs_.at(*number).position, epochs_.at(*number).frame};
    end = EndOf(*number);
    auto found = log_.Find(from, begin, end.place.position);
    if (from > end.last_wal_seq || end.empty) found = end.place;
    const bool here = found.has_value() && head - found->position <= reach();
    const bool latest = *number + 1 == epochs_.count();
    const bool named = Names(session.extra->hello, epochs_.at(*number));
    // Of an epoch of which nothing has been broadcast here the source may have more.
    if (may_catch_up && options_.catch_up != nullptr && (!here || (end.empty && latest))) {
      LetGo(session);
      StartCatchUp(session, *number, from);
      if (named) session.extra->had_next = from;
      return {};
    }
    // It may have been with a server that is ahead of this one.
    if (named && latest && !end.empty && from > end.last_wal_seq) {
      NoteHad(*session.extra, *number, end.last_wal_seq + 1, from);
    }
    if (here) {
      Reposition(session, *found);
      return {};
    }
  }
  auto oldest = log_.Oldest(reach());
  if (oldest.has_value() && oldest->position < begin.position) oldest = begin;
  // Nothing old enough to go back to, nothing to repeat: on from the head.
  if (!oldest.has_value() || oldest->position == head) oldest = {head, log_.frames()};
  Reposition(session, *oldest);
  const bool latest = number.has_value() && *number + 1 == epochs_.count();
  const bool same_epoch = latest || (number.has_value() && oldest->position < end.place.position);
  const uint64_t next =
      oldest->position == head ? log_.last_wal_seq() + 1 : log_.WalSeqAt(oldest->position);
  if (!same_epoch) return EpochGap(next);
  if (next <= from) return {};
  return NotRetained(from, next);
}

}  // namespace ombus::net

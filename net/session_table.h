// SessionTable: the broadcast log and all sessions in it: what each is to be sent next, how far
// each lags, who is cut, and what there is to tell. It does no I/O and looks at no clock;
// BasicServer moves the bytes.
//
// Invariant: no byte of the log is overwritten that a live session has not been sent or the kernel
// still reads. limit() is the head up to which appending keeps it; it may be too low (cursors have
// moved on since), never too high.
//
// Threads: one at a time.
#ifndef OMBUS_NET_SESSION_TABLE_H_
#define OMBUS_NET_SESSION_TABLE_H_

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/admission.h"
#include "net/broadcast_log.h"
#include "net/epoch_list.h"
#include "net/session.h"
#include "ombus/server.h"

namespace ombus::net {

class SessionTable {
 public:
  // With its own limits of how many may come, or with those it shares with others.
  SessionTable(BroadcastLog log, const ServerOptions& options,
               std::shared_ptr<Admission> admission = nullptr);

  // Checks the options and fills in what is 0.
  static Status CheckOptions(ServerOptions* options);
  static Status CheckSlowOptions(const ServerOptions& options);

  BroadcastLog& log() { return log_; }
  const BroadcastLog& log() const { return log_; }
  uint64_t limit() const { return limit_; }
  uint64_t lag_max() const { return options_.client_lag_bytes_max; }
  // How far back a client may resume, or find back into the log.
  uint64_t reach() const { return lag_max() / 2; }
  uint32_t live() const { return live_; }
  uint32_t connected() const { return live_ + greeting_; }  // who is neither draining nor closing
  Admission& admission() { return *admission_; }
  uint64_t heartbeats_received() const { return heartbeats_received_; }
  uint64_t turns() const { return stats_.turns; }
  size_t slots() const { return sessions_.size(); }
  Session& at(size_t slot) { return sessions_[slot]; }
  ServerStats& counters() { return stats_; }
  const ServerOptions& options() const { return options_; }

  // A new session at head, or one that has to say HELLO first. The slot stays its name until Free,
  // which also takes it out of the admission that its address was counted in.
  size_t Add(SocketId socket, const sockaddr_storage& peer, uint64_t now_ns);
  void Free(size_t slot);

  // What to send next: empty if nothing. Hot: one branch for a client that has nothing of its own.
  std::span<const std::byte> NextSend(Session& session) {
    session.sending_own = false;
    if (session.extra == nullptr) [[likely]]
      return log_.Window(session.cursor, turn_bytes_max_);
    return NextSendSlow(session);
  }
  void OnSent(Session& session, uint32_t bytes) {
    stats_.bytes_sent += bytes;
    if (session.sending_own) {
      OnOwnSent(session, bytes);
    } else {
      session.cursor += bytes;
    }
  }

  // What is appended from now on is another producer's. `whole`: from its first record on. Clients
  // that said HELLO are told when they get there.
  void BeginEpoch(uint64_t epoch, bool whole);

  enum class [[nodiscard]] Verdict : uint8_t{kKeep, kLeave, kEnd};  // kEnd: drain, then close
  // What a client sent. kEnd has already begun the drain.
  Verdict OnReceived(Session& session, std::span<const std::byte> data, uint64_t now_ns);

  // How far the log goes that this one takes over; 0 where it is its own. A client that resumes may
  // have been there with another server, and is answered when this log is there too.
  void NoteAhead(uint64_t head) { ahead_ = head; }

  // Deadlines of sessions: the owner calls OnTimer for each of them after RestartTimer, once
  // timer_ns() is over. Not empty: it has to go, and why.
  uint64_t timer_ns() const { return timer_ns_; }
  void RestartTimer() { timer_ns_ = kForeverNs; }
  std::string OnTimer(Session& session, uint64_t now_ns);
  // Whether anybody has so much time for something, and no more.
  bool HasDeadlines() const { return timer_ns_ != kForeverNs || draining_ != 0; }
  // Between from_ns, 0 where that is not known, and to_ns this process waited for wait_ns; what is
  // left it stood still, or did not turn. Of the time that anybody has for something, that counts
  // as a third at most: who waited for this process is served first.
  void ForgiveAbsence(uint64_t from_ns, uint64_t to_ns, uint64_t wait_ns);
  bool DrainIsOver(const Session& session, uint64_t now_ns) const {
    return now_ns - session.since_ns >= uint64_t{options_.drain_ms} * 1'000'000;
  }

  // Looks at every cursor: limit(), min_lag, whether all is sent.
  void Refresh();
  bool all_drained() const { return all_drained_; }  // as of the last Refresh and no Append since
  // As of the last Refresh: what lies further below is neither read any more, nor by the kernel,
  // but for a boundary within kLagMarginBytes.
  uint64_t reads_from() const {
    return std::min(held_, log_.head() - std::min(log_.head(), reach()));
  }
  // Whether the kernel still reads log memory below `position`, or frames that a session with a
  // cursor below it has of its own: neither may be freed or written over.
  bool InFlightBelow(uint64_t position) const;

  // Deals as the policy says with every live session that would lag more than the limit after
  // `bytes` more. Their sends are not in flight. Those cut no longer count as clients.
  void MakeRoom(uint64_t bytes, uint64_t now_ns);
  // So that there is room for `bytes` more, copies what those cut are still owed.
  void SaveOwed(uint64_t bytes) {
    drains_.SaveUpTo(log_, log_.head() + bytes - std::min(log_.head() + bytes, log_.bytes()));
  }
  // What there is to copy of that, or to free, is so in steps, one a turn: ahead of what comes new
  // into the log, `came` bytes since the last turn, however much that is.
  bool drains_busy() const { return drains_.busy(); }
  void StepDrains(uint64_t came) { drains_.Step(log_, std::max(DrainLog::kStepBytes, 2 * came)); }
  // The soft and the hard mark. MarksDue as of the last Refresh: whether anybody may be over one,
  // or was.
  bool MarksDue() const;
  void CheckMarks(uint64_t now_ns);
  // Before NextSend is asked of all: the catch-up source may be read a few times more.
  void BeginTurn() { reads_left_ = kCatchUpReads; }
  // kWait: cuts those that hold up a frame of `bytes` and have not moved for slow_wait_ms.
  void CutStalled(uint64_t bytes, uint64_t now_ns);
  // Leaves the live sessions: its frames are counted and it no longer holds the log.
  void Leave(Session& session);
  // BYE as the last frame of a client that said HELLO. Only at a frame boundary.
  void QueueBye(Session& session, ByeReason why, std::string_view text);
  bool OwnDone(const Session& session) const {
    return session.extra == nullptr || (session.extra->own_sent == session.extra->own.size() &&
                                        session.extra->drain_at == session.extra->drain.size());
  }

  uint32_t draining() const { return draining_; }
  uint32_t catching_up() const { return catching_up_; }
  void Tell(ServerEvent::Kind kind, std::string text);
  void TellOf(ServerEvent::Kind kind, const Session& session, std::string_view what);
  std::vector<ServerEvent> TakeEvents();
  ServerStats Stats() const;  // a walk over at most 16 KiB of frames for each client behind head

 private:
  static constexpr size_t kEventsMax = 256;
  static constexpr uint32_t kCatchUpReads = 4;  // a turn, of 128 KiB each: some 100 us

  std::span<const std::byte> NextSendSlow(Session& session);
  void OnOwnSent(Session& session, uint32_t bytes);
  static void ForgetOwn(SessionExtra& extra);
  SessionExtra& Extra(Session& session);
  // The bytes of the log to send next: never over the start of an epoch that is to be told first.
  std::span<const std::byte> LogWindow(Session& session, uint64_t max);
  void TellEpoch(Session& session);
  bool TellWhereItStands(Session& session);
  static void NameEpoch(SessionExtra& extra, uint64_t epoch, uint64_t first_wal_seq);
  void NoteHad(SessionExtra& extra, uint64_t number, uint64_t from, uint64_t next);
  void NoteEpochFirst();
  void AnswerHello(Session& session);
  void AnswerAgain(uint64_t epoch);
  // Where an epoch ends: where the next begins, or at the head.
  struct EpochEnd {
    BroadcastLog::Place place;
    uint64_t last_wal_seq = 0;  // where it is empty, of the one before
    bool empty = false;         // nothing of it was broadcast here
  };
  EpochEnd EndOf(uint64_t number) const;
  void Welcome(Session& session);
  Gap Resume(Session& session, std::optional<uint64_t> number, uint64_t from, bool may_catch_up);
  void TellPlace(Session& session, const Gap& gap);
  void StartLive(Session& session);
  Verdict OnHello(Session& session, const Frame& frame, uint64_t now_ns);
  void AgreeOnHeartbeats(SessionExtra& extra, uint32_t asked_ms, uint64_t now_ns);
  bool WithinRate(SessionExtra& extra, uint64_t now_ns);
  bool Silent(SessionExtra& extra, uint64_t now_ns);
  void Beat(Session& session, uint64_t now_ns);
  void NeedTimer(uint64_t at_ns) { timer_ns_ = std::min(timer_ns_, at_ns); }
  void Reposition(Session& session, BroadcastLog::Place place);
  // Holds what is left up to `end`, if it may, adds `tail`, and turns the session to draining.
  void BeginDrain(Session& session, uint64_t end, const std::vector<std::byte>& tail,
                  uint64_t now_ns);
  std::vector<std::byte> TakeBegun(Session& session);
  void AppendLog(Session& session, uint64_t end, std::vector<std::byte>* own);
  uint64_t OwedLimit() const;
  static void OnDrained(SessionExtra& extra, uint32_t bytes);
  void Warn(Session& session);
  void AppendWarning(std::vector<std::byte>* to, uint64_t pending_bytes);
  void Overrun(Session& session, uint64_t now_ns, const std::string& why);
  void Cut(Session& session, uint64_t now_ns, const std::string& why);
  void LetGo(Session& session);
  void Skip(Session& session, const std::string& why);
  void TakeBackGap(SessionExtra& extra);
  void TellSkip(Session& session);
  void FallBehind(Session& session, const std::string& why);
  void StartCatchUp(Session& session, uint64_t epoch, uint64_t from);
  void Refill(Session& session);
  bool TakeChunk(Session& session);
  void TellMissing(Session& session, const Gap& gap);
  bool JoinLog(Session& session);
  void GoLive(Session& session, BroadcastLog::Place place);
  void PassOverHad(Session& session);
  void WelcomeBehind(Session& session);
  void GiveUpCatchUp(Session& session);
  void WatchCatchUp(Session& session, uint64_t now_ns);
  Verdict Refuse(Session& session, ByeReason why, std::string_view what, uint64_t now_ns);

  BroadcastLog log_;
  EpochList epochs_;
  ServerOptions options_;
  uint64_t turn_bytes_max_;
  uint64_t limit_ = ~uint64_t{0};
  uint64_t ahead_ = 0;
  // The lowest cursor, or of what is still owed to those cut; all bits set where nobody holds the
  // log.
  uint64_t held_ = 0;
  bool all_drained_ = true;
  uint32_t live_ = 0, draining_ = 0, greeting_ = 0;
  uint32_t catching_up_ = 0;  // of live_
  uint32_t reads_left_ = 0;
  uint64_t mark_bytes_ = ~uint64_t{0};  // the lower of the marks
  bool over_mark_ = false;
  uint64_t timer_ns_ = kForeverNs;  // when a session has something due, at the earliest
  std::shared_ptr<Admission> admission_;
  uint64_t heartbeats_received_ = 0;
  DrainLog drains_;  // before the sessions, which hold its chunks
  std::vector<Session> sessions_;
  std::vector<uint32_t> free_;
  std::deque<ServerEvent> events_;
  uint64_t events_untold_ = 0;  // pushed out by newer ones
  ServerStats stats_;
};

// What an epoch began with, before the sequence `first`, will not come.
Gap EpochGap(uint64_t first);
sockaddr_storage PeerAddress(const Session& session);
std::string PeerText(const Session& session);

}  // namespace ombus::net

#endif  // OMBUS_NET_SESSION_TABLE_H_

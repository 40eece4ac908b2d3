// BasicServer: a server over one Backend, for callers that know which, as a template without a
// virtual call. ombus/server.h wraps it. It moves the bytes; SessionTable decides which.
//
// A turn: every live session that is neither sending nor parked gets one send queued, then one
// Backend::Turn submits them all, accepts and receives. A full socket parks its session until
// PollOut says otherwise.
//
// Threads: one at a time. Not for: keeping records beyond the log; a client that lags is cut.
#ifndef OMBUS_NET_BASIC_SERVER_H_
#define OMBUS_NET_BASIC_SERVER_H_

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/backend.h"
#include "net/io_options.h"
#include "net/log_follower.h"
#include "net/session_table.h"
#include "net/socket.h"
#include "net/tell_seldom.h"
#include "ombus/server.h"
#include "ring/base/above_stdio.h"

namespace ombus::net {

// Sets what a fresh client socket needs and reads its address, while the descriptor is ours. False:
// its peer reset the connection before it was accepted, and has no address any more.
bool PrepareClientSocket(int fd, const ServerOptions& options, sockaddr_storage* peer);

// What a server that sends from a SharedLog has in common with the others that do.
struct SharedPart {
  SharedLog* log = nullptr;  // outlives the server
  uint32_t reader = 0;       // the server's number in it
  std::shared_ptr<Admission> admission = nullptr;
  // Of the one that accepts: true if another server takes the new connection.
  std::function<bool(int fd)> deal = {};
};

template <Backend B>
class BasicServer {
 public:
  // `listener` listens. The backend is for this server alone.
  static Result<std::unique_ptr<BasicServer>> Create(std::unique_ptr<B> backend, UniqueFd listener,
                                                     ServerOptions options) {
    return Create(std::move(backend), std::move(listener), std::move(options), SharedPart{});
  }
  // One of several over a log that another thread writes: each turn takes over what is there, and
  // nobody calls Broadcast or BeginEpoch. It accepts if there is a listener.
  static Result<std::unique_ptr<BasicServer>> Create(std::unique_ptr<B> backend, UniqueFd listener,
                                                     ServerOptions options, SharedPart part);
  ~BasicServer() { backend_.reset(); }  // before the memory that it may still send from
  BasicServer(const BasicServer&) = delete;
  BasicServer& operator=(const BasicServer&) = delete;

  // Encodes for all clients. No system call, unless a client is cut while a send of it is under
  // way.
  BroadcastResult Broadcast(const Record& record) {
    if (table_.log().head() + FrameBytes(record.size) > table_.limit()) [[unlikely]] {
      return BroadcastSlow(record);
    }
    table_.log().Append(record);
    return BroadcastResult::kOk;
  }

  // In order, until one is refused; see ombus/server.h.
  size_t BroadcastBatch(std::span<const Record> records, BroadcastResult* end) {
    size_t count = 0;
    *end = BroadcastResult::kOk;
    while (true) {
      count += table_.log().AppendRun(records.subspan(count), table_.limit());
      if (count == records.size()) return count;
      // What ended the run: a boundary to be noted, a long record, or no room.
      if (*end = Broadcast(records[count]); *end != BroadcastResult::kOk) return count;
      ++count;
    }
  }

  // What is broadcast from now on is another producer's; see ombus/server.h.
  void BeginEpoch(uint64_t epoch, bool whole) {
    table_.BeginEpoch(epoch, whole);
    attention_ = true;
  }

  // Sends, accepts, receives: one turn, waiting up to timeout_ns if there is nothing to do.
  Status Turn(uint64_t timeout_ns);

  // How many bytes of frames can be broadcast before a client is cut or holds everybody up.
  // As of the last turn: since then it can only have become more.
  uint64_t room() { return std::min(table_.limit() - table_.log().head(), table_.lag_max()); }
  uint64_t min_lag() { return lag_of(true); }
  uint64_t max_lag() { return lag_of(false); }
  bool all_drained() {
    table_.Refresh();
    return table_.all_drained();
  }

  // A connection that was accepted elsewhere.
  void TakeClient(int fd);
  // Of a shared log: whether there is more to take over than there was room for in the last turn.
  bool behind() const { return follower_.has_value() && follower_->behind(table_); }
  uint64_t head() const { return table_.log().head(); }

  // A turn that waits also ends when `fd` is readable; reading it is the caller's. Duplicated.
  Status WatchDescriptor(int fd);
  bool woken_by_descriptor() const { return woken_; }  // by the last turn

  bool Flush(uint64_t timeout_ns);
  void Shutdown(uint64_t timeout_ns, ByeReason why);

  uint32_t client_count() const { return table_.live(); }
  uint32_t connected() const { return table_.connected(); }
  uint64_t heartbeats_received() const { return table_.heartbeats_received(); }
  uint64_t busy_turns() const { return table_.turns(); }
  uint16_t port() const { return port_; }
  const char* backend_name() const { return backend_->name(); }
  uint64_t NowNs() { return backend_->NowNs(); }
  ServerStats stats() const {
    ServerStats stats = table_.Stats();
    const BackendStats backend = backend_->stats();
    stats.enters = backend.enters;
    stats.sends_fixed = backend.sends_fixed;
    stats.sends_plain = backend.sends_plain;
    stats.sends_zero_copy = backend.sends_zero_copy;
    stats.zero_copy_copied = backend.zero_copy_copied;
    return stats;
  }
  std::vector<ServerEvent> TakeEvents() {
    TellNote();  // the kernel may have refused something since
    return table_.TakeEvents();
  }
  void Note(std::string text) { table_.Tell(ServerEvent::Kind::kNote, std::move(text)); }

  void OnCompletion(const Completion& done);  // the back end's, not the caller's

 private:
  // Tokens: slot and the session's generation, or one of these in place of the slot.
  static constexpr uint32_t kListenToken = 0xFFFFFFFF, kWatchToken = 0xFFFFFFFE,
                            kNobodyToken = 0xFFFFFFFD;
  static constexpr uint32_t kQuietTurnsMax = 1024;  // then all sessions are looked at anyhow
  static constexpr uint64_t kAcceptPauseNs = 100'000'000;
  static constexpr uint64_t kFirstWordNs = 500'000'000;  // from accept to HELLO, on a busy machine
  static constexpr uint64_t kAbsenceNs = 10'000'000;  // less is what turns take on a busy machine

  BasicServer(std::unique_ptr<B> backend, BroadcastLog log, const ServerOptions& options,
              SharedPart part)
      : table_(std::move(log), options, std::move(part.admission)),
        backend_(std::move(backend)),
        deal_(std::move(part.deal)) {
    if (part.log != nullptr) follower_.emplace(part.log, part.reader);
  }

  uint64_t Token(size_t slot) const {
    return uint64_t{const_cast<SessionTable&>(table_).at(slot).generation} << 32 | slot;
  }
  uint64_t lag_of(bool least);
  [[gnu::cold, gnu::noinline]] BroadcastResult BroadcastSlow(const Record& record);
  [[gnu::cold, gnu::noinline]] BroadcastResult MakeRoomSlow(uint16_t size);
  [[gnu::cold, gnu::noinline]] void CutPinned(uint64_t needed);
  uint64_t Follow(uint64_t timeout_ns);
  bool WantsSweep(uint64_t timeout_ns);
  void QueueSends();
  uint64_t BoundedWait(uint64_t timeout_ns);
  void NoteAbsence(uint64_t wait_ns);
  void AfterTurn();
  void CheckMarks();
  void RunTimers();
  void EndDrains();
  bool FinishedAndDelivered(Session& session);
  Status Listen(UniqueFd listener);
  void RegisterLog();
  void TellNote();
  void OnAccepted(int result, bool more);
  void OnAcceptFailed(int error);
  void TellAcceptFailed(const std::string& text);
  struct Refusal {
    ByeReason reason;
    std::string why;
  };
  std::optional<Refusal> WhyNot(const sockaddr_storage& peer);
  void RefuseClient(SocketId id, const sockaddr_storage& peer, const Refusal& refusal);
  void SayWhy(SocketId id, const Refusal& refusal);
  void OnSent(size_t slot, int result);
  void OnReceived(size_t slot, const Completion& done);
  void Close(size_t slot);
  void Lost(size_t slot, std::string_view how);

  SessionTable table_;
  std::unique_ptr<B> backend_;
  std::optional<LogFollower> follower_;  // where another thread broadcasts
  std::function<bool(int)> deal_;
  SocketId listener_ = kNoSocket, watched_ = kNoSocket;
  uint16_t port_ = 0;
  bool watch_queued_ = false, woken_ = false;
  bool accept_paused_ = false, shutting_down_ = false;
  uint32_t closes_waiting_ = 0;  // for their turn, of clients whose time to drain is over
  size_t drains_from_ = 0;       // the slot to look at first for them
  uint64_t accept_again_ns_ = 0;
  TellSeldom accept_failures_;
  uint64_t blocked_bytes_ = 0;  // of the frame that was refused with kFull; 0: none
  uint64_t completions_ = 0;
  uint64_t turned_ns_ = 0;    // when the last turn ended; 0: nobody's time was running
  uint64_t turned_head_ = 0;  // the log's, then
  // What QueueSends saw last; whether a session may have changed since; turns without it.
  uint64_t swept_head_ = ~uint64_t{0};
  bool attention_ = true;
  uint32_t quiet_turns_ = 0;
};

}  // namespace ombus::net

#include "net/basic_server_accept_inl.h"  // IWYU pragma: export
#include "net/basic_server_end_inl.h"     // IWYU pragma: export
#include "net/basic_server_inl.h"         // IWYU pragma: export

#endif  // OMBUS_NET_BASIC_SERVER_H_

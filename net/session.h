// Session: the server's agreement with one client: a socket, a cursor in the broadcast log, a
// state. What only few sessions ever need (frames of their own, what is left to drain, half a
// HELLO) lives in a SessionExtra, allocated when needed, so that a thousand silent clients are a
// hundred kilobytes.
//
// Data, changed by SessionTable and by the server that owns it. Threads: one at a time.
#ifndef OMBUS_NET_SESSION_H_
#define OMBUS_NET_SESSION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "net/backend.h"
#include "net/drain_log.h"
#include "net/frame.h"
#include "net/silence_watch.h"

namespace ombus::net {

// Collects control frames from bytes as they come, in 64 bytes whatever the peer sends.
class ControlReader {
 public:
  enum class [[nodiscard]] Outcome : uint8_t{kNeedMore, kFrame, kBad};

  // Takes bytes off the front of *data until there is a frame, an error or nothing left. The frame
  // lives until the next Read.
  Outcome Read(std::span<const std::byte>* data, Frame* frame);
  const char* problem() const { return problem_; }  // after kBad

 private:
  static constexpr size_t kBytesMax = 64;

  Outcome Bad(const char* problem) {
    problem_ = problem;
    return Outcome::kBad;
  }

  std::array<std::byte, kBytesMax> bytes_;
  uint8_t size_ = 0;
  bool taken_ = false;  // bytes_ holds a frame that was handed out
  const char* problem_ = "";
};

inline constexpr size_t kNoGap = ~size_t{0};

struct SessionExtra {
  std::vector<std::byte> own;  // frames for this client alone
  size_t own_sent = 0;
  bool own_first = false;  // own begins with the rest of a frame: nothing may come before it
  // kDraining: what it still gets, in order; of drain[drain_at] so many bytes are sent.
  std::vector<DrainPiece> drain;
  size_t drain_at = 0, drain_sent = 0;
  ControlReader reader;
  Hello hello;
  bool hello_waits = false;  // for the next frame boundary
  uint64_t answer_at = 0;    // and for the log's head to be there
  uint64_t epochs_told = 0;  // the number of the first epoch it has yet to be told of
  bool welcomed = false;
  uint64_t epoch_named = 0;        // by the last WELCOME
  bool resume_open = false;        // it resumes where nothing has been broadcast yet
  uint32_t hellos_unanswered = 0;  // or the answers are in own
  // A gap that has yet to be told, or that is told in own at gap_at and may be taken back.
  bool skip_waits = false;
  bool epoch_cut = false;  // the next epoch told lacks its beginning
  Gap skip;
  uint64_t skip_epoch = 0, skip_bytes = 0;
  size_t gap_at = kNoGap, gap_bytes = 0;
  bool warning_waits = false;  // over the soft mark: in own
  // kCatchingUp: the first sequence it still lacks, and in which epoch that counts: its number, and
  // its name, since one without a record may yet be replaced.
  uint64_t catch_epoch = 0, catch_name = 0, catch_next = 0;
  // It has that epoch up to had_next, from the source or from another server (0: not known).
  // Records of it from had_from on are yet to come here; those below had_next are not sent again.
  uint64_t had_from = 0, had_next = 0;
  bool starved = false;         // the source had nothing
  uint64_t starved_ns = 0;      // since when; 0: not yet noticed
  uint32_t control_budget = 0;  // frames it may still send; filled up over time
  uint64_t budget_ns = 0;       // when it last was; 0: never
  uint32_t heartbeat_ms = 0;    // agreed upon; 0: none
  SilenceWatch silence;
  uint64_t look_ns = 0, looked_cursor = 0;  // when to see whether it was sent anything since
};

enum class SessionState : uint8_t {
  kFree,
  kGreeting,    // has yet to say HELLO, which is required, in time
  kLive,        // served from the log
  kCatchingUp,  // served from the catch-up source; its cursor means nothing
  kDraining,    // cut: gets the pieces of its drain, then the end of its stream
  kClosing,     // Close is queued
};

struct Session {
  // Gets records, from wherever.
  bool served() const { return state == SessionState::kLive || state == SessionState::kCatchingUp; }

  uint64_t cursor = 0;
  uint64_t counted_from = 0;  // frames before this number are in the table's count, or not its own
  uint64_t since_ns = 0;      // when it came; kDraining: since when it drains
  uint64_t stalled_cursor = 0, stalled_since_ns = 0;  // kWait: no progress from here, since then
  std::unique_ptr<SessionExtra> extra;
  std::array<uint8_t, 16> peer_ip{};  // IPv4 in the first four
  uint16_t peer_port = 0;
  bool peer_is_v6 = false;
  SessionState state = SessionState::kFree;
  SocketId socket = kNoSocket;
  uint32_t generation = 0;  // tells a late completion from the slot's next session
  uint64_t over_soft_ns = 0, over_hard_ns = 0;  // over the mark since; 0: it is not
  bool warned = false;                          // over the soft mark
  bool sending = false;                         // one send in flight
  bool sending_own = false;                     // it is of extra->own, not of the log
  bool parked = false;                          // the socket is full; PollOut is queued
  bool said_hello = false;
  bool bye_queued = false;
  bool finished = false;  // its stream has been ended; waits for the peer to have all of it
};
static_assert(sizeof(Session) <= 128, "two cache lines a client");

}  // namespace ombus::net

#endif  // OMBUS_NET_SESSION_H_

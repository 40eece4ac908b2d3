// LogFollower: a server's hold on a SharedLog: takes over what the writer has published, as if it
// were broadcast to this server's clients alone, and says what is still read.
//
// Threads: the server's.
#ifndef OMBUS_NET_LOG_FOLLOWER_H_
#define OMBUS_NET_LOG_FOLLOWER_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "net/session_table.h"
#include "net/shared_log.h"

namespace ombus::net {

class LogFollower {
 public:
  // The log outlives the follower, which is its reader of that number.
  LogFollower(SharedLog* log, uint32_t reader) : log_(log), reader_(reader) {}

  enum class [[nodiscard]] Outcome : uint8_t{kAll, kMore, kBlocked};
  // Takes over some `step` bytes of what is published. make_room(payload bytes) is asked where the
  // table's limit is reached; not kOk: no further for now.
  template <typename F>
  Outcome Follow(SessionTable* table, uint64_t step, F&& make_room) {
    BroadcastLog& log = table->log();
    const uint64_t published = log_->head();
    table->NoteAhead(published);
    if (log_->epochs() != epochs_known_) [[unlikely]]
      LearnEpochs();
    const uint64_t end = std::min(published, log.head() + step);
    while (true) {
      if (!epochs_.empty()) [[unlikely]]
        BeginEpochs(table);
      if (log.head() >= end) return end == published ? Outcome::kAll : Outcome::kMore;
      const uint64_t bytes = log.NextBytes();
      if (log.head() + bytes > table->limit()) [[unlikely]] {
        const auto size = static_cast<uint16_t>(bytes - kFrameHeaderBytes);
        if (make_room(size) != BroadcastResult::kOk) return Outcome::kBlocked;
      }
      log.TakeOver();
    }
  }
  uint64_t published() const { return log_->head(); }
  bool behind(const SessionTable& table) const { return table.log().head() != log_->head(); }

  // After the table's Refresh.
  void Report(const SessionTable& table) {
    if (table.all_drained()) drained_ = table.log().head();
    log_->Report(reader_, table.reads_from(), drained_);
  }

 private:
  void LearnEpochs();
  void BeginEpochs(SessionTable* table);

  SharedLog* const log_;
  const uint32_t reader_;
  uint64_t drained_ = 0;
  uint64_t epochs_known_ = 0;
  std::vector<SharedLog::Epoch> epochs_;  // known and not yet begun in the table
};

}  // namespace ombus::net

#endif  // OMBUS_NET_LOG_FOLLOWER_H_

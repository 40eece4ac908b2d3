// EventDesk: turns what happens to a relay into sentences for its operator. What may happen with
// every record (gaps, damaged records, losses) is counted on the hot path and told about in one
// sentence per look, so that a bad stream cannot flood the log.
//
// Threads: the relay's. Counting costs an increment; telling allocates, and is done off the hot
// path.
#ifndef OMBUS_ENGINE_EVENT_DESK_H_
#define OMBUS_ENGINE_EVENT_DESK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ombus/relay.h"
#include "ombus/server.h"

namespace ombus::engine {

class EventDesk {
 public:
  using Listener = std::function<void(const ServerEvent&)>;
  explicit EventDesk(Listener listener) : listener_(std::move(listener)) {}

  void Tell(std::string text) const;
  void TellAll(const std::vector<ServerEvent>& events) const;

  // The sequences from…to - 1 did not come.
  void OnGap(uint64_t from, uint64_t to) {
    gap_from_ = from;
    gap_to_ = to;
  }

  // Compares with what was told last and tells what is new.
  void TellCounts(const std::string& stream, const RelayStats& stats);

 private:
  Listener listener_;
  uint64_t gap_from_ = 0, gap_to_ = 0;
  uint64_t told_gaps_ = 0, told_corrupt_ = 0, told_lost_ = 0, told_too_large_ = 0;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_EVENT_DESK_H_

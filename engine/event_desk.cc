#include "engine/event_desk.h"

namespace ombus::engine {
namespace {

// How many came on top of those told, which is brought up to date.
uint64_t News(uint64_t count, uint64_t* told) { return count - std::exchange(*told, count); }

std::string About(const std::string& stream) { return "stream \"" + stream + "\": "; }

}  // namespace

void EventDesk::Tell(std::string text) const {
  if (listener_) listener_({ServerEvent::Kind::kNote, std::move(text)});
}

void EventDesk::TellAll(const std::vector<ServerEvent>& events) const {
  if (!listener_) return;
  for (const ServerEvent& event : events) listener_(event);
}

void EventDesk::TellCounts(const std::string& stream, const RelayStats& stats) {
  if (const uint64_t gaps = News(stats.gaps, &told_gaps_); gaps > 0) {
    Tell(About(stream) + std::to_string(gaps) + " gaps in the sequence; in the last one " +
         std::to_string(gap_from_) + " to " + std::to_string(gap_to_ - 1) + " are missing");
  }
  if (const uint64_t corrupt = News(stats.corrupt_records, &told_corrupt_); corrupt > 0) {
    Tell(About(stream) + std::to_string(corrupt) +
         " damaged records skipped; something else writes into the ring, or its memory is faulty");
  }
  if (const uint64_t lost = News(stats.records_lost, &told_lost_); lost > 0) {
    Tell(About(stream) + std::to_string(lost) +
         " records lost: the producer went on without this relay; give the ring more capacity or "
         "the producer a longer staleness");
  }
  if (const uint64_t large = News(stats.records_too_large, &told_too_large_); large > 0) {
    Tell(About(stream) + std::to_string(large) +
         " records left out: larger than a frame or than the broadcast log takes");
  }
}

}  // namespace ombus::engine

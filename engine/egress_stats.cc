#include "engine/egress_stats.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace ombus::engine {
namespace {

// Every counter but those of SumOf's own.
constexpr uint64_t ServerStats::*kSummed[] = {
    &ServerStats::bytes_sent,
    &ServerStats::frames_delivered,
    &ServerStats::sends,
    &ServerStats::turns,
    &ServerStats::enters,
    &ServerStats::sends_fixed,
    &ServerStats::sends_plain,
    &ServerStats::sends_zero_copy,
    &ServerStats::zero_copy_copied,
    &ServerStats::clients_accepted,
    &ServerStats::clients_refused,
    &ServerStats::clients_timed_out,
    &ServerStats::clients_disconnected,
    &ServerStats::slow_client_drops,
    &ServerStats::slow_client_warnings,
    &ServerStats::slow_client_skips,
    &ServerStats::frames_skipped,
    &ServerStats::catch_ups,
    &ServerStats::frames_caught_up,
    &ServerStats::protocol_errors,
    &ServerStats::accept_failures,
};
static_assert(sizeof(ServerStats) == (std::size(kSummed) + 3) * sizeof(uint64_t),
              "a counter is in neither");

class LockedSource final : public CatchUpSource {
 public:
  explicit LockedSource(std::shared_ptr<CatchUpSource> source) : source_(std::move(source)) {}
  size_t Read(uint64_t epoch, uint64_t from, std::span<std::byte> into) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return source_->Read(epoch, from, into);
  }

 private:
  std::mutex mutex_;
  const std::shared_ptr<CatchUpSource> source_;
};

}  // namespace

ServerStats SumOf(const std::vector<EgressStats>& all, uint64_t records_broadcast,
                  uint64_t bytes_broadcast) {
  ServerStats sum;
  for (const EgressStats& one : all) {
    for (const auto counter : kSummed) sum.*counter += one.server.*counter;
    sum.log_bytes_high = std::max(sum.log_bytes_high, one.server.log_bytes_high);
  }
  sum.records_broadcast = records_broadcast;
  sum.bytes_broadcast = bytes_broadcast;
  return sum;
}

std::shared_ptr<CatchUpSource> OneAtATime(std::shared_ptr<CatchUpSource> source) {
  return std::make_shared<LockedSource>(std::move(source));
}

}  // namespace ombus::engine

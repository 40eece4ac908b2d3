#include "net/shared_log.h"

#include <algorithm>

namespace ombus::net {

Result<std::unique_ptr<SharedLog>> SharedLog::Create(const ServerOptions& options,
                                                     uint32_t readers) {
  const uint64_t needed = options.client_lag_bytes_max + kLagMarginBytes + kLeadBytes;
  Result<BroadcastLog> log = BroadcastLog::Create(std::max(options.log_bytes, needed));
  if (!log.ok()) return log.status();
  return std::unique_ptr<SharedLog>(new SharedLog(std::move(*log), options, readers));
}

// A frame of more than a client may lag cuts all that are there, where that was asked for.
SharedLog::SharedLog(BroadcastLog log, const ServerOptions& options, uint32_t readers)
    : log_(std::move(log)),
      reach_(options.client_lag_bytes_max / 2),
      frame_bytes_max_(options.oversized_cuts &&
                               options.slow_client_policy == SlowClientPolicy::kDisconnect
                           ? kFrameBytesMax
                           : options.client_lag_bytes_max),
      readers_(readers) {}

uint64_t SharedLog::LeastRead() const {
  uint64_t least = ~uint64_t{0};
  for (const Reader& reader : readers_) {
    least = std::min(least, reader.reads_from.load(std::memory_order_acquire));  // [egress-low]
  }
  return least;
}

BroadcastResult SharedLog::MakeRoomSlow(uint16_t size) {
  if (FrameBytes(size) > frame_bytes_max_) return BroadcastResult::kTooLarge;
  return FrameBytes(size) <= room() ? BroadcastResult::kOk : BroadcastResult::kFull;
}

// A reader that reads from beyond an epoch's position has taken over that frame, and to get there
// it has asked for the epochs.
void SharedLog::BeginEpoch(uint64_t epoch, bool whole) {
  const std::lock_guard<std::mutex> lock(epochs_mutex_);
  const uint64_t least = LeastRead();
  while (!epochs_.empty() && epochs_.front().position < least) epochs_.pop_front();
  epochs_.push_back({.epoch = epoch, .position = log_.head(), .whole = whole});
  epochs_begun_.store(epochs_begun_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  epoch_news_ = true;
}

uint64_t SharedLog::CopyEpochs(uint64_t from, std::vector<Epoch>* to) const {
  const std::lock_guard<std::mutex> lock(epochs_mutex_);
  const uint64_t begun = epochs_begun_.load(std::memory_order_relaxed);
  const uint64_t first = begun - epochs_.size();
  to->insert(to->end(), epochs_.begin() + static_cast<ptrdiff_t>(std::max(from, first) - first),
             epochs_.end());
  return begun;
}

bool SharedLog::Drained() const {
  return std::all_of(readers_.begin(), readers_.end(), [this](const Reader& reader) {
    return reader.drained.load(std::memory_order_relaxed) >= log_.head();
  });
}

}  // namespace ombus::net

// StatsBoard: where the relay's thread pins up a copy of its statistics for other threads to read.
// The writer never waits for a reader: if one is copying right now, the next posting is fresher.
//
// Threads: Post and PostLast from one thread, Read from any.
#ifndef OMBUS_ENGINE_STATS_BOARD_H_
#define OMBUS_ENGINE_STATS_BOARD_H_

#include <mutex>

namespace ombus::engine {

template <typename Stats>
class StatsBoard {
 public:
  void Post(const Stats& stats) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (lock.owns_lock()) posted_ = stats;
  }
  // The one that must not be missed; may wait for a reader's copy.
  void PostLast(const Stats& stats) {
    const std::lock_guard<std::mutex> lock(mutex_);
    posted_ = stats;
  }
  Stats Read() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return posted_;
  }

 private:
  mutable std::mutex mutex_;
  Stats posted_;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_STATS_BOARD_H_

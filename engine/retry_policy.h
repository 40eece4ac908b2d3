// RetryPolicy: when to look again for a stream that is not there. The first look is due at once,
// each further one after twice the wait of the one before, up to a bound, so that a stream that
// comes back soon is found soon and one that stays away costs next to nothing.
//
// Pure: the caller brings the time. Threads: a value, one thread at a time.
#ifndef OMBUS_ENGINE_RETRY_POLICY_H_
#define OMBUS_ENGINE_RETRY_POLICY_H_

#include <algorithm>
#include <cstdint>

namespace ombus::engine {

inline constexpr uint64_t kRetryMinNs = 1'000'000;
inline constexpr uint64_t kRetryMaxNs = 10'000'000;

class RetryPolicy {
 public:
  explicit RetryPolicy(uint64_t min_ns = kRetryMinNs, uint64_t max_ns = kRetryMaxNs)
      : min_ns_(min_ns), max_ns_(max_ns), wait_ns_(min_ns) {}

  bool due(uint64_t now_ns) const { return now_ns >= due_ns_; }
  // Until the next attempt; 0 when it is due.
  uint64_t wait_ns(uint64_t now_ns) const { return due(now_ns) ? 0 : due_ns_ - now_ns; }

  void OnFailure(uint64_t now_ns) {
    due_ns_ = now_ns + wait_ns_;
    wait_ns_ = std::min(wait_ns_ * 2, max_ns_);
  }
  void OnSuccess() {
    due_ns_ = 0;
    wait_ns_ = min_ns_;
  }

 private:
  uint64_t min_ns_;
  uint64_t max_ns_;
  uint64_t wait_ns_;
  uint64_t due_ns_ = 0;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_RETRY_POLICY_H_

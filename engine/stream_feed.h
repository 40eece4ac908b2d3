// StreamFeed: the relay's hold on its stream: attaches when the stream is there, lets go, and
// attaches again. It knows which errors pass by themselves and when to look again.
//
// Threads: one at a time. Off the hot path, but for consumer().
#ifndef OMBUS_ENGINE_STREAM_FEED_H_
#define OMBUS_ENGINE_STREAM_FEED_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/retry_policy.h"
#include "engine/wake_set.h"
#include "ombus/consumer.h"
#include "ombus/status.h"

namespace ombus::engine {

class StreamFeed {
 public:
  // The wake set outlives the feed. wait_ns: how long the first attachment may take.
  StreamFeed(std::string stream, uint64_t wait_ns, WakeSet* wake)
      : stream_(std::move(stream)), wait_ns_(wait_ns), wake_(wake) {}
  ~StreamFeed();
  StreamFeed(const StreamFeed&) = delete;
  StreamFeed& operator=(const StreamFeed&) = delete;

  const std::string& stream() const { return stream_; }
  bool attached() const { return consumer_ != nullptr; }
  Consumer& consumer() { return *consumer_; }

  // Whether a publish can wake the sleeper; why not, if not.
  bool wakes() const { return wakes_; }
  const std::string& wake_note() const { return wake_note_; }

  // Attaches if an attempt is due: live to a stream that was there before us, else from its epoch's
  // first record on. Not ok: it will never do (or the wait is over), and says why.
  Status TryAttach(uint64_t now_ns);
  // Until the next attempt.
  uint64_t retry_wait_ns(uint64_t now_ns) const { return retry_.wait_ns(now_ns); }
  // Why the last attempt failed; empty when there is nothing to tell or it was told already.
  std::string TakeComplaint();

  // Lets go: the producer no longer waits for us. The next attempt is due at once.
  void Detach();

  // The attached stream was closed by its producer, and all of it was read. As long as the name
  // leads to this object we keep it, since a producer that takes it over resumes in place and no
  // record is missed. Once the name is gone or another's, we let go, not to hold dead memory.
  void OnClosed(uint64_t now_ns);
  // Something was read: the stream lives.
  void OnProgress() { retry_.OnSuccess(); }

 private:
  Status OnRefusal(const Status& refusal, uint64_t now_ns);
  Status OpenWake();
  void ArrangeWake();

  const std::string stream_;
  const uint64_t wait_ns_;
  WakeSet* const wake_;
  std::unique_ptr<Consumer> consumer_;
  RetryPolicy retry_;
  uint64_t first_attempt_ns_ = 0;
  bool was_attached_ = false, was_absent_ = false;
  int wake_fd_ = -1;  // in *wake_, from the first attachment on
  bool wakes_ = false;
  std::string wake_note_;
  std::string complaint_;       // to be told
  std::string last_complaint_;  // told
};

// Whether an attempt to attach that failed so may succeed later without anybody's doing.
bool MayHeal(StatusCode code);

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_STREAM_FEED_H_

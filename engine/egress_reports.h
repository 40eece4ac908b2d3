// EgressReports: what the egress threads of a relay have to tell its own thread: events, the first
// error, and that there is room or a client more or less.
//
// Threads: TakeEvents, status and Await from the relay's, all else from any. A lock, off the hot
// path; failed() is a load.
#ifndef OMBUS_ENGINE_EGRESS_REPORTS_H_
#define OMBUS_ENGINE_EGRESS_REPORTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/bell.h"
#include "ombus/server.h"
#include "ombus/status.h"

namespace ombus::engine {

class EgressReports {
 public:
  // What the relay's thread may wait for.
  static constexpr uint32_t kProgress = 1, kClients = 2, kFailure = 4;

  static Result<std::unique_ptr<EgressReports>> Create();

  // What the kernel refuses it refuses to all of them: a note that repeats the last one is left
  // out.
  void Tell(std::vector<ServerEvent> events);
  void Fail(const Status& status);  // the first one counts
  void FailForLackOfMemory() noexcept;
  Bell& bell() { return *bell_; }

  std::vector<ServerEvent> TakeEvents();
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  Status status() const;  // where one has failed
  // Sleeps until one of `news` is rung, other_fd (if not negative) is readable or the time is over;
  // not at all if come() says after arming that it need not.
  template <typename F>
  void Await(uint32_t news, int other_fd, uint64_t timeout_ns, F&& come) {
    bell_->Arm(news);
    if (!come()) Sleep(other_fd, timeout_ns);
    bell_->Disarm();
  }

 private:
  static constexpr size_t kEventsMax = 1024;

  explicit EgressReports(std::unique_ptr<Bell> bell) : bell_(std::move(bell)) {}
  void Sleep(int other_fd, uint64_t timeout_ns) const;

  const std::unique_ptr<Bell> bell_;
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;  // over all that follows
  Status status_;
  std::vector<ServerEvent> events_;
  std::string last_note_;
  uint64_t untold_ = 0;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_EGRESS_REPORTS_H_

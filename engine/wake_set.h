// WakeSet: one descriptor that becomes readable when any of those it holds does, so that a sleeping
// relay waits for the ring, for Stop and for its sockets in one place. It holds an eventfd of its
// own for Interrupt.
//
// Threads: Interrupt and interrupted from any, also from a signal handler; all else from one.
// Not for data: it only says that somebody should look.
#ifndef OMBUS_ENGINE_WAKE_SET_H_
#define OMBUS_ENGINE_WAKE_SET_H_

#include <atomic>
#include <memory>

#include "ombus/status.h"

namespace ombus::engine {

class WakeSet {
 public:
  static Result<std::unique_ptr<WakeSet>> Create();
  ~WakeSet();
  WakeSet(const WakeSet&) = delete;
  WakeSet& operator=(const WakeSet&) = delete;

  // To be watched for reading; owned by this object.
  int fd() const { return epoll_fd_; }

  // A further descriptor, the caller's, to be removed before it is closed. kUnsupported where the
  // kernel cannot wait for it.
  Status Add(int fd);
  void Remove(int fd);

  // Makes fd() readable and interrupted() true, for good. Async-signal-safe.
  void Interrupt();
  bool interrupted() const { return interrupted_.load(std::memory_order_relaxed); }
  // Makes fd() quiet again; interrupted() stays.
  void Quieten();

 private:
  WakeSet() = default;

  int epoll_fd_ = -1;
  int event_fd_ = -1;
  // Says no more than "look": it publishes nothing, hence relaxed.
  std::atomic<bool> interrupted_{false};
  static_assert(std::atomic<bool>::is_always_lock_free, "Interrupt runs in signal handlers");
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_WAKE_SET_H_

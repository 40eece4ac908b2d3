#include "engine/wake_set.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "engine/event_fd.h"
#include "ring/system_error.h"

namespace ombus::engine {
namespace {

Status WakeError(const char* call, int error) {
  return SystemError(call, "relay wake-up", error,
                     "raise the limit of open files (ulimit -n, fs.epoll.max_user_watches)");
}

}  // namespace

Result<std::unique_ptr<WakeSet>> WakeSet::Create() {
  std::unique_ptr<WakeSet> set(new WakeSet);
  set->epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (set->epoll_fd_ < 0) return WakeError("epoll_create1", errno);
  set->event_fd_ = OpenEventFd();
  if (set->event_fd_ < 0) return WakeError("eventfd", errno);
  if (Status added = set->Add(set->event_fd_); !added.ok()) return added;
  return set;
}

WakeSet::~WakeSet() {
  if (event_fd_ >= 0) close(event_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

Status WakeSet::Add(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0) return Status();
  return WakeError("epoll_ctl", errno);
}

void WakeSet::Remove(int fd) { epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr); }

void WakeSet::Interrupt() {
  const int saved_errno = errno;  // a signal handler must not change it
  interrupted_.store(true, std::memory_order_relaxed);
  RingEventFd(event_fd_);
  errno = saved_errno;
}

void WakeSet::Quieten() { DrainEventFd(event_fd_); }

}  // namespace ombus::engine

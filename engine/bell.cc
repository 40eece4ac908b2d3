#include "engine/bell.h"

#include <unistd.h>

#include <cerrno>

#include "engine/event_fd.h"
#include "ring/system_error.h"

namespace ombus::engine {

Result<std::unique_ptr<Bell>> Bell::Create() {
  std::unique_ptr<Bell> bell(new Bell);
  bell->fd_ = OpenEventFd();
  if (bell->fd_ < 0) {
    return SystemError("eventfd", "egress thread", errno,
                       "raise the limit of open files (ulimit -n)");
  }
  return bell;
}

Bell::~Bell() {
  if (fd_ >= 0) close(fd_);
}

void Bell::Disarm() {
  armed_.store(0, std::memory_order_relaxed);
  DrainEventFd(fd_);
}

// Not again before the sleeper has armed it anew.
void Bell::RingOnce() {
  if (armed_.exchange(0, std::memory_order_relaxed) != 0) Ring();
}

void Bell::Ring() { RingEventFd(fd_); }

}  // namespace ombus::engine

#include "engine/bell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "ring/base/above_stdio.h"
#include "ring/system_error.h"

namespace ombus::engine {

Result<std::unique_ptr<Bell>> Bell::Create() {
  std::unique_ptr<Bell> bell(new Bell);
  bell->fd_ = AboveStdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
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
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
}

// Not again before the sleeper has armed it anew.
void Bell::RingOnce() {
  if (armed_.exchange(0, std::memory_order_relaxed) != 0) Ring();
}

void Bell::Ring() {
  const uint64_t one = 1;
  // Fails only when the count is full: then it is readable already.
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
}

}  // namespace ombus::engine

// An eventfd that only says that somebody should look: readable once rung, until drained.
//
// Threads: any; RingEventFd also from a signal handler, but for errno.
#ifndef OMBUS_ENGINE_EVENT_FD_H_
#define OMBUS_ENGINE_EVENT_FD_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "ring/base/above_stdio.h"

namespace ombus::engine {

// Negative: errno says why not.
inline int OpenEventFd() { return AboveStdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

inline void RingEventFd(int fd) {
  const uint64_t one = 1;
  // Fails only when the count is full: then it is readable already.
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
}

inline void DrainEventFd(int fd) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd, &count, sizeof count);
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_EVENT_FD_H_

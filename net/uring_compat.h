// What liburing 2.3 and the kernel headers of Debian 12 do not name, as the kernel defines it.
//
// liburing passes flags through as plain numbers, so a name is all that is missing. Not for logic.
#ifndef OMBUS_NET_URING_COMPAT_H_
#define OMBUS_NET_URING_COMPAT_H_

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ombus::net {

// pwritev2 flags, which io_uring writes take too.
inline constexpr unsigned kWriteNoWait = 0x08;     // RWF_NOWAIT; on sockets since Linux 6.4
inline constexpr unsigned kWriteNoSignal = 0x100;  // RWF_NOSIGNAL, Linux 6.18: EPIPE, no SIGPIPE

// INT_FLAG_REG_RING in io_uring::int_flags: the ring's descriptor is registered with a thread.
inline constexpr unsigned char kIntFlagRegisteredRing = 1;

// Declared but not exported by liburing 2.3. 0 or -errno.
inline int EnableRing(const io_uring& ring) {
  const long result =
      syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  return result < 0 ? -errno : 0;
}

}  // namespace ombus::net

#endif  // OMBUS_NET_URING_COMPAT_H_

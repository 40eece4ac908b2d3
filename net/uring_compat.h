// What liburing 2.3 and the kernel headers of Debian 12 do not name, as the kernel defines it.
//
// liburing passes flags through as plain numbers, so a name is all that is missing. Not for logic.
#ifndef OMBUS_NET_URING_COMPAT_H_
#define OMBUS_NET_URING_COMPAT_H_

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace ombus::net {

// pwritev2 flags, which io_uring writes take too.
inline constexpr unsigned kWriteNoWait = 0x08;     // RWF_NOWAIT; on sockets since Linux 6.4
inline constexpr unsigned kWriteNoSignal = 0x100;  // RWF_NOSIGNAL, Linux 6.18: EPIPE, no SIGPIPE

// INT_FLAG_REG_RING in io_uring::int_flags: the ring's descriptor is registered with a thread.
inline constexpr unsigned char kIntFlagRegisteredRing = 1;

// Of SEND_ZC: Linux 6.2 says in the notification whether it copied after all.
inline constexpr uint16_t kZeroCopyReportUsage = 1u << 3;       // IORING_SEND_ZC_REPORT_USAGE
inline constexpr uint32_t kZeroCopyCopied = uint32_t{1} << 31;  // IORING_NOTIF_USAGE_ZC_COPIED

// IORING_REGISTER_NAPI, Linux 6.9: waiting polls the network cards of the ring's sockets. 0 or
// -errno.
struct NapiBusyPoll {
  uint32_t busy_poll_us;
  uint8_t prefer;
  uint8_t pad[3];
  uint64_t reserved;
};
inline int RegisterNapi(const io_uring& ring, uint32_t busy_poll_us) {
  constexpr unsigned kRegisterNapi = 27;
  NapiBusyPoll napi{busy_poll_us, 1, {}, 0};
  const long result = syscall(__NR_io_uring_register, ring.ring_fd, kRegisterNapi, &napi, 1);
  return result < 0 ? -errno : 0;
}

// Declared but not exported by liburing 2.3. 0 or -errno.
inline int EnableRing(const io_uring& ring) {
  const long result =
      syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  return result < 0 ? -errno : 0;
}

}  // namespace ombus::net

#endif  // OMBUS_NET_URING_COMPAT_H_

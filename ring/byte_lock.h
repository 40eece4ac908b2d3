// Byte locks: who lives, without clocks and without heartbeats. The producer holds a lock on byte 0
// of the object and a consumer one on the first byte of its line, for as long as their open file
// description lives. The kernel drops the lock when the process dies, however it dies; so the lock
// is the claim, and a claim whose lock can be had belongs to a dead owner.
//
// Open file description locks (Linux 3.15, fcntl(2) F_OFD_SETLK) and not the older process locks:
// two handles of one process exclude each other, and closing some other descriptor of the object
// drops nothing. A child of fork would share the description, hence keep the lock: fork_guard.h.
//
// Threads: any. Cost: one system call, about 0.3 µs.
#ifndef OMBUS_RING_BYTE_LOCK_H_
#define OMBUS_RING_BYTE_LOCK_H_

#include <cstdint>

#include "ombus/ring_layout.h"

namespace ombus {

inline constexpr int64_t kProducerLockByte = 0;
inline constexpr int64_t ConsumerLockByte(uint32_t index) {
  return int64_t{kHeaderPageBytes} + int64_t{index} * kConsumerLineBytes;
}

// 0 when the lock is ours now, EAGAIN when somebody else holds it, else the errno.
[[nodiscard]] int TryLockByte(int fd, int64_t byte);

void UnlockByte(int fd, int64_t byte);

// Whether another open file description holds the byte. Needs a readable descriptor only. An error
// counts as held: a claim is never taken from an owner that may live.
bool ByteIsLocked(int fd, int64_t byte);

}  // namespace ombus

#endif  // OMBUS_RING_BYTE_LOCK_H_

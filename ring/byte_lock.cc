#include "ring/byte_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ombus {
namespace {

struct flock OneByte(short type, int64_t byte) {
  struct flock lock = {};  // l_pid must be 0 for OFD locks
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

}  // namespace

int TryLockByte(int fd, int64_t byte) {
  struct flock lock = OneByte(F_WRLCK, byte);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;  // POSIX allows either for "held"
}

void UnlockByte(int fd, int64_t byte) {
  struct flock lock = OneByte(F_UNLCK, byte);
  (void)fcntl(fd, F_OFD_SETLK, &lock);
}

bool ByteIsLocked(int fd, int64_t byte) {
  struct flock lock = OneByte(F_WRLCK, byte);
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return true;
  return lock.l_type != F_UNLCK;
}

}  // namespace ombus

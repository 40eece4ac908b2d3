// FileSizeLimit: what RLIMIT_FSIZE allows. Beyond it a write is not refused: the kernel sends
// SIGXFSZ, which by default kills the host program.
//
// Threads: any. Cost: a system call.
#ifndef OMBUS_RING_FILE_SIZE_LIMIT_H_
#define OMBUS_RING_FILE_SIZE_LIMIT_H_

#include <sys/resource.h>

#include <cstdint>

namespace ombus {

// Bytes; RLIM_INFINITY, the largest value, also where it cannot be asked.
inline uint64_t FileSizeLimit() {
  struct rlimit limit = {};
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

}  // namespace ombus

#endif  // OMBUS_RING_FILE_SIZE_LIMIT_H_

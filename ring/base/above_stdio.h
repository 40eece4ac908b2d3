// AboveStdio: a descriptor that is not 0, 1 or 2. A host program that was started with one of those
// closed gets it for the next object it opens, and what it then prints lands there: in the ring's
// header, or in a client's stream.
//
// Private; net uses it too. Threads: any. Cost: nothing, or two system calls for such a descriptor.
#ifndef OMBUS_RING_BASE_ABOVE_STDIO_H_
#define OMBUS_RING_BASE_ABOVE_STDIO_H_

#include <fcntl.h>
#include <unistd.h>

namespace ombus {

// fd itself, or a duplicate from 3 up in its place; fd itself also where there is none to be had.
// Negative values come back as they are, with errno as it was.
inline int AboveStdio(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (above < 0) return fd;
  close(fd);
  return above;
}

}  // namespace ombus

#endif  // OMBUS_RING_BASE_ABOVE_STDIO_H_

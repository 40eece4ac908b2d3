// Descriptor: a file descriptor that is closed with its scope.
//
// Threads: one.
#ifndef OMBUS_RING_DESCRIPTOR_H_
#define OMBUS_RING_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace ombus {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int Close() { return fd_ < 0 ? 0 : close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

}  // namespace ombus

#endif  // OMBUS_RING_DESCRIPTOR_H_

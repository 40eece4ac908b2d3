// RawObject: the bytes of a stream's object, to be damaged by tests.
#ifndef OMBUS_TESTS_RING_RAW_OBJECT_H_
#define OMBUS_TESTS_RING_RAW_OBJECT_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "ombus/ring_layout.h"

namespace ombus {

class RawObject {
 public:
  // Creates it, or opens what is there. bytes 0: as large as it is.
  explicit RawObject(const std::string& name, size_t bytes = 0) : bytes_(bytes) {
    fd_ = shm_open(name.c_str(), O_RDWR | O_CREAT, 0600);
    struct stat info = {};
    if (fd_ < 0 || fstat(fd_, &info) != 0) abort();
    if (bytes_ == 0) bytes_ = static_cast<size_t>(info.st_size);
    if (ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) abort();
    if (bytes_ == 0) return;
    if (bytes != 0 && posix_fallocate(fd_, 0, static_cast<off_t>(bytes_)) != 0) abort();
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory == MAP_FAILED) abort();
    memory_ = static_cast<std::byte*>(memory);
  }
  ~RawObject() {
    if (memory_ != nullptr) munmap(memory_, bytes_);
    close(fd_);
  }
  RawObject(const RawObject&) = delete;
  RawObject& operator=(const RawObject&) = delete;

  int fd() const { return fd_; }
  size_t size() const { return bytes_; }
  uint64_t allocated_bytes() const {
    struct stat info = {};
    return fstat(fd_, &info) == 0 ? static_cast<uint64_t>(info.st_blocks) * 512 : 0;
  }
  // Gives the memory of these bytes back; who touches them gets other memory, all zero.
  bool Punch(off_t at, off_t bytes) const {
    return fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, bytes) == 0;
  }
  std::byte* memory() { return memory_; }
  RingHeader& header() { return *reinterpret_cast<RingHeader*>(memory_); }
  ConsumerLine& line(uint32_t index) {
    return *reinterpret_cast<ConsumerLine*>(memory_ + kHeaderPageBytes +
                                            index * kConsumerLineBytes);
  }
  SlotHeader& slot(uint64_t position) {
    return *reinterpret_cast<SlotHeader*>(
        memory_ + kHeaderPageBytes + header().max_consumers * kConsumerLineBytes +
        (position & (header().capacity - 1)) * header().slot_size);
  }

 private:
  int fd_ = -1;
  size_t bytes_ = 0;
  std::byte* memory_ = nullptr;
};

}  // namespace ombus

#endif  // OMBUS_TESTS_RING_RAW_OBJECT_H_

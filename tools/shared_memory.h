// SharedMemory: zeroed pages that children of fork share with their parent; gone with it.
//
// Threads: any; what lies inside has its own rules.
#ifndef OMBUS_TOOLS_SHARED_MEMORY_H_
#define OMBUS_TOOLS_SHARED_MEMORY_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>

namespace ombus::tools {

class SharedMemory {
 public:
  // Populated, so that nobody takes page faults while a clock runs.
  explicit SharedMemory(size_t bytes) : bytes_(bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) std::abort();  // nothing sensible is left to do
    memory_ = static_cast<std::byte*>(memory);
  }
  ~SharedMemory() { munmap(memory_, bytes_); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::byte* memory() const { return memory_; }

 private:
  size_t bytes_;
  std::byte* memory_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_SHARED_MEMORY_H_

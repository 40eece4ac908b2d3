// This program's operator new, which refuses what its test wants refused, and what is left of what
// it gave. For one source of a program: operators can't be inline.
#ifndef OMBUS_TESTS_ENGINE_REFUSING_MEMORY_H_
#define OMBUS_TESTS_ENGINE_REFUSING_MEMORY_H_

#include <dirent.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace ombus {

// The test's: whether the allocation that is asked for is refused.
bool IsRefused();

inline std::atomic<uint64_t> refusals{0};
inline std::atomic<int64_t> blocks{0};  // not yet freed

inline void* Allocate(size_t size, size_t alignment) {
  if (IsRefused()) {
    ++refusals;
    throw std::bad_alloc();
  }
  void* memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  ++blocks;
  return memory;
}

inline void Free(void* memory) {
  if (memory == nullptr) return;
  --blocks;
  std::free(memory);
}

// Of a folder of /proc/self: descriptors, threads.
inline int EntriesOf(const char* path) {
  int count = 0;
  DIR* folder = opendir(path);
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

}  // namespace ombus

void* operator new(size_t size) { return ombus::Allocate(size, 0); }
void* operator new[](size_t size) { return ombus::Allocate(size, 0); }
void* operator new(size_t size, std::align_val_t alignment) {
  return ombus::Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { ombus::Free(memory); }
void operator delete[](void* memory) noexcept { ombus::Free(memory); }
void operator delete(void* memory, size_t) noexcept { ombus::Free(memory); }
void operator delete[](void* memory, size_t) noexcept { ombus::Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { ombus::Free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { ombus::Free(memory); }

#endif  // OMBUS_TESTS_ENGINE_REFUSING_MEMORY_H_

#include "tests/fuzz/guarded_mmap.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <map>

#if defined(__SANITIZE_ADDRESS__)
#define OMBUS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OMBUS_ASAN 1
#endif
#endif
#if defined(OMBUS_ASAN)
#include <sanitizer/asan_interface.h>
#endif

extern "C" {
void* __real_mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void* address, size_t bytes);
void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset);
// What mmap is called with -D_FILE_OFFSET_BITS=64.
void* __wrap_mmap64(void* address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void* address, size_t bytes);
}

namespace ombus {
namespace {

size_t PageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
size_t WholePages(size_t bytes) { return (bytes + PageBytes() - 1) / PageBytes() * PageBytes(); }

std::map<uintptr_t, size_t>& Mappings() {  // from their first byte to the length of the file
  static std::map<uintptr_t, size_t> mappings;
  return mappings;
}

void Poison([[maybe_unused]] std::byte* from, [[maybe_unused]] size_t bytes) {
#if defined(OMBUS_ASAN)
  __asan_poison_memory_region(from, bytes);
#endif
}
void Unpoison([[maybe_unused]] std::byte* from, [[maybe_unused]] size_t bytes) {
#if defined(OMBUS_ASAN)
  __asan_unpoison_memory_region(from, bytes);
#endif
}

}  // namespace

bool InGuardedMapping(const void* address, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(address);
  auto after = Mappings().upper_bound(begin);
  if (after == Mappings().begin()) return false;
  const auto& [first, length] = *--after;
  return begin - first <= length && bytes <= length - (begin - first);
}

size_t GuardedMappings() { return Mappings().size(); }

}  // namespace ombus

void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (address != nullptr || fd < 0 || (flags & MAP_SHARED) == 0) {
    return __real_mmap(address, bytes, protection, flags, fd, offset);
  }
  const size_t page = ombus::PageBytes(), whole = ombus::WholePages(bytes);
  void* around = __real_mmap(nullptr, whole + 2 * page, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (around == MAP_FAILED) return MAP_FAILED;
  std::byte* wanted = static_cast<std::byte*>(around) + page;
  void* memory = __real_mmap(wanted, bytes, protection, flags | MAP_FIXED, fd, offset);
  if (memory == MAP_FAILED) {
    __real_munmap(around, whole + 2 * page);
    return MAP_FAILED;
  }
  // A mapping may be longer than its file, up to a whole page: what lies behind is nobody's either.
  struct stat info = {};
  if (fstat(fd, &info) == 0 && info.st_size > offset) {
    bytes = std::min(bytes, static_cast<size_t>(info.st_size - offset));
  }
  ombus::Unpoison(wanted, whole);
  ombus::Poison(wanted + bytes, whole - bytes);
  ombus::Mappings()[reinterpret_cast<uintptr_t>(memory)] = bytes;
  return memory;
}

void* __wrap_mmap64(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  return __wrap_mmap(address, bytes, protection, flags, fd, offset);
}

int __wrap_munmap(void* address, size_t bytes) {
  const auto found = ombus::Mappings().find(reinterpret_cast<uintptr_t>(address));
  if (found == ombus::Mappings().end()) return __real_munmap(address, bytes);
  const size_t page = ombus::PageBytes(), whole = ombus::WholePages(found->second);
  ombus::Mappings().erase(found);
  auto* memory = static_cast<std::byte*>(address);
  ombus::Unpoison(memory, whole);
  return __real_munmap(memory - page, whole + 2 * page);
}

// Shared mappings of files with guards around them, so that a read or write outside one is a crash
// and not somebody else's memory: a page that nobody may touch on either side, and under ASan the
// rest of the file's last page poisoned. Programs that link guarded_mmap.cc with --wrap=mmap,
// mmap64 and munmap get them for every MAP_SHARED mapping for which the kernel chooses the address.
//
// Threads: one.
#ifndef OMBUS_TESTS_FUZZ_GUARDED_MMAP_H_
#define OMBUS_TESTS_FUZZ_GUARDED_MMAP_H_

#include <cstddef>

namespace ombus {

// Whether bytes from address on lie in one guarded mapping, and in its file.
bool InGuardedMapping(const void* address, size_t bytes);
size_t GuardedMappings();

}  // namespace ombus

#endif  // OMBUS_TESTS_FUZZ_GUARDED_MMAP_H_

// What a producer or consumer may ask of the memory behind a ring, and what it got.
//
// All memory of a ring is reserved when it is created and mapped populated: nobody takes page
// faults later, whatever these options say. Each process asks for its own mapping; the pages behind
// it are shared. A request that the kernel does not fulfil is no error: MemoryReport::warnings says
// what is missing and why, and the ring works all the same.
//
// Threads: values.
#ifndef OMBUS_RING_MEMORY_H_
#define OMBUS_RING_MEMORY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace ombus {

struct MemoryOptions {
  // Collapse the ring into pages of 2 MiB (madvise MADV_COLLAPSE, Linux 6.1; a tmpfs mounted with
  // huge=always or within_size has them from the start). Pays from some tens of MiB up. A stream
  // whose name is a path on a hugetlbfs has reserved huge pages, asked or not.
  bool huge_pages = false;
  // mlock: never swapped out. Needs RLIMIT_MEMLOCK or CAP_IPC_LOCK.
  bool lock = false;
  // Move the pages to this NUMA node and keep them there (mbind MPOL_BIND). -1: where they are. For
  // the producer; consumers map the same pages.
  int numa_node = -1;
};

// As read back from the kernel, not as asked for.
struct MemoryReport {
  uint64_t mapped_bytes = 0;  // in whole pages
  uint64_t huge_bytes = 0;    // mapped by huge pages
  uint64_t locked_bytes = 0;
  int numa_node = -1;  // that holds all pages looked at; -1: several, or unknown
  std::vector<std::string> warnings;
};

}  // namespace ombus

#endif  // OMBUS_RING_MEMORY_H_

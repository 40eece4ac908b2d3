// TuneMemory: huge pages, locking and NUMA placement of a mapped ring, and reading back what came
// of it.
//
// Threads: the owner's. Cost: some milliseconds per 100 MiB where something is asked for; reads
// /proc/self/smaps.
#ifndef OMBUS_RING_MEMORY_TUNING_H_
#define OMBUS_RING_MEMORY_TUNING_H_

#include <cstdint>
#include <istream>
#include <string>

#include "ombus/ring_memory.h"
#include "ring/shm_object.h"

namespace ombus {

inline constexpr uint64_t kHugePageBytes = 2 << 20;

// object: mapped, at a multiple of kHugePageBytes where it is as long as that. bytes: of the ring
// in it. With default options nothing is done and only mapped_bytes is known, but for a hugetlbfs.
MemoryReport TuneMemory(const ShmObject& object, uint64_t bytes, const MemoryOptions& options);

// Why the kernel refused, in words with a cure; empty: it did not, or was not asked.
struct MemoryRefusals {
  std::string huge, lock, bind;
  std::string look;  // at the node that the pages are on
};

// Tells in *report of each thing asked for that its figures, read back, do not show, with the
// cause.
void AddWarnings(const MemoryOptions& options, uint64_t bytes, const MemoryRefusals& refusals,
                 MemoryReport* report);

// What smaps (proc(5)) says of the mapping that begins at address: mapped, huge and locked bytes.
// All 0 if it is not there.
MemoryReport ReadSmaps(std::istream& smaps, uint64_t address);

}  // namespace ombus

#endif  // OMBUS_RING_MEMORY_TUNING_H_

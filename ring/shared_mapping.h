// One mapping for all handles of this process on one object: a producer and a consumer of the same
// process then know a record's lines by one address. By two, some processors (AMD's, whose
// first-level cache predicts the way by virtual address) take each line for a miss when it is
// touched by the other one; see docs/decisions/one-mapping.md.
//
// A table of fixed size, kept for the whole process; where it is full, handles have a mapping each.
// Threads: any. Cost: a scan of the table, for opening and closing alone. A child of fork may go on
// with what it inherited, also when another thread of the parent was in here.
#ifndef OMBUS_RING_SHARED_MAPPING_H_
#define OMBUS_RING_SHARED_MAPPING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ombus {

inline constexpr size_t kSharedMappingsMax = 256;

// ThreadSanitizer, through one mapping, sees the payloads of a consumer that is being evicted: torn
// by design, found out by valid(), and a data race to it. So there each handle has its own, but in
// tests that evict nobody and ask for one.
#if defined(__SANITIZE_THREAD__)
inline std::atomic<bool> mappings_are_shared{false};
#else
inline constexpr bool mappings_are_shared = true;
#endif

struct MappedObject {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t bytes = 0;  // mapped, from its start, for reading and writing

  bool operator==(const MappedObject&) const = default;
};

// The mapping of it that there is, populated, with one user more; null if there is none.
std::byte* JoinMapping(const MappedObject& object);

// Makes a mapping known, with one user; not so where the object has one already, or no room is
// left.
void OfferMapping(const MappedObject& object, std::byte* memory);

// One user less. True: there is no other, or it was never known: unmap it.
[[nodiscard]] bool LeaveMapping(const std::byte* memory);

}  // namespace ombus

#endif  // OMBUS_RING_SHARED_MAPPING_H_

// Geometry: the sizes of a ring and where its parts lie, checked. Whoever maps an object copies its
// geometry out of the header once, checks the copy against the file's size, and never reads the
// header's again: another process may scribble over it at any time.
//
// Threads: values.
#ifndef OMBUS_RING_GEOMETRY_H_
#define OMBUS_RING_GEOMETRY_H_

#include <cstdint>
#include <string>

#include "ombus/ring_layout.h"
#include "ombus/status.h"

namespace ombus {

inline constexpr uint32_t kCapacityMin = 1;
inline constexpr uint32_t kCapacityMax = uint32_t{1} << 30;
inline constexpr uint32_t kMaxConsumersMax = 1024;

struct Geometry {
  uint32_t capacity = DefaultCapacity(kDefaultSlotBytes);
  uint32_t slot_size = kDefaultSlotBytes;
  uint32_t max_consumers = kDefaultMaxConsumers;
  uint32_t flags = 0;

  // Valid once checked: at most 2^30 * 65,560 + …, which does not overflow.
  uint64_t consumers_offset() const { return kHeaderPageBytes; }
  uint64_t slots_offset() const {
    return kHeaderPageBytes + uint64_t{max_consumers} * kConsumerLineBytes;
  }
  uint64_t total_bytes() const { return slots_offset() + uint64_t{capacity} * slot_size; }
  uint32_t payload_max() const {
    const uint32_t room = slot_size - kSlotHeaderBytes;
    return room < kPayloadBytesMax ? room : kPayloadBytesMax;
  }

  bool operator==(const Geometry&) const = default;
};

// kInvalidArgument, saying which value is wrong and what is allowed.
Status CheckGeometry(const Geometry& geometry);

// A slash, then 1…254 bytes: a name in /dev/shm, or with further slashes the path of a file.
Status CheckRingName(const std::string& name);
bool RingNameIsPath(const std::string& name);

// kCorrupt: what is under that name is no ring, for it `what`.
Status NoRing(const std::string& name, const std::string& what);

// Writes all that ReadGeometry reads, but for the magic.
void WriteGeometry(const Geometry& geometry, RingHeader& header);

// Copies and checks the geometry of a mapped object (at least its header page) of file_bytes bytes.
// kUnavailable while it is being created, kVersionMismatch, kCorrupt.
Result<Geometry> ReadGeometry(const RingHeader& header, uint64_t file_bytes,
                              const std::string& name);

}  // namespace ombus

#endif  // OMBUS_RING_GEOMETRY_H_

// MapRing: from an open object that may hold anything to a mapped ring whose geometry was checked;
// and where things are in one.
//
// Threads: those of the object.
#ifndef OMBUS_RING_MAP_RING_H_
#define OMBUS_RING_MAP_RING_H_

#include <cstdint>

#include "ombus/ring_layout.h"
#include "ombus/status.h"
#include "ring/geometry.h"
#include "ring/shm_object.h"

namespace ombus {

// Maps the object as far as its geometry says, and returns that. Errors as ReadGeometry, and those
// of mmap; kUnavailable for an empty object, or one whose creator is not done.
Result<Geometry> MapRing(ShmObject& object);

// A consumer's line of a mapped ring; index is below max_consumers.
inline ConsumerLine& LineAt(const ShmObject& object, const Geometry& geometry, uint32_t index) {
  return *reinterpret_cast<ConsumerLine*>(object.memory() + geometry.consumers_offset() +
                                          uint64_t{index} * kConsumerLineBytes);
}

}  // namespace ombus

#endif  // OMBUS_RING_MAP_RING_H_

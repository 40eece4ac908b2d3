// Producer::Cold: what only the slow halves of a Producer need. Private to ring/producer*.cc.
//
// Threads: the producer's.
#ifndef OMBUS_RING_PRODUCER_COLD_H_
#define OMBUS_RING_PRODUCER_COLD_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "ombus/producer.h"
#include "ring/geometry.h"
#include "ring/map_ring.h"
#include "ring/shm_object.h"

namespace ombus {

struct Producer::Cold {
  ProducerOptions options;
  Geometry geometry;
  ShmObject object;
  MemoryReport memory;
  std::vector<uint64_t> asked_ns;  // by line, when it was asked for its tail; 0: never by us
  uint64_t tended_ns = 0;          // when the blocking lines were last looked after
  uint64_t watched_ns = 0;         // when all lines were
  uint64_t scan_every = 0;         // records; no room found is larger than that
  uint64_t room_end = 0;           // position; the last scan's limit, at limit_ or in a later lap
  pid_t creator = 0;               // a forked child must not end its parent's stream
  uint64_t epoch = 0;
  uint64_t first_lap_end = 0;  // position: the epoch's first record is overwritten there
  uint64_t evictions = 0;
  bool closed = false;

  RingHeader& header() const { return *object.header(); }
  ConsumerLine& line(uint32_t index) const { return LineAt(object, geometry, index); }
};

}  // namespace ombus

#endif  // OMBUS_RING_PRODUCER_COLD_H_

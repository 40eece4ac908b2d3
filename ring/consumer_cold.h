// Consumer::Cold: what only the slow halves of a Consumer need. Private to ring/consumer*.cc.
//
// Threads: the consumer's.
#ifndef OMBUS_RING_CONSUMER_COLD_H_
#define OMBUS_RING_CONSUMER_COLD_H_

#include <sys/types.h>

#include "ombus/consumer.h"
#include "ring/geometry.h"
#include "ring/map_ring.h"
#include "ring/near_wait.h"
#include "ring/shm_object.h"

namespace ombus {

struct Consumer::Cold {
  Geometry geometry;
  ShmObject object;
  MemoryReport memory;
  pid_t opener = 0;  // a forked child must not give up its parent's line
  // After so many records found one by one there probably are more: look at head once and run.
  static constexpr uint32_t kLooksBeforeHead = 5;
  uint32_t looks_before_head = kLooksBeforeHead;
  uint32_t near_records = 0;  // nearer to head than this in a run of records: wait. 0: never
  NearWait near_wait;
  bool barrier_works = false;
  bool replaced = false;  // the change to another object has been reported
  bool orphaned = false;  // the name leads to another object, which this one says nothing of
  uint64_t name_looked_at_ns = 0;
  uint32_t name_checks = 0;
  int wake_descriptor = -1;  // inotify
  int wake_watch = -1;       // in it
  bool wake_lent = false;    // it is another's, who closes it

  // Whether the next poll is to report that. A system call every 100 ms at most.
  bool LooksOrphaned();

  ConsumerLine* line(uint32_t index) const { return &LineAt(object, geometry, index); }
};

}  // namespace ombus

#endif  // OMBUS_RING_CONSUMER_COLD_H_

// Consumer::Cold: what only the slow halves of a Consumer need. Private to ring/consumer*.cc.
//
// Threads: the consumer's.
#ifndef OMBUS_RING_CONSUMER_COLD_H_
#define OMBUS_RING_CONSUMER_COLD_H_

#include <sys/types.h>

#include "ombus/consumer.h"
#include "ring/geometry.h"
#include "ring/shm_object.h"

namespace ombus {

struct Consumer::Cold {
  Geometry geometry;
  ShmObject object;
  MemoryReport memory;
  pid_t opener = 0;                // a forked child must not give up its parent's line
  uint32_t looks_before_head = 1;  // records found one by one, then a look at head
  // Nearer to head than near_records in a run of records: spin near_pauses steps. 0: never.
  int64_t near_records = 0;
  uint32_t near_pauses = 0;
  uint32_t futile_waits = 0;   // in a row
  uint32_t waits_to_skip = 0;  // because of them
  bool barrier_works = false;
  bool replaced = false;     // the change to another object has been reported
  int wake_descriptor = -1;  // inotify
  int wake_watch = -1;       // in it
  bool wake_lent = false;    // it is another's, who closes it

  ConsumerLine* line(uint32_t index) const {
    return reinterpret_cast<ConsumerLine*>(object.memory() + geometry.consumers_offset() +
                                           uint64_t{index} * kConsumerLineBytes);
  }
};

}  // namespace ombus

#endif  // OMBUS_RING_CONSUMER_COLD_H_

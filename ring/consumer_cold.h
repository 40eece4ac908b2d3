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
  pid_t opener = 0;  // a forked child must not give up its parent's line
  bool barrier_works = false;
  bool replaced = false;     // the change to another object has been reported
  int wake_descriptor = -1;  // inotify

  ConsumerLine* line(uint32_t index) const {
    return reinterpret_cast<ConsumerLine*>(object.memory() + geometry.consumers_offset() +
                                           uint64_t{index} * kConsumerLineBytes);
  }
};

}  // namespace ombus

#endif  // OMBUS_RING_CONSUMER_COLD_H_

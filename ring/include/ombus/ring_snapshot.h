// ReadRingSnapshot: what a stream looks like now, read by a process that takes no part in it. The
// object is mapped read-only; neither producer nor consumers notice.
#ifndef OMBUS_RING_SNAPSHOT_H_
#define OMBUS_RING_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ombus/ring_layout.h"
#include "ombus/status.h"

namespace ombus {

struct ConsumerSnapshot {
  uint32_t index = 0;
  LineState state = LineState::kFree;
  bool owner_alive = false;
  uint32_t pid = 0;
  uint64_t tail = 0;
  uint64_t lag_records = 0;  // head - tail
  uint64_t wal_seq = 0;
};

struct RingSnapshot {
  std::string name;
  uint32_t capacity = 0, slot_size = 0, max_consumers = 0, flags = 0;
  uint64_t total_bytes = 0;
  RingState state = RingState::kActive;
  bool producer_alive = false;
  uint32_t producer_pid = 0;
  uint64_t epoch = 0, head = 0, min_tail = 0, last_wal_seq = 0;
  uint64_t stalls = 0, stalled_ns = 0, evictions = 0, reclaimed = 0;
  std::vector<ConsumerSnapshot> consumers;  // lines in use only
};

// Errors as Consumer::Open. A few system calls.
OMBUS_API Result<RingSnapshot> ReadRingSnapshot(const std::string& name);

}  // namespace ombus

#endif  // OMBUS_RING_SNAPSHOT_H_

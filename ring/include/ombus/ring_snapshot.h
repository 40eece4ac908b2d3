// ReadRingSnapshot: what a stream looks like now, read by a process that takes no part in it. The
// object is mapped read-only; neither producer nor consumers notice.
#ifndef OMBUS_RING_SNAPSHOT_H_
#define OMBUS_RING_SNAPSHOT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ombus/ring_layout.h"
#include "ombus/slot_advice.h"
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
  // Most unread records the producer ever saw: it looks once a lap, and whenever it is blocked.
  uint64_t occupancy_max = 0;
  // Batches published of 2^i … 2^(i+1) - 1 records; the last: all larger ones. Single publishes are
  // not counted.
  std::array<uint64_t, kBatchBuckets> batches = {};
  std::vector<ConsumerSnapshot> consumers;  // lines in use only
};

// Errors as Consumer::Open. A few system calls.
OMBUS_API Result<RingSnapshot> ReadRingSnapshot(const std::string& name);

// The sizes of the records that lie in the ring now: at most as many as it has slots. Reads a word
// of each slot.
OMBUS_API Result<PayloadHistogram> ReadPayloadHistogram(const std::string& name);

}  // namespace ombus

#endif  // OMBUS_RING_SNAPSHOT_H_

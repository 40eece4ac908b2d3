#include "ombus/ring_snapshot.h"

#include "ombus/slot_access.h"
#include "ring/byte_lock.h"
#include "ring/geometry.h"
#include "ring/map_ring.h"
#include "ring/shm_object.h"

namespace ombus {
namespace {

LineState StateOf(uint64_t control) {
  if (LineHoldsBack(control)) return LineState::kLive;
  return static_cast<LineState>(control & kLineStateMask);
}

ConsumerSnapshot ReadLine(const ShmObject& object, const ConsumerLine& line, uint32_t index,
                          uint64_t control) {
  ConsumerSnapshot consumer;
  consumer.index = index;
  consumer.state = StateOf(control);
  consumer.owner_alive = ByteIsLocked(object.fd(), ConsumerLockByte(index));
  consumer.pid = line.pid.load(std::memory_order_relaxed);
  consumer.tail = line.tail.load(std::memory_order_acquire);  // [tail]
  consumer.wal_seq = line.wal_seq.load(std::memory_order_relaxed);
  // Head after tail: the lag never comes out too small. [head]
  const uint64_t head = object.header()->head.load(std::memory_order_acquire);
  const auto lag = static_cast<int64_t>(head - consumer.tail);
  consumer.lag_records = lag > 0 ? static_cast<uint64_t>(lag) : 0;
  return consumer;
}

// The newest record's sequence, or 0 when there is none or it is being overwritten.
uint64_t LastWalSeq(const ShmObject& object, const Geometry& geometry, uint64_t head) {
  if (head == 0) return 0;
  const auto* slot = reinterpret_cast<const SlotHeader*>(object.memory() + geometry.slots_offset() +
                                                         ((head - 1) & (geometry.capacity - 1)) *
                                                             geometry.slot_size);
  if (slot->seq.load(std::memory_order_acquire) != head) return 0;  // [record]
  return slot_access::LoadWord(&slot->wal_seq);
}

}  // namespace

Result<RingSnapshot> ReadRingSnapshot(const std::string& name) {
  if (Status status = CheckRingName(name); !status.ok()) return status;
  Result<ShmObject> opened = ShmObject::Open(name, ShmObject::Access::kRead);
  if (!opened.ok()) return opened.status();
  ShmObject& object = *opened;
  const Result<Geometry> geometry = MapRing(object);
  if (!geometry.ok()) return geometry.status();
  const RingHeader& header = *object.header();

  RingSnapshot ring;
  ring.name = name;
  ring.capacity = geometry->capacity;
  ring.slot_size = geometry->slot_size;
  ring.max_consumers = geometry->max_consumers;
  ring.flags = geometry->flags;
  ring.total_bytes = geometry->total_bytes();
  ring.state = static_cast<RingState>(header.state.load(std::memory_order_acquire));  // [state]
  ring.producer_alive = ByteIsLocked(object.fd(), kProducerLockByte);
  ring.producer_pid = header.producer_pid.load(std::memory_order_relaxed);
  ring.epoch = header.epoch.load(std::memory_order_acquire);  // [epoch]
  for (uint32_t i = 0; i < geometry->max_consumers; ++i) {
    const ConsumerLine& line = LineAt(object, *geometry, i);
    const uint64_t control = line.control.load(std::memory_order_acquire);  // [join]
    if (StateOf(control) == LineState::kFree) continue;
    ring.consumers.push_back(ReadLine(object, line, i, control));
  }
  ring.min_tail = header.min_tail.load(std::memory_order_relaxed);
  ring.head = header.head.load(std::memory_order_acquire);  // [head]
  ring.last_wal_seq = LastWalSeq(object, *geometry, ring.head);
  ring.stalls = header.stalls.load(std::memory_order_relaxed);
  ring.stalled_ns = header.stalled_ns.load(std::memory_order_relaxed);
  ring.evictions = header.evictions.load(std::memory_order_relaxed);
  ring.reclaimed = header.reclaimed.load(std::memory_order_relaxed);
  ring.occupancy_max = header.occupancy_max.load(std::memory_order_relaxed);
  for (size_t i = 0; i < kBatchBuckets; ++i) {
    ring.batches[i] = header.batches[i].load(std::memory_order_relaxed);
  }
  return ring;
}

Result<PayloadHistogram> ReadPayloadHistogram(const std::string& name) {
  if (Status status = CheckRingName(name); !status.ok()) return status;
  Result<ShmObject> object = ShmObject::Open(name, ShmObject::Access::kRead);
  if (!object.ok()) return object.status();
  const Result<Geometry> geometry = MapRing(*object);
  if (!geometry.ok()) return geometry.status();
  PayloadHistogram histogram;
  for (uint32_t i = 0; i < geometry->capacity; ++i) {
    const auto* slot = reinterpret_cast<const SlotHeader*>(
        object->memory() + geometry->slots_offset() + uint64_t{i} * geometry->slot_size);
    if (slot->seq.load(std::memory_order_acquire) == 0) continue;  // never written [record]
    const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
    const uint32_t size = slot_access::MetaLength(meta);
    if (size <= geometry->payload_max()) histogram.Record(size);
  }
  return histogram;
}

}  // namespace ombus

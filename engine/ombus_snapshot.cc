#include "ombus/ombus_snapshot.h"

#include <algorithm>

#include "engine/c_struct.h"
#include "ombus/ring_snapshot.h"

namespace ombus::engine {
namespace {

static_assert(static_cast<uint32_t>(OMBUS_STREAM_ACTIVE) ==
              static_cast<uint32_t>(RingState::kActive));
static_assert(static_cast<uint32_t>(OMBUS_STREAM_CLOSED) ==
              static_cast<uint32_t>(RingState::kClosed));
static_assert(static_cast<uint32_t>(OMBUS_STREAM_REPLACED) ==
              static_cast<uint32_t>(RingState::kReplaced));
static_assert(static_cast<uint64_t>(OMBUS_CONSUMER_FREE) ==
              static_cast<uint64_t>(LineState::kFree));
static_assert(static_cast<uint64_t>(OMBUS_CONSUMER_LIVE) ==
              static_cast<uint64_t>(LineState::kLive));
static_assert(static_cast<uint64_t>(OMBUS_CONSUMER_EVICTED) ==
              static_cast<uint64_t>(LineState::kEvicted));

constexpr uint64_t kFirstStreamBytes = offsetof(ombus_stream_info, reclaimed) + sizeof(uint64_t);
constexpr uint64_t kFirstConsumerBytes = offsetof(ombus_consumer_info, wal_seq) + sizeof(uint64_t);

const RingSnapshot& Of(const ombus_snapshot* handle) {
  return *reinterpret_cast<const RingSnapshot*>(handle);
}

Result<ombus_snapshot*> Read(const char* call, const char* name) {
  if (name == nullptr) return InvalidArgument(call, "name", "NULL; give one, as \"/orders\"");
  Result<RingSnapshot> read = ReadRingSnapshot(name);
  if (!read.ok()) return read.status();
  return reinterpret_cast<ombus_snapshot*>(new RingSnapshot(std::move(*read)));
}

ombus_stream_info ToC(const RingSnapshot& from) {
  static_assert(OMBUS_BATCH_BUCKETS == kBatchBuckets);
  ombus_stream_info info = {.size = 0,
                            .capacity = from.capacity,
                            .slot_size = from.slot_size,
                            .max_consumers = from.max_consumers,
                            .consumers = static_cast<uint32_t>(from.consumers.size()),
                            .crc32c = (from.flags & kRingFlagCrc32c) != 0,
                            .reject_reorder = (from.flags & kRingFlagRejectReorder) != 0,
                            .reserved = 0,
                            .state = static_cast<uint32_t>(from.state),
                            .producer_alive = from.producer_alive,
                            .producer_pid = from.producer_pid,
                            .total_bytes = from.total_bytes,
                            .epoch = from.epoch,
                            .head = from.head,
                            .min_tail = from.min_tail,
                            .last_wal_seq = from.last_wal_seq,
                            .stalls = from.stalls,
                            .stalled_ns = from.stalled_ns,
                            .evictions = from.evictions,
                            .reclaimed = from.reclaimed,
                            .occupancy_max = from.occupancy_max,
                            .batches = {}};
  std::copy(from.batches.begin(), from.batches.end(), info.batches);
  return info;
}

ombus_consumer_info ToC(const ConsumerSnapshot& from) {
  return {.size = 0,
          .index = from.index,
          .state = static_cast<uint32_t>(from.state),
          .owner_alive = from.owner_alive,
          .pid = from.pid,
          .tail = from.tail,
          .lag_records = from.lag_records,
          .wal_seq = from.wal_seq};
}

}  // namespace
}  // namespace ombus::engine

extern "C" {

ombus_snapshot* ombus_snapshot_read(const char* name, ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_snapshot_read";
  return ombus::engine::MakeHandle<ombus_snapshot>(
      kCall, error, [&] { return ombus::engine::Read(kCall, name); });
}

void ombus_snapshot_free(ombus_snapshot* snapshot) noexcept {
  delete reinterpret_cast<ombus::RingSnapshot*>(snapshot);
}

ombus_status ombus_snapshot_get_stream(const ombus_snapshot* snapshot,
                                       ombus_stream_info* info) noexcept {
  if (snapshot == nullptr) return OMBUS_INVALID_ARGUMENT;
  return ombus::engine::FillStruct(info, ombus::engine::kFirstStreamBytes,
                                   ombus::engine::ToC(ombus::engine::Of(snapshot)));
}

ombus_status ombus_snapshot_get_consumer(const ombus_snapshot* snapshot, size_t at,
                                         ombus_consumer_info* info) noexcept {
  if (snapshot == nullptr) return OMBUS_INVALID_ARGUMENT;
  const auto& consumers = ombus::engine::Of(snapshot).consumers;
  if (at >= consumers.size()) return OMBUS_NOT_FOUND;
  return ombus::engine::FillStruct(info, ombus::engine::kFirstConsumerBytes,
                                   ombus::engine::ToC(consumers[at]));
}

}  // extern "C"

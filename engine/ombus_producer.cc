#include "ombus/ombus_producer.h"

#include "engine/c_record.h"
#include "engine/c_ring_options.h"
#include "engine/c_struct.h"
#include "ombus/producer.h"
#include "ombus/slot_advice.h"

namespace ombus::engine {
namespace {

static_assert(static_cast<int>(OMBUS_PUBLISH_OK) == static_cast<int>(PublishResult::kOk));
static_assert(static_cast<int>(OMBUS_PUBLISH_FULL) == static_cast<int>(PublishResult::kFull));
static_assert(static_cast<int>(OMBUS_PUBLISH_TIMED_OUT) ==
              static_cast<int>(PublishResult::kTimedOut));
static_assert(static_cast<int>(OMBUS_PUBLISH_TOO_LARGE) ==
              static_cast<int>(PublishResult::kTooLarge));
static_assert(static_cast<int>(OMBUS_PUBLISH_CLOSED) == static_cast<int>(PublishResult::kClosed));
static_assert(static_cast<int>(OMBUS_PUBLISH_NOT_RESERVED) ==
              static_cast<int>(PublishResult::kNotReserved));
static_assert(OMBUS_WAIT_FOREVER == kWaitForever);
static_assert(OMBUS_PREFETCH_BY_PROFILE == kByProfile);

constexpr uint64_t kFirstBytes =  // of the options' first version
    offsetof(ombus_producer_options, profile) + sizeof(uint32_t);

Producer* Of(ombus_producer* handle) { return reinterpret_cast<Producer*>(handle); }
const Producer* Of(const ombus_producer* handle) {
  return reinterpret_cast<const Producer*>(handle);
}

ombus_publish_result ToC(PublishResult result) { return static_cast<ombus_publish_result>(result); }

ombus_producer_options Defaults() {
  const ProducerOptions from;
  return {.size = sizeof(ombus_producer_options),
          .name = nullptr,
          .capacity = from.capacity,
          .slot_size = from.slot_size,
          .max_consumers = from.max_consumers,
          .crc32c = from.crc32c,
          .staleness_ns = from.staleness_ns,
          .backpressure = from.backpressure,
          .backpressure_context = from.backpressure_context,
          .permissions = from.permissions,
          .unlink_on_close = from.unlink_on_close,
          .reject_reorder = from.reject_reorder,
          .profile = static_cast<uint32_t>(from.profile),
          .prefetch_ahead_slots = from.prefetch_ahead_slots,
          .huge_pages = from.memory.huge_pages,
          .lock_memory = from.memory.lock,
          .numa_node = from.memory.numa_node};
}

Result<ombus_producer*> Create(const char* call, const ombus_producer_options* given) {
  ombus_producer_options options = Defaults();
  if (Status status = ReadOptions(call, given, kFirstBytes, &options); !status.ok()) return status;
  if (options.name == nullptr)
    return InvalidArgument(call, "name", "NULL; give one, as \"/orders\"");
  if (Status status = CheckProfile(call, options.profile); !status.ok()) return status;
  auto producer = Producer::Create({.name = options.name,
                                    .capacity = options.capacity,
                                    .slot_size = options.slot_size,
                                    .max_consumers = options.max_consumers,
                                    .crc32c = options.crc32c != 0,
                                    .reject_reorder = options.reject_reorder != 0,
                                    .staleness_ns = options.staleness_ns,
                                    .backpressure = options.backpressure,
                                    .backpressure_context = options.backpressure_context,
                                    .profile = static_cast<RingProfile>(options.profile),
                                    .prefetch_ahead_slots = options.prefetch_ahead_slots,
                                    .memory = {.huge_pages = options.huge_pages != 0,
                                               .lock = options.lock_memory != 0,
                                               .numa_node = options.numa_node},
                                    .permissions = options.permissions,
                                    .unlink_on_close = options.unlink_on_close != 0});
  if (!producer.ok()) return producer.status();
  return reinterpret_cast<ombus_producer*>(producer->release());
}

Status Fit(const char* call, ombus_producer_options* given, const uint32_t* sizes,
           const uint64_t* counts, size_t count) {
  ombus_producer_options options = Defaults();
  if (Status status = ReadOptions(call, given, kFirstBytes, &options); !status.ok()) return status;
  if (sizes == nullptr) return InvalidArgument(call, "sizes", "NULL; give those expected");
  PayloadHistogram histogram;
  for (size_t i = 0; i < count; ++i) {
    if (sizes[i] > kPayloadBytesMax)
      return InvalidArgument(call, "sizes", "a record has at most 65535 bytes");
    histogram.Record(sizes[i], counts == nullptr ? 1 : counts[i]);
  }
  const auto advice = AdviseSlotSize(histogram, options.capacity, options.max_consumers);
  if (advice.ok()) given->slot_size = advice->slot_size;
  return advice.status();
}

}  // namespace
}  // namespace ombus::engine

using ombus::engine::AsRecord;
using ombus::engine::AsRecords;
using ombus::engine::Of;
using ombus::engine::Publishable;
using ombus::engine::ToC;

extern "C" {

ombus_status ombus_producer_options_init(ombus_producer_options* options, size_t size) noexcept {
  return ombus::engine::InitOptions(options, size, ombus::engine::kFirstBytes,
                                    ombus::engine::Defaults());
}

ombus_status ombus_producer_options_fit(ombus_producer_options* options, const uint32_t* sizes,
                                        const uint64_t* counts, size_t count,
                                        ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_producer_options_fit";
  return ombus::engine::ReportGuarded(
      kCall, error, [&] { return ombus::engine::Fit(kCall, options, sizes, counts, count); });
}

ombus_producer* ombus_producer_create(const ombus_producer_options* options,
                                      ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_producer_create";
  return ombus::engine::MakeHandle<ombus_producer>(
      kCall, error, [&] { return ombus::engine::Create(kCall, options); });
}

void ombus_producer_close(ombus_producer* producer) noexcept { delete Of(producer); }

void ombus_producer_end(ombus_producer* producer) noexcept {
  if (producer != nullptr) Of(producer)->Close();
}

ombus_publish_result ombus_producer_try_publish(ombus_producer* producer,
                                                const ombus_record* record) noexcept {
  if (producer == nullptr || !Publishable(record)) [[unlikely]]
    return OMBUS_PUBLISH_INVALID;
  return ToC(Of(producer)->TryPublish(AsRecord(*record)));
}

ombus_publish_result ombus_producer_publish(ombus_producer* producer, const ombus_record* record,
                                            uint64_t timeout_ns) noexcept {
  if (producer == nullptr || !Publishable(record)) [[unlikely]]
    return OMBUS_PUBLISH_INVALID;
  return ToC(Of(producer)->Publish(AsRecord(*record), timeout_ns));
}

ombus_publish_result ombus_producer_try_publish_batch(ombus_producer* producer,
                                                      const ombus_record* records, size_t count,
                                                      size_t* published) noexcept {
  size_t done = 0;
  size_t* const counted = published != nullptr ? published : &done;
  *counted = 0;
  if (producer == nullptr || !Publishable(records, count)) return OMBUS_PUBLISH_INVALID;
  return ToC(Of(producer)->TryPublishBatch(AsRecords(records, count), counted));
}

ombus_publish_result ombus_producer_publish_batch(ombus_producer* producer,
                                                  const ombus_record* records, size_t count,
                                                  uint64_t timeout_ns, size_t* published) noexcept {
  if (published != nullptr) *published = 0;
  if (producer == nullptr || !Publishable(records, count)) return OMBUS_PUBLISH_INVALID;
  return ToC(Of(producer)->PublishBatch(AsRecords(records, count), timeout_ns, published));
}

void* ombus_producer_try_reserve(ombus_producer* producer) noexcept {
  return producer == nullptr ? nullptr : Of(producer)->TryReserve();
}

ombus_publish_result ombus_producer_commit(ombus_producer* producer, uint64_t wal_seq, uint8_t type,
                                           uint16_t size) noexcept {
  if (producer == nullptr) [[unlikely]]
    return OMBUS_PUBLISH_INVALID;
  return ToC(Of(producer)->Commit(wal_seq, type, size));
}

ombus_publish_result ombus_producer_wait_for_room(ombus_producer* producer,
                                                  uint64_t timeout_ns) noexcept {
  if (producer == nullptr) return OMBUS_PUBLISH_INVALID;
  return ToC(Of(producer)->WaitForRoom(timeout_ns));
}

uint64_t ombus_producer_head(const ombus_producer* producer) noexcept {
  return producer == nullptr ? 0 : Of(producer)->head();
}
uint64_t ombus_producer_epoch(const ombus_producer* producer) noexcept {
  return producer == nullptr ? 0 : Of(producer)->epoch();
}
uint32_t ombus_producer_payload_max(const ombus_producer* producer) noexcept {
  return producer == nullptr ? 0 : Of(producer)->payload_max();
}
uint32_t ombus_producer_capacity(const ombus_producer* producer) noexcept {
  return producer == nullptr ? 0 : Of(producer)->capacity();
}
uint64_t ombus_producer_min_tail(const ombus_producer* producer) noexcept {
  return producer == nullptr ? 0 : Of(producer)->min_tail();
}
int ombus_producer_superseded(const ombus_producer* producer) noexcept {
  return producer != nullptr && Of(producer)->superseded();
}
uint32_t ombus_producer_live_consumers(const ombus_producer* producer) noexcept {
  return producer == nullptr ? 0 : Of(producer)->live_consumers();
}

ombus_status ombus_producer_memory(const ombus_producer* producer,
                                   ombus_memory_report* report) noexcept {
  if (producer == nullptr) return OMBUS_INVALID_ARGUMENT;
  return ombus::engine::FillMemoryReport(Of(producer)->memory(), report);
}
const char* ombus_producer_memory_warning(const ombus_producer* producer, uint32_t index) noexcept {
  return producer == nullptr ? nullptr
                             : ombus::engine::MemoryWarning(Of(producer)->memory(), index);
}

}  // extern "C"

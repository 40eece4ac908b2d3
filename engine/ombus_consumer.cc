#include "ombus/ombus_consumer.h"

#include "engine/c_record.h"
#include "engine/c_ring_options.h"
#include "engine/c_struct.h"
#include "ombus/consumer.h"

namespace ombus::engine {
namespace {

constexpr bool Same(ombus_poll_result c, PollResult cpp) {
  return static_cast<int>(c) == static_cast<int>(cpp);
}
static_assert(Same(OMBUS_POLL_EMPTY, PollResult::kEmpty));
static_assert(Same(OMBUS_POLL_RECORD, PollResult::kRecord));
static_assert(Same(OMBUS_POLL_GAP, PollResult::kGap));
static_assert(Same(OMBUS_POLL_REORDER, PollResult::kReorder));
static_assert(Same(OMBUS_POLL_CORRUPT, PollResult::kCorrupt));
static_assert(Same(OMBUS_POLL_EVICTED, PollResult::kEvicted));
static_assert(Same(OMBUS_POLL_EPOCH_CHANGED, PollResult::kEpochChanged));
static_assert(Same(OMBUS_POLL_CLOSED, PollResult::kClosed));
static_assert(OMBUS_ANY_CONSUMER_INDEX == kAnyConsumerIndex);
static_assert(static_cast<int>(OMBUS_START_LIVE) == static_cast<int>(ConsumerStart::kLive));
static_assert(static_cast<int>(OMBUS_START_EPOCH_START) ==
              static_cast<int>(ConsumerStart::kEpochStart));

constexpr uint64_t kFirstBytes =  // of the options' first version
    offsetof(ombus_consumer_options, reject_reorder) + sizeof(uint32_t);

Consumer* Of(ombus_consumer* handle) { return reinterpret_cast<Consumer*>(handle); }
const Consumer* Of(const ombus_consumer* handle) {
  return reinterpret_cast<const Consumer*>(handle);
}

ombus_consumer_options Defaults() {
  const ConsumerOptions from;
  return {.size = sizeof(ombus_consumer_options),
          .name = nullptr,
          .consumer_index = from.consumer_index,
          .reject_reorder = from.reject_reorder,
          .start = static_cast<uint32_t>(from.start),
          .profile = static_cast<uint32_t>(from.profile),
          .huge_pages = from.memory.huge_pages,
          .lock_memory = from.memory.lock};
}

Result<ombus_consumer*> Open(const char* call, const ombus_consumer_options* given) {
  ombus_consumer_options options = Defaults();
  if (Status status = ReadOptions(call, given, kFirstBytes, &options); !status.ok()) return status;
  if (options.name == nullptr)
    return InvalidArgument(call, "name", "NULL; give one, as \"/orders\"");
  if (Status status = CheckChoice(call, "start", options.start, OMBUS_START_EPOCH_START,
                                  "choose an OMBUS_START_… value");
      !status.ok()) {
    return status;
  }
  if (Status status = CheckProfile(call, options.profile); !status.ok()) return status;
  auto consumer = Consumer::Open(
      {.name = options.name,
       .start = static_cast<ConsumerStart>(options.start),
       .consumer_index = options.consumer_index,
       .reject_reorder = options.reject_reorder != 0,
       .profile = static_cast<RingProfile>(options.profile),
       .memory = {.huge_pages = options.huge_pages != 0, .lock = options.lock_memory != 0}});
  if (!consumer.ok()) return consumer.status();
  return reinterpret_cast<ombus_consumer*>(consumer->release());
}

size_t EndWith(BatchResult batch, ombus_poll_result* end) {
  if (end != nullptr) *end = static_cast<ombus_poll_result>(batch.end);
  return batch.count;
}

size_t Refuse(ombus_poll_result* end) {
  if (end != nullptr) *end = OMBUS_POLL_INVALID;
  return 0;
}

}  // namespace
}  // namespace ombus::engine

using ombus::engine::Of;

extern "C" {

ombus_status ombus_consumer_options_init(ombus_consumer_options* options, size_t size) noexcept {
  return ombus::engine::InitOptions(options, size, ombus::engine::kFirstBytes,
                                    ombus::engine::Defaults());
}

ombus_consumer* ombus_consumer_open(const ombus_consumer_options* options,
                                    ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_consumer_open";
  return ombus::engine::MakeHandle<ombus_consumer>(
      kCall, error, [&] { return ombus::engine::Open(kCall, options); });
}

void ombus_consumer_close(ombus_consumer* consumer) noexcept { delete Of(consumer); }

ombus_poll_result ombus_consumer_poll(ombus_consumer* consumer, ombus_record* record) noexcept {
  if (consumer == nullptr || record == nullptr) [[unlikely]]
    return OMBUS_POLL_INVALID;
  return static_cast<ombus_poll_result>(Of(consumer)->Poll(ombus::engine::AsRecord(record)));
}

size_t ombus_consumer_poll_batch(ombus_consumer* consumer, ombus_record* records, size_t max,
                                 ombus_poll_result* end) noexcept {
  if (consumer == nullptr || records == nullptr) return ombus::engine::Refuse(end);
  return ombus::engine::EndWith(Of(consumer)->PollBatch(ombus::engine::AsRecords(records, max)),
                                end);
}

size_t ombus_consumer_drain(ombus_consumer* consumer, size_t max, ombus_record_fn each,
                            void* context, ombus_poll_result* end) noexcept {
  if (consumer == nullptr || each == nullptr) return ombus::engine::Refuse(end);
  const auto call = [each, context](const ombus::Record& record) {
    each(ombus::engine::AsC(record), context);
  };
  return ombus::engine::EndWith(Of(consumer)->Drain(max, call), end);
}

int ombus_consumer_valid(const ombus_consumer* consumer) noexcept {
  return consumer != nullptr && Of(consumer)->valid();
}

void ombus_consumer_release(ombus_consumer* consumer) noexcept {
  if (consumer != nullptr) Of(consumer)->Release();
}

int ombus_consumer_wait(ombus_consumer* consumer, uint64_t timeout_ns, uint64_t spin_ns) noexcept {
  return consumer != nullptr && Of(consumer)->Wait(timeout_ns, spin_ns);
}

void ombus_consumer_check_name(ombus_consumer* consumer) noexcept {
  if (consumer != nullptr) Of(consumer)->CheckName();
}

int ombus_consumer_wake_descriptor(ombus_consumer* consumer, ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_consumer_wake_descriptor";
  int descriptor = -1;
  const bool enough = ombus::engine::RunGuarded([&] {
    ombus::Result<int> made = consumer != nullptr
                                  ? Of(consumer)->WakeDescriptor()
                                  : ombus::engine::InvalidArgument(kCall, "consumer", "NULL");
    ombus::engine::Report(made.status(), error);
    if (made.ok()) descriptor = *made;
  });
  if (!enough) ombus::engine::ReportOutOfMemory(kCall, error);
  return descriptor;
}

int ombus_consumer_arm_wake(ombus_consumer* consumer) noexcept {
  return consumer != nullptr && Of(consumer)->ArmWake();
}

void ombus_consumer_disarm_wake(ombus_consumer* consumer) noexcept {
  if (consumer != nullptr) Of(consumer)->DisarmWake();
}

uint32_t ombus_consumer_index(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->index();
}
uint64_t ombus_consumer_tail(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->tail();
}
uint64_t ombus_consumer_head(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->head();
}
uint64_t ombus_consumer_epoch(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->epoch();
}
uint64_t ombus_consumer_wal_seq(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->wal_seq();
}
uint64_t ombus_consumer_expected_wal_seq(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->expected_wal_seq();
}
uint64_t ombus_consumer_missed_records(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->missed_records();
}
uint64_t ombus_consumer_lost_records(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->lost_records();
}
uint32_t ombus_consumer_payload_max(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->payload_max();
}
uint64_t ombus_consumer_epoch_position(const ombus_consumer* consumer) noexcept {
  return consumer == nullptr ? 0 : Of(consumer)->epoch_position();
}
int ombus_consumer_epoch_changed(const ombus_consumer* consumer) noexcept {
  return consumer != nullptr && Of(consumer)->epoch_changed();
}
int ombus_consumer_replaced(const ombus_consumer* consumer) noexcept {
  bool replaced = false;  // so too where there is no memory to look
  if (consumer != nullptr) {
    (void)ombus::engine::RunGuarded([&] { replaced = Of(consumer)->replaced(); });
  }
  return replaced;
}

ombus_status ombus_consumer_memory(const ombus_consumer* consumer,
                                   ombus_memory_report* report) noexcept {
  if (consumer == nullptr) return OMBUS_INVALID_ARGUMENT;
  return ombus::engine::FillMemoryReport(Of(consumer)->memory(), report);
}
const char* ombus_consumer_memory_warning(const ombus_consumer* consumer, uint32_t index) noexcept {
  return consumer == nullptr ? nullptr
                             : ombus::engine::MemoryWarning(Of(consumer)->memory(), index);
}

}  // extern "C"

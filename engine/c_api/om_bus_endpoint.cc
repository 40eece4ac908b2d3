// The consumer's side of ombus/om_bus.h.
//
// A payload must outlive its room in the ring: the room of a record is the producer's as soon as it
// was polled, since a producer in the same thread may need it and never polls again. So each
// payload is copied, whatever zero_copy says, and the tail is stored in every call.
#include <algorithm>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstring>
#include <utility>

#include "engine/c_api/endpoint.h"
#include "engine/c_api/error_code.h"
#include "engine/c_api/stream_name.h"
#include "engine/memory_guard.h"
#include "ombus/slot_access.h"
#include "ring/clock.h"
#include "ring/cursor_file.h"
#include "ring/producers_created.h"

using ombus::PollResult;
using ombus::engine::RunGuarded;

static inline void HandOut(const ombus::Record& from, const void* payload, OmBusRecord* record) {
  record->wal_seq = from.wal_seq;
  // Type and length in one store: whoever loads both at once would else wait for two to leave the
  // store buffer. The byte between them is padding.
  static_assert(offsetof(OmBusRecord, payload_len) == offsetof(OmBusRecord, wal_type) + 2);
  const uint32_t both = from.type | uint32_t{from.size} << 16;
  std::memcpy(reinterpret_cast<std::byte*>(record) + offsetof(OmBusRecord, wal_type), &both,
              sizeof both);
  record->payload = payload;
}

inline int OmBusEndpoint::Begin() {
  store.Reset();
  if (pending != 0) [[unlikely]]
    return std::exchange(pending, 0);
  if (consumer->epoch_changed() && !epoch_told) [[unlikely]] {
    epoch_told = true;  // at once, before what is still unread of the old epoch
    return OM_ERR_BUS_EPOCH_CHANGED;
  }
  return 0;
}

inline __attribute__((always_inline)) bool OmBusEndpoint::Keep(const ombus::Record& polled,
                                                               uint64_t last, OmBusRecord* record) {
  std::byte* payload = store.Take(polled.size);
  ombus::slot_access::CopyBytes(payload, static_cast<const std::byte*>(polled.payload),
                                polled.size);
  dropped = !consumer->valid();
  if (dropped) [[unlikely]] {
    dropped_wal_seq = polled.wal_seq;
    kept_wal_seq = last;
    return false;
  }
  HandOut(polled, payload, record);
  return true;
}

int OmBusEndpoint::CodeOf(PollResult result) {
  switch (result) {
    case PollResult::kEmpty:
      return 0;
    case PollResult::kRecord:
      return 1;
    case PollResult::kGap:
      return OM_ERR_BUS_GAP_DETECTED;
    case PollResult::kReorder:
      return OM_ERR_BUS_REORDER_DETECTED;
    case PollResult::kCorrupt:
      return OM_ERR_BUS_CRC_MISMATCH;
    case PollResult::kEvicted:
      return OM_ERR_BUS_CONSUMER_STALE;
    case PollResult::kEpochChanged:
      return OnEpochChange();
    case PollResult::kClosed:
      return OnClosed();
  }
  return 0;
}

// Asks the system. So too where there is no memory to ask: the next poll asks again.
bool OmBusEndpoint::LookForReplacement() {
  bool found = false;
  (void)RunGuarded([&] { found = consumer->replaced(); });
  return found;
}

// All records from before the change were polled. Said already, it is not said again, but on an
// object that nobody will ever write again.
int OmBusEndpoint::OnEpochChange() {
  replaced = LookForReplacement();
  const bool told = std::exchange(epoch_told, false);
  return told && !replaced ? 0 : OM_ERR_BUS_EPOCH_CHANGED;
}

// Whoever creates a stream takes longer than that, so that the next poll after a creation that the
// caller knows of looks; of one in this process it does in any case.
bool OmBusEndpoint::LookIsDue() {
  constexpr uint64_t kLookEveryNs = 20'000;  // the smallest ring takes 44 µs
  const uint64_t seen =
      std::exchange(creations_seen, ombus::producers_created.load(std::memory_order_relaxed));
  return seen != creations_seen || ombus::NowNs() - looked_ns >= kLookEveryNs;
}

// Its producer is gone. Should the name come back, for another object, this endpoint is of the old
// epoch: the only one who could find that out is who looks, which costs some microseconds.
int OmBusEndpoint::OnClosed() {
  ended = true;
  if (!replaced && LookIsDue()) {
    replaced = LookForReplacement();
    looked_ns = ombus::NowNs();
  }
  return replaced ? OM_ERR_BUS_EPOCH_CHANGED : 0;
}

namespace {

int Open(const OmBusEndpointConfig& config, OmBusEndpoint** out) {
  ombus::ConsumerOptions options;
  options.name = ombus::engine::StreamName(config.stream_name);
  options.consumer_index = config.consumer_index;
  auto consumer = ombus::Consumer::Open(options);
  if (!consumer.ok()) return ombus::engine::OpenError(consumer.status());
  *out = new OmBusEndpoint(std::move(*consumer));
  return 0;
}

}  // namespace

int om_bus_endpoint_open(OmBusEndpoint** out, const OmBusEndpointConfig* config) {
  if (out == nullptr) return OM_ERR_BUS_INIT;
  *out = nullptr;
  if (config == nullptr || config->stream_name == nullptr) return OM_ERR_BUS_INIT;
  if (config->consumer_index == ombus::kAnyConsumerIndex) return OM_ERR_BUS_CONSUMER_ID;
  int code = OM_ERR_BUS_SHM_MAP;
  (void)RunGuarded([&] { code = Open(*config, out); });
  return code;
}

// A record of more than a line, or something else to say than the next one in sequence.
[[gnu::noinline]] static int PollSlow(OmBusEndpoint* endpoint, OmBusRecord* record) {
  ombus::Record polled;
  ombus::Consumer& consumer = *endpoint->consumer;
  if (consumer.TryCopyOut<ombus::slot_access::kInlineCopyBytesMax>(endpoint->store.first(),
                                                                   &polled)) {
    HandOut(polled, polled.payload, record);
    return 1;
  }
  if (const int code = endpoint->Begin(); code != 0) return code;
  while (true) {
    const uint64_t last = endpoint->wal_seq();
    const PollResult result = consumer.Poll(&polled);
    if (result == PollResult::kEmpty) {
      consumer.CheckName();
      return 0;
    }
    if (ombus::IsRecord(result)) {
      // Not kept: the next poll says that the producer went on without us.
      if (!endpoint->Keep(polled, last, record)) continue;
      consumer.Release();
      return endpoint->CodeOf(result);
    }
    const int code = endpoint->CodeOf(result);
    if (code != 0 || result != PollResult::kEpochChanged) return code;
  }
}

// The most common record, without a register to save.
int om_bus_endpoint_poll(OmBusEndpoint* endpoint, OmBusRecord* record) {
  if (endpoint == nullptr || record == nullptr) [[unlikely]]
    return OM_ERR_BUS_INIT;
  ombus::Record taken;
  if (!endpoint->consumer->TryCopyOut<ombus::slot_access::kFirstLinePayloadBytes>(
          endpoint->store.first(), &taken)) [[unlikely]] {
    return PollSlow(endpoint, record);
  }
  HandOut(taken, taken.payload, record);
  return 1;
}

int om_bus_endpoint_poll_batch(OmBusEndpoint* endpoint, OmBusRecord* records, size_t max) {
  if (endpoint == nullptr || (records == nullptr && max != 0)) return OM_ERR_BUS_INIT;
  if (max == 0) return 0;
  if (const int code = endpoint->Begin(); code != 0) return code;
  ombus::Consumer& consumer = *endpoint->consumer;
  const int count_max = static_cast<int>(std::min<size_t>(max, INT_MAX));
  int count = 0;
  uint64_t last = endpoint->wal_seq();
  while (count < count_max && endpoint->store.Prepare()) {
    ombus::Record polled;
    const PollResult result = consumer.Poll(&polled);
    if (ombus::IsRecord(result)) [[likely]] {
      if (endpoint->Keep(polled, last, &records[count])) [[likely]] {
        last = polled.wal_seq;
        ++count;
      }
      continue;
    }
    const int code = endpoint->CodeOf(result);
    if (code == 0 && result == PollResult::kEpochChanged) continue;
    if (count == 0) {
      if (result == PollResult::kEmpty) consumer.CheckName();
      return code;
    }
    endpoint->pending = code;
    consumer.HoldBack();  // or the next poll would take a record before it says that
    break;
  }
  consumer.Release();
  return count;
}

uint64_t om_bus_endpoint_wal_seq(const OmBusEndpoint* endpoint) {
  return endpoint == nullptr ? 0 : endpoint->wal_seq();
}

void om_bus_endpoint_close(OmBusEndpoint* endpoint) { delete endpoint; }

int om_bus_endpoint_save_cursor(const OmBusEndpoint* endpoint, const char* path) {
  if (endpoint == nullptr || path == nullptr) return OM_ERR_BUS_INIT;
  bool saved = false;
  (void)RunGuarded([&] { saved = ombus::SaveCursorFile(path, endpoint->wal_seq()).ok(); });
  return saved ? 0 : OM_ERR_BUS_SHM_CREATE;
}

static int LoadCursor(const char* path, uint64_t* wal_seq) {
  ombus::CursorState state;
  const auto loaded = ombus::LoadCursorFile(path, &state);
  if (loaded.ok()) {
    *wal_seq = *loaded;
    return 0;
  }
  if (loaded.status().code() != ombus::StatusCode::kCorrupt) return OM_ERR_BUS_SHM_OPEN;
  return state == ombus::CursorState::kWrongCrc ? OM_ERR_BUS_CRC_MISMATCH
                                                : OM_ERR_BUS_MAGIC_MISMATCH;
}

int om_bus_endpoint_load_cursor(const char* path, uint64_t* wal_seq) {
  if (path == nullptr || wal_seq == nullptr) return OM_ERR_BUS_INIT;
  int code = OM_ERR_BUS_SHM_OPEN;
  (void)RunGuarded([&] { code = LoadCursor(path, wal_seq); });
  return code;
}

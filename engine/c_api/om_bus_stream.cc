// The producer's side of ombus/om_bus.h.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <memory>
#include <span>
#include <utility>

#include "engine/c_api/error_code.h"
#include "engine/c_api/stream_name.h"
#include "engine/memory_guard.h"
#include "ombus/om_bus.h"
#include "ombus/producer.h"
#include "ring/producers_created.h"

struct OmBusStream {
  // Whether another producer of this process has the stream: only one made since the last look can.
  bool Superseded();
  // Whether this process has created a producer since the last look.
  bool Renewed() const;

  std::unique_ptr<ombus::Producer> producer;
  uint64_t first_head;
  uint64_t creations_seen;
};

namespace {

using ombus::PublishResult;

constexpr uint32_t kFlagsKnown = OM_BUS_FLAG_CRC | OM_BUS_FLAG_REJECT_REORDER;
constexpr size_t kConvertedAtOnce = 32;  // as often as a batch stores head

int CodeOf(PublishResult result) {
  switch (result) {
    case PublishResult::kOk:
      return 0;
    case PublishResult::kTooLarge:
      return OM_ERR_BUS_RECORD_TOO_LARGE;
    case PublishResult::kClosed:
    case PublishResult::kFull:
    case PublishResult::kTimedOut:
    case PublishResult::kNotReserved:
      break;
  }
  return OM_ERR_BUS_EPOCH_CHANGED;  // who waits for ever is only ever superseded
}

ombus::ProducerOptions OptionsOf(const OmBusStreamConfig& config) {
  ombus::ProducerOptions options;
  options.name = ombus::engine::StreamName(config.stream_name);
  options.capacity = config.capacity != 0 ? config.capacity : OM_BUS_DEFAULT_CAPACITY;
  if (config.slot_size != 0) options.slot_size = config.slot_size;
  if (config.max_consumers != 0) options.max_consumers = config.max_consumers;
  options.crc32c = (config.flags & OM_BUS_FLAG_CRC) != 0;
  options.reject_reorder = (config.flags & OM_BUS_FLAG_REJECT_REORDER) != 0;
  options.staleness_ns = config.staleness_ns;
  options.backpressure = config.backpressure_cb;
  options.backpressure_context = config.backpressure_ctx;
  return options;
}

int Create(const OmBusStreamConfig& config, OmBusStream** out) {
  auto producer = ombus::Producer::Create(OptionsOf(config));
  if (!producer.ok()) return ombus::engine::CreateError(producer.status());
  const uint64_t head = (*producer)->head();
  // A count before our own: the first publish looks once more.
  *out = new OmBusStream{std::move(*producer), head, 0};
  return 0;
}

bool Sound(const OmBusRecord& record) {
  return record.payload != nullptr || record.payload_len == 0;
}

}  // namespace

inline bool OmBusStream::Renewed() const {
  return ombus::producers_created.load(std::memory_order_acquire) != creations_seen;
}

inline bool OmBusStream::Superseded() {
  const uint64_t now = ombus::producers_created.load(std::memory_order_acquire);
  if (now == creations_seen) [[likely]]
    return false;
  if (producer->superseded()) return true;
  creations_seen = now;
  return false;
}

int om_bus_stream_create(OmBusStream** out, const OmBusStreamConfig* config) {
  if (out == nullptr) return OM_ERR_BUS_INIT;
  *out = nullptr;
  if (config == nullptr || config->stream_name == nullptr) return OM_ERR_BUS_INIT;
  if ((config->flags & ~kFlagsKnown) != 0) return OM_ERR_BUS_INIT;
  if (config->capacity != 0 && !std::has_single_bit(config->capacity)) return OM_ERR_BUS_NOT_POW2;
  int code = OM_ERR_BUS_SHM_CREATE;
  (void)ombus::engine::RunGuarded([&] { code = Create(*config, out); });
  return code;
}

// Longer than a line, or with something to say.
[[gnu::noinline]] static int PublishSlow(OmBusStream* stream, uint64_t wal_seq, uint8_t wal_type,
                                         const void* payload, uint16_t len) {
  if (stream == nullptr || (payload == nullptr && len != 0)) [[unlikely]]
    return OM_ERR_BUS_INIT;
  ombus::Producer& producer = *stream->producer;
  if (stream->Superseded()) [[unlikely]]
    return OM_ERR_BUS_EPOCH_CHANGED;
  return CodeOf(producer.Publish(
      {.wal_seq = wal_seq, .payload = payload, .size = len, .type = wal_type, .flags = 0}));
}

int om_bus_stream_publish(OmBusStream* stream, uint64_t wal_seq, uint8_t wal_type,
                          const void* payload, uint16_t len) {
  const size_t size = ombus::slot_access::InOneRegister(len);
  if (stream == nullptr || payload == nullptr || stream->Renewed() ||
      !stream->producer->TryPublishShort(wal_seq, wal_type, payload, size)) [[unlikely]] {
    return PublishSlow(stream, wal_seq, wal_type, payload, len);
  }
  return 0;
}

int om_bus_stream_publish_batch(OmBusStream* stream, const OmBusRecord* records, uint32_t count) {
  if (stream == nullptr || (records == nullptr && count != 0)) return OM_ERR_BUS_INIT;
  ombus::Producer& producer = *stream->producer;
  for (uint32_t i = 0; i < count; ++i) {
    if (!Sound(records[i])) return OM_ERR_BUS_INIT;
    if (records[i].payload_len > producer.payload_max()) return OM_ERR_BUS_RECORD_TOO_LARGE;
  }
  if (stream->Superseded()) return OM_ERR_BUS_EPOCH_CHANGED;
  std::array<ombus::Record, kConvertedAtOnce> some;
  for (uint32_t done = 0; done < count;) {
    const size_t n = std::min<size_t>(kConvertedAtOnce, count - done);
    for (size_t i = 0; i < n; ++i) {
      const OmBusRecord& record = records[done + i];
      some[i] = {record.wal_seq, record.payload, record.payload_len, record.wal_type, 0};
    }
    const PublishResult result = producer.PublishBatch(std::span(some).first(n));
    if (result != PublishResult::kOk) return CodeOf(result);
    done += static_cast<uint32_t>(n);
  }
  return 0;
}

void om_bus_stream_stats(const OmBusStream* stream, OmBusStreamStats* stats) {
  if (stats == nullptr) return;
  *stats = {};
  if (stream == nullptr) return;
  const ombus::Producer& producer = *stream->producer;
  stats->head = producer.head();
  stats->min_tail = producer.min_tail();
  stats->records_published = stats->head - stream->first_head;
}

void om_bus_stream_destroy(OmBusStream* stream) { delete stream; }

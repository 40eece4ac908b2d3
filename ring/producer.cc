// The slow halves of Producer: records that are sealed or too large, batches, and the end. Finding
// room for them is in producer_room.cc, creation in producer_create.cc.
#include "ombus/producer.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "ring/byte_lock.h"
#include "ring/crc32c_inline.h"
#include "ring/fork_guard.h"
#include "ring/producer_cold.h"
#include "ring/wake.h"

namespace ombus {
namespace {

// Far enough to hide the transfer of a line from the consumer's core (17.5 against 27 ns a record
// without), near enough to be still there when it is written.
constexpr uint32_t kPrefetchAheadSlots = 8;
// The latency profile's: a line that waits long in our cache is one that the reader has to get
// back.
constexpr uint32_t kPrefetchAheadSlotsLatency = 2;

uint64_t PrefetchAheadOf(const ProducerOptions& options) {
  uint32_t slots = options.prefetch_ahead_slots;
  if (slots == kByProfile) {
    slots =
        options.profile == RingProfile::kLatency ? kPrefetchAheadSlotsLatency : kPrefetchAheadSlots;
  }
  return std::min(slots, options.capacity / slot_access::kPrefetchShareOfLap);
}

}  // namespace

// The slot's third word, with the seal over the other two and the payload where there is one.
inline __attribute__((always_inline)) uint64_t Producer::MetaOf(uint64_t wal_seq, uint8_t type,
                                                                uint16_t size,
                                                                const void* payload) const {
  const uint64_t meta = slot_access::PackMeta(type, size, 0);
  if (seal_ == nullptr) return meta;
  return meta | uint64_t{seal_(wal_seq, meta, payload, size)} << 32;
}

uint64_t Producer::MetaSlow(uint64_t wal_seq, uint8_t type, uint16_t size,
                            const void* payload) const {
  return MetaOf(wal_seq, type, size, payload);
}

// A record of any stream, sealed where it is asked for. The seal is of the caller's bytes, which
// are nearer than the slot's.
inline __attribute__((always_inline)) void Producer::WriteSealed(SlotHeader* slot,
                                                                 uint64_t position,
                                                                 uint64_t wal_seq,
                                                                 const void* payload, uint16_t size,
                                                                 uint8_t type) {
  if (seal_ == nullptr) return WriteSlot(slot, position, wal_seq, payload, size, type);
  PrefetchAhead(slot, size);
  const uint64_t meta = MetaOf(wal_seq, type, size, payload);
  slot_access::CopyPayload(slot_access::Payload(slot), payload, size);
  SealSlot(slot, position, wal_seq, meta);
}

// The ways to publish a record for which there is room.
struct Producer::Publishes {
  static PublishResult ByFunction(Producer& producer, uint64_t wal_seq, const void* payload,
                                  uint16_t size, uint8_t type) {
    const uint64_t position = producer.head_;
    SlotHeader* const slot = producer.slot_;
    producer.WriteSealed(slot, position, wal_seq, payload, size, type);
    producer.StoreHead(position + 1, producer.SlotAfter(slot));
    return PublishResult::kOk;
  }

#if defined(__x86_64__)
  // What is neither short, which is sealed where it is published, nor too long to sum in one go;
  // the others come here where room had to be found first.
  OMBUS_CLMUL_TARGET static PublishResult Long(Producer& producer, uint64_t wal_seq,
                                               const void* payload, uint16_t size, uint8_t type) {
    if (size < seal_short::kBytesEnd || size > crc32c::kLongBytesMax)
      return ByFunction(producer, wal_seq, payload, size, type);
    const uint64_t position = producer.head_;
    SlotHeader* const slot = producer.slot_;
    const auto* ahead = reinterpret_cast<const std::byte*>(slot) + producer.prefetch_ahead_bytes_;
    const uint64_t meta = slot_access::PackMeta(type, size, 0);
    const auto* bytes = static_cast<const uint8_t*>(payload);
    const uint64_t seal = crc32c::SealLongCopy(wal_seq, meta, bytes, size, slot, ahead);
    producer.Show(slot, position, wal_seq, meta | seal << 32);
    return PublishResult::kOk;
  }
#endif

  static PublishOne Resolve([[maybe_unused]] bool sealed) {
#if defined(__x86_64__)
    if (sealed && crc32c::Usable()) return Long;
#endif
    return ByFunction;
  }
};

Producer::Producer(std::unique_ptr<Cold> cold, uint64_t head)
    : head_(head),
      limit_(head),
      slots_(cold->object.memory() + cold->geometry.slots_offset()),
      mask_(cold->geometry.capacity - 1),
      slot_size_(cold->geometry.slot_size),
      plain_size_end_(
          (cold->geometry.flags & kRingFlagCrc32c) != 0 ? 0 : cold->geometry.payload_max() + 1),
      short_size_end_(std::min<uint32_t>(plain_size_end_, slot_access::kFirstLinePayloadBytes + 1)),
      prefetch_ahead_bytes_(PrefetchAheadOf(cold->options) * cold->geometry.slot_size),
      header_(cold->object.header()),
      seal_((cold->geometry.flags & kRingFlagCrc32c) != 0 ? ResolveSeal() : nullptr),
      publish_one_(Publishes::Resolve(seal_ != nullptr)),
      payload_max_(cold->geometry.payload_max()),
      epoch_(cold->epoch),
      reserved_(head - 1),
      cold_(std::move(cold)) {
  short_seal_end_ = seal_ == nullptr ? 0 : ShortSealEnd(payload_max_);
  cold_->room_end = head;
}

Producer::~Producer() { Close(); }

// In these the ring is full as far as we know, or the record is sealed, or too large.
PublishResult Producer::TryPublishSlow(uint64_t wal_seq, const void* payload, uint16_t size,
                                       uint8_t type) {
  if (size > payload_max_) return PublishResult::kTooLarge;
  if (head_ == limit_) [[unlikely]]
    return PublishFull(wal_seq, payload, size, type, 0, false);
  return publish_one_(*this, wal_seq, payload, size, type);
}

PublishResult Producer::PublishSlow(uint64_t wal_seq, const void* payload, uint16_t size,
                                    uint8_t type, uint64_t timeout_ns) {
  if (size > payload_max_) return PublishResult::kTooLarge;
  if (head_ == limit_) [[unlikely]]
    return PublishFull(wal_seq, payload, size, type, timeout_ns, true);
  return publish_one_(*this, wal_seq, payload, size, type);
}

// By itself, or each sealed record pays for the registers that a wait needs.
__attribute__((noinline)) PublishResult Producer::PublishFull(uint64_t wal_seq, const void* payload,
                                                              uint16_t size, uint8_t type,
                                                              uint64_t timeout_ns, bool wait) {
  const PublishResult room = wait ? WaitForRoomSlow(timeout_ns) : FindRoomSlow();
  if (room != PublishResult::kOk) return room;
  return publish_one_(*this, wal_seq, payload, size, type);
}

PublishResult Producer::CommitSlow(uint64_t wal_seq, uint8_t type, uint16_t size) {
  if (size > payload_max_) return PublishResult::kTooLarge;
  if (head_ != reserved_) {
    return Superseded() ? PublishResult::kClosed : PublishResult::kNotReserved;
  }
  SlotHeader* const slot = slot_;
  Show(slot, head_, wal_seq, MetaOf(wal_seq, type, size, slot_access::Payload(slot)));
  return PublishResult::kOk;
}

// Up to limit_; where the next record goes.
SlotHeader* Producer::WriteRun(uint64_t first, std::span<const Record> records) {
  const uint32_t plain_size_end = plain_size_end_;
  SlotHeader* slot = slot_;
  for (const Record& record : records) {
    if (record.size < plain_size_end) [[likely]] {
      WriteSlot(slot, first, record.wal_seq, record.payload, record.size, record.type);
    } else {
      WriteSealed(slot, first, record.wal_seq, record.payload, record.size, record.type);
    }
    ++first;
    slot = SlotAfter(slot);
  }
  return slot;
}

// We are the one who writes these; a fetch_add would lock the line.
void Producer::CountBatch(size_t records) {
  const auto log2 = static_cast<size_t>(std::bit_width(records)) - 1;
  std::atomic<uint64_t>& count = header_->batches[std::min(log2, kBatchBuckets - 1)];
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// No bit is set in all sizes together that is not in one of them: most often that is enough.
bool Producer::AllFit(std::span<const Record> records) const {
  uint32_t bits = 0;
  for (const Record& record : records) {
    bits |= record.size;
    __asm__("" : "+r"(bits));  // or it becomes vectors, of which putting together costs more
  }
  if (bits <= payload_max_) return true;
  return std::all_of(records.begin(), records.end(),
                     [this](const Record& record) { return record.size <= payload_max_; });
}

PublishResult Producer::TryPublishBatch(std::span<const Record> records, size_t* published) {
  return PublishBatch(records, 0, published);
}

PublishResult Producer::PublishBatch(std::span<const Record> records, uint64_t timeout_ns,
                                     size_t* published) {
  size_t done = 0;
  PublishResult result = AllFit(records) ? PublishResult::kOk : PublishResult::kTooLarge;
  while (done < records.size() && result == PublishResult::kOk) {
    if (head_ == limit_) {
      result = RoomSlow(timeout_ns);
      if (result != PublishResult::kOk) break;
    }
    const size_t left = records.size() - done;
    const size_t run = std::min({left, kHeadStoreEvery, static_cast<size_t>(limit_ - head_)});
    const uint64_t first = head_;
    StoreHead(first + run, WriteRun(first, records.subspan(done, run)));
    done += run;
  }
  if (done > 0) CountBatch(done);
  if (published != nullptr) *published = done;
  return result;
}

// Whether another producer of this process took the stream over, or this handle was closed.
bool Producer::Superseded() { return cold_->closed || superseded(); }

void Producer::WakeSlow() {
  WakeSleepers(*header_, cold_->object.fd());
  if (Superseded()) limit_ = head_;  // the next publish takes its slow half, which says so
}

void Producer::Close() {
  Cold& cold = *cold_;
  limit_ = head_;  // every call takes its slow half from now on
  reserved_ = head_ - 1;
  if (cold.closed) return;
  cold.closed = true;
  if (getpid() != cold.creator) return;  // a forked child's copy: the stream is the parent's
  auto active = static_cast<uint32_t>(RingState::kActive);
  if (header_->epoch.load(std::memory_order_relaxed) == epoch_) {
    // Not over kReplaced. Released after the last record: who sees the end sees all before. [state]
    header_->state.compare_exchange_strong(active, static_cast<uint32_t>(RingState::kClosed),
                                           std::memory_order_release, std::memory_order_relaxed);
  }
  if (cold.options.unlink_on_close && cold.object.OwnsName()) cold.object.Unlink();
  WakeSlow();
  ForkGuard guard;
  UnlockByte(cold.object.fd(), kProducerLockByte);
  guard.SetOwner(cold.object.fd(), false);
}

uint32_t Producer::live_consumers() const {
  uint32_t live = 0;
  for (uint32_t i = 0; i < cold_->geometry.max_consumers; ++i) {
    const ConsumerLine& line = cold_->line(i);
    if (!LineHoldsBack(line.control.load(std::memory_order_acquire))) continue;  // [join]
    if (line.pid.load(std::memory_order_acquire) == 0) continue;                 // [joined]
    if (ByteIsLocked(cold_->object.fd(), ConsumerLockByte(i))) ++live;
  }
  return live;
}

const MemoryReport& Producer::memory() const { return cold_->memory; }

uint64_t Producer::evictions() const { return cold_->evictions; }

const std::string& Producer::name() const { return cold_->options.name; }

}  // namespace ombus

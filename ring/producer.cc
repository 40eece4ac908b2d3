// The slow halves of Producer: batches, the scan of the tails, waiting, looking after consumers
// that are dead or stand still, and the end. Creation is in producer_create.cc.
#include "ombus/producer.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "ring/byte_lock.h"
#include "ring/clock.h"
#include "ring/crc32c.h"
#include "ring/fence.h"
#include "ring/producer_cold.h"
#include "ring/wake.h"

namespace ombus {
namespace {

// The phases of waiting for room, in rounds: a consumer that runs frees slots within the first two;
// one that was descheduled needs our core; one that works for long lets us sleep.
constexpr uint32_t kPauseRounds = 64;
constexpr uint32_t kLongPauseRounds = 64;
constexpr uint32_t kPausesPerLongPause = 32;
constexpr uint64_t kYieldNs = 1'000'000;
constexpr uint64_t kSleepNs = 50'000;
// Far enough to hide the transfer of a line from the consumer's core (17.5 against 27 ns a record
// without), near enough to be still there when it is written.
constexpr uint32_t kPrefetchAheadSlots = 8;
// The latency profile's: a line that waits long in our cache is one that the reader has to get
// back.
constexpr uint32_t kPrefetchAheadSlotsLatency = 2;
constexpr uint64_t kTendLinesEveryNs = 1'000'000;
constexpr uint64_t kWatchesPerStaleness = 8;

uint64_t PrefetchAheadOf(const ProducerOptions& options) {
  uint32_t slots = options.prefetch_ahead_slots;
  if (slots == kByProfile) {
    slots =
        options.profile == RingProfile::kLatency ? kPrefetchAheadSlotsLatency : kPrefetchAheadSlots;
  }
  return std::min(slots, options.capacity / slot_access::kPrefetchShareOfLap);
}

void SleepNs(uint64_t ns) {
  const struct timespec duration = {.tv_sec = 0, .tv_nsec = static_cast<long>(ns)};
  nanosleep(&duration, nullptr);
}

// How many records a consumer holds back, whatever its line says: a tail beyond head (a reader may
// see a record before head says so; or a hostile value) holds nothing, one further behind than the
// ring is long (a consumer just joining; or a hostile value) holds everything.
uint64_t LagOf(uint64_t head, uint64_t tail, uint64_t capacity) {
  const uint64_t lag = head - tail;
  if (static_cast<int64_t>(lag) < 0) return 0;
  return std::min(lag, capacity);
}

}  // namespace

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
      payload_max_(cold->geometry.payload_max()),
      epoch_(cold->epoch),
      reserved_(head - 1),
      cold_(std::move(cold)) {}

Producer::~Producer() { Close(); }

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
inline __attribute__((always_inline)) void Producer::WriteSealed(uint64_t position,
                                                                 uint64_t wal_seq,
                                                                 const void* payload, uint16_t size,
                                                                 uint8_t type) {
  if (seal_ == nullptr) return WriteSlot(position, wal_seq, payload, size, type);
  SlotHeader* slot = SlotAt(position);
  PrefetchAhead(slot, size);
  const uint64_t meta = MetaOf(wal_seq, type, size, payload);
  slot_access::CopyPayload(slot_access::Payload(slot), payload, size);
  SealSlot(slot, position, wal_seq, meta);
}

// In these three the ring is full as far as we know, or the record is sealed, or too large.
PublishResult Producer::TryPublishSlow(uint64_t wal_seq, const void* payload, uint16_t size,
                                       uint8_t type) {
  if (size > payload_max_) return PublishResult::kTooLarge;
  if (head_ == limit_) {
    const PublishResult room = FindRoomSlow();
    if (room != PublishResult::kOk) return room;
  }
  WriteSealed(head_, wal_seq, payload, size, type);
  StoreHead(head_ + 1);
  return PublishResult::kOk;
}

PublishResult Producer::PublishSlow(uint64_t wal_seq, const void* payload, uint16_t size,
                                    uint8_t type, uint64_t timeout_ns) {
  if (size > payload_max_) return PublishResult::kTooLarge;
  if (head_ == limit_) {
    const PublishResult room = WaitForRoomSlow(timeout_ns);
    if (room != PublishResult::kOk) return room;
  }
  WriteSealed(head_, wal_seq, payload, size, type);
  StoreHead(head_ + 1);
  return PublishResult::kOk;
}

PublishResult Producer::CommitSlow(uint64_t wal_seq, uint8_t type, uint16_t size) {
  if (size > payload_max_) return PublishResult::kTooLarge;
  if (head_ != reserved_) {
    return Superseded() ? PublishResult::kClosed : PublishResult::kNotReserved;
  }
  SlotHeader* slot = SlotAt(head_);
  SealSlot(slot, head_, wal_seq, MetaOf(wal_seq, type, size, slot_access::Payload(slot)));
  StoreHead(head_ + 1);
  return PublishResult::kOk;
}

void Producer::WriteRun(uint64_t first, std::span<const Record> records) {
  const uint32_t plain_size_end = plain_size_end_;
  for (const Record& record : records) {
    if (record.size < plain_size_end) [[likely]] {
      WriteSlot(first, record.wal_seq, record.payload, record.size, record.type);
    } else {
      WriteSealed(first, record.wal_seq, record.payload, record.size, record.type);
    }
    ++first;
  }
}

PublishResult Producer::RoomSlow(uint64_t timeout_ns) {
  return timeout_ns == 0 ? FindRoomSlow() : WaitForRoomSlow(timeout_ns);
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
    WriteRun(first, records.subspan(done, run));
    StoreHead(first + run);
    done += run;
  }
  if (done > 0) CountBatch(done);
  if (published != nullptr) *published = done;
  return result;
}

// Whether another producer of this process took the stream over, or this handle was closed.
bool Producer::Superseded() {
  if (cold_->closed) return true;
  const auto state = static_cast<RingState>(header_->state.load(std::memory_order_relaxed));
  return state != RingState::kActive || header_->epoch.load(std::memory_order_relaxed) != epoch_;
}

// By how much the slowest live consumer lags.
uint64_t Producer::LagMax() const {
  uint64_t lag_max = 0;
  for (uint32_t i = 0; i < cold_->geometry.max_consumers; ++i) {
    const ConsumerLine& line = cold_->line(i);
    // Free or evicted: its reads of the slots are over, or will be found out. [leave]
    // Live: the tail we read is no older than the one it announced itself with. [join]
    if (!LineHoldsBack(line.control.load(std::memory_order_acquire))) continue;
    const uint64_t tail = line.tail.load(std::memory_order_acquire);  // pairs with StoreTail [tail]
    lag_max = std::max(lag_max, LagOf(head_, tail, mask_ + 1));
  }
  return lag_max;
}

uint64_t Producer::min_tail() const { return head_ - LagMax(); }

// The scan. A joiner announces itself in its line, fences, and reads head again; we have stored
// head, fence, and read the lines: either we see it or it starts at our head. [join] The same fence
// stands between an eviction and the overwriting of what the evicted may be reading. [evict]
bool Producer::RefreshLimit() {
  FullFence();
  const uint64_t capacity = mask_ + 1;
  const uint64_t lag_max = LagMax();
  header_->min_tail.store(head_ - lag_max, std::memory_order_relaxed);
  if (lag_max > header_->occupancy_max.load(std::memory_order_relaxed)) {
    header_->occupancy_max.store(lag_max, std::memory_order_relaxed);
  }
  uint64_t room = capacity - lag_max;
  // Not beyond the epoch's first lap before its end, so that the scan there sees who joined at the
  // epoch's start meanwhile. [join]
  const uint64_t lap_left = cold_->first_lap_end - head_;
  if (lap_left - 1 < capacity) room = std::min(room, lap_left);
  room = std::min(room, cold_->scan_every);
  if (room > limit_ - head_) limit_ = head_ + room;
  return head_ != limit_;
}

PublishResult Producer::FindRoomSlow() {
  if (Superseded()) return PublishResult::kClosed;
  if (RefreshLimit()) {
    WatchLinesWhenDue();
    return PublishResult::kOk;
  }
  header_->stalls.fetch_add(1, std::memory_order_relaxed);
  TendLinesWhenDue(NowNs());
  return RefreshLimit() ? PublishResult::kOk : PublishResult::kFull;
}

PublishResult Producer::WaitForRoom(uint64_t timeout_ns) {
  if (head_ != limit_) return PublishResult::kOk;
  return WaitForRoomSlow(timeout_ns);
}

PublishResult Producer::WaitForRoomSlow(uint64_t timeout_ns) {
  if (Superseded()) return PublishResult::kClosed;
  if (RefreshLimit()) {
    WatchLinesWhenDue();
    return PublishResult::kOk;
  }
  header_->stalls.fetch_add(1, std::memory_order_relaxed);
  const uint64_t start_ns = NowNs();
  uint64_t told_ns = start_ns;
  for (uint32_t round = 0; round < kPauseRounds && !RefreshLimit(); ++round) CpuRelax();
  PublishResult result = PublishResult::kOk;
  for (uint32_t round = 0; !RefreshLimit(); ++round) {
    const uint64_t now_ns = NowNs();
    // Not at the end: who waits for ever is who is looked for.
    header_->stalled_ns.fetch_add(now_ns - std::exchange(told_ns, now_ns),
                                  std::memory_order_relaxed);
    TendLinesWhenDue(now_ns);  // before the end, too: for callers whose timeouts are short
    const bool over = now_ns - start_ns >= timeout_ns;
    if (over || Superseded()) {
      if (!over) {
        result = PublishResult::kClosed;
      } else if (!RefreshLimit()) {
        result = PublishResult::kTimedOut;
      }
      break;
    }
    BackOff(round, now_ns - start_ns);
  }
  header_->stalled_ns.fetch_add(NowNs() - told_ns, std::memory_order_relaxed);
  return result;
}

void Producer::BackOff(uint32_t round, uint64_t waited_ns) {
  if (round < kLongPauseRounds) {
    for (uint32_t i = 0; i < kPausesPerLongPause; ++i) CpuRelax();
    return;
  }
  if (round == kLongPauseRounds && cold_->options.backpressure != nullptr) {
    cold_->options.backpressure(head_, header_->min_tail.load(std::memory_order_relaxed),
                                cold_->options.backpressure_context);
  }
  if (waited_ns < kYieldNs) {
    sched_yield();
  } else {
    SleepNs(kSleepNs);
  }
}

void Producer::TendLinesWhenDue(uint64_t now_ns) {
  const uint64_t staleness_ns = cold_->options.staleness_ns;
  const uint64_t every_ns =
      staleness_ns != 0 ? std::min(staleness_ns, kTendLinesEveryNs) : kTendLinesEveryNs;
  if (now_ns - cold_->tended_ns < every_ns) return;
  cold_->tended_ns = now_ns;
  for (uint32_t i = 0; i < cold_->geometry.max_consumers; ++i) TendLine(i, now_ns);
}

// Not blocked: so that who will be in the way for having stopped has been asked before. Only where
// there is something to read; who sleeps for want of that was not woken yet.
void Producer::WatchLinesWhenDue() {
  const uint64_t staleness_ns = cold_->options.staleness_ns;
  if (staleness_ns == 0) return;
  const uint64_t now_ns = NowNs();
  if (now_ns - cold_->watched_ns < staleness_ns / kWatchesPerStaleness) return;
  cold_->watched_ns = now_ns;
  for (uint32_t i = 0; i < cold_->geometry.max_consumers; ++i) {
    const ConsumerLine& line = cold_->line(i);
    const uint64_t control = line.control.load(std::memory_order_relaxed);
    const uint64_t tail = line.tail.load(std::memory_order_relaxed);
    if (!LineHoldsBack(control) || LagOf(head_, tail, mask_ + 1) == 0) continue;
    (void)Unpolled(i, control, tail, now_ns);
  }
}

// For how long a line that holds us back has polled nothing, as far as we know; asks it for its
// tail, which the next poll answers.
uint64_t Producer::Unpolled(uint32_t index, uint64_t control, uint64_t tail, uint64_t now_ns) {
  LineWatch& watch = cold_->watches[index];
  const uint64_t generation = control & ~kLineStateMask;
  const bool asked = (control & kLineStateMask) == kLineUrged;
  if (asked && watch.since_ns != 0 && watch.control == generation && watch.tail == tail) {
    return now_ns - watch.since_ns;
  }
  watch = {.control = generation, .tail = tail, .since_ns = now_ns};
  if (!asked) {
    ConsumerLine& line = cold_->line(index);
    (void)line.control.compare_exchange_strong(control, generation | kLineUrged,
                                               std::memory_order_relaxed);
  }
  return 0;
}

// One line, when we are blocked: free it if its owner is dead, evict it if it has stood still for
// too long, else ask it to store its tail.
void Producer::TendLine(uint32_t index, uint64_t now_ns) {
  const uint64_t capacity = mask_ + 1;
  ConsumerLine& line = cold_->line(index);
  uint64_t control = line.control.load(std::memory_order_relaxed);
  const uint64_t tail = line.tail.load(std::memory_order_relaxed);
  if (!LineHoldsBack(control) || LagOf(head_, tail, capacity) < capacity) return;

  // If a successor claims the line in between, its generation makes the exchange fail.
  if (!ByteIsLocked(cold_->object.fd(), ConsumerLockByte(index))) {
    const uint64_t free = control & ~kLineStateMask;
    if (line.control.compare_exchange_strong(control, free, std::memory_order_relaxed)) {
      header_->reclaimed.fetch_add(1, std::memory_order_relaxed);
    }
    return;
  }

  const uint64_t staleness_ns = cold_->options.staleness_ns;
  const uint64_t unpolled_ns = Unpolled(index, control, tail, now_ns);
  if (staleness_ns == 0 || unpolled_ns < staleness_ns) return;
  line.evict_position.store(head_, std::memory_order_relaxed);
  const uint64_t evicted = (control & ~kLineStateMask) | static_cast<uint64_t>(LineState::kEvicted);
  // Nothing of its is overwritten before the next scan, which fences. [evict]
  if (line.control.compare_exchange_strong(control, evicted, std::memory_order_relaxed)) {
    header_->evictions.fetch_add(1, std::memory_order_relaxed);
    ++cold_->evictions;
  }
}

void Producer::WakeSlow() { WakeSleepers(*header_, cold_->object.fd()); }

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
  UnlockByte(cold.object.fd(), kProducerLockByte);
}

uint32_t Producer::live_consumers() const {
  uint32_t live = 0;
  for (uint32_t i = 0; i < cold_->geometry.max_consumers; ++i) {
    const ConsumerLine& line = cold_->line(i);
    if (!LineHoldsBack(line.control.load(std::memory_order_acquire))) continue;  // [join]
    if (line.pid.load(std::memory_order_acquire) != 0) ++live;                   // [joined]
  }
  return live;
}

const MemoryReport& Producer::memory() const { return cold_->memory; }

uint64_t Producer::evictions() const { return cold_->evictions; }

const std::string& Producer::name() const { return cold_->options.name; }

}  // namespace ombus

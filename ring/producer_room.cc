// How a Producer finds room for records: the scan of the consumers' tails, waiting, and looking
// after consumers that are dead or stand still.
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "ombus/producer.h"
#include "ring/byte_lock.h"
#include "ring/clock.h"
#include "ring/fence.h"
#include "ring/producer_cold.h"

namespace ombus {
namespace {

// The phases of waiting for room, in rounds: a consumer that runs frees slots within the first two;
// one that was descheduled needs our core; one that works for long lets us sleep.
constexpr uint32_t kPauseRounds = 64;
constexpr uint32_t kLongPauseRounds = 64;
constexpr uint32_t kPausesPerLongPause = 32;
constexpr uint64_t kYieldNs = 1'000'000;
constexpr uint64_t kSleepNs = 50'000;
constexpr uint64_t kTendLinesEveryNs = 1'000'000;
constexpr uint64_t kWatchesPerStaleness = 8;

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
  cold_->room_end = head_ + room;
  return EnterRoom();
}

// Lets the fast halves into the room that the last scan found, as far as its slots lie one after
// another. False: there is none left.
bool Producer::EnterRoom() {
  const uint64_t lap_left = mask_ + 1 - (head_ & mask_);
  limit_ = head_ + std::min(cold_->room_end - head_, lap_left);
  slot_ = SlotAt(head_);
  return head_ != limit_;
}

// Without waiting. kFull is counted as a stall.
PublishResult Producer::LookForRoom() {
  if (Superseded()) return PublishResult::kClosed;
  if (EnterRoom()) return PublishResult::kOk;
  if (RefreshLimit()) {
    WatchLinesWhenDue();
    return PublishResult::kOk;
  }
  header_->stalls.fetch_add(1, std::memory_order_relaxed);
  return PublishResult::kFull;
}

PublishResult Producer::FindRoomSlow() {
  const PublishResult found = LookForRoom();
  if (found != PublishResult::kFull) return found;
  TendLinesWhenDue(NowNs());
  return RefreshLimit() ? PublishResult::kOk : PublishResult::kFull;
}

PublishResult Producer::RoomSlow(uint64_t timeout_ns) {
  return timeout_ns == 0 ? FindRoomSlow() : WaitForRoomSlow(timeout_ns);
}

PublishResult Producer::WaitForRoom(uint64_t timeout_ns) {
  if (head_ != limit_) return PublishResult::kOk;
  return WaitForRoomSlow(timeout_ns);
}

PublishResult Producer::WaitForRoomSlow(uint64_t timeout_ns) {
  const PublishResult found = LookForRoom();
  if (found != PublishResult::kFull) return found;
  const uint64_t start_ns = NowNs();
  uint64_t told_ns = start_ns;
  for (uint32_t round = 0; round < kPauseRounds && !RefreshLimit(); ++round) CpuRelax();
  PublishResult result = PublishResult::kOk;
  for (uint32_t round = 0; !RefreshLimit(); ++round) {
    const uint64_t now_ns = NowNs();
    // Not at the end: who waits for ever is who is looked for.
    header_->stalled_ns.fetch_add(now_ns - std::exchange(told_ns, now_ns),
                                  std::memory_order_relaxed);
    if (Superseded()) {  // the readers are not ours to evict
      result = PublishResult::kClosed;
      break;
    }
    TendLinesWhenDue(now_ns);  // before the end, too: for callers whose timeouts are short
    if (now_ns - start_ns >= timeout_ns) {
      if (!RefreshLimit()) result = PublishResult::kTimedOut;
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
    (void)Unpolled(i, control, now_ns);
  }
}

// For how long a line that holds us back has polled nothing, as far as we know; asks it for its
// tail, which the next poll answers. An owner of the line that came later was not asked.
uint64_t Producer::Unpolled(uint32_t index, uint64_t control, uint64_t now_ns) {
  uint64_t& asked_ns = cold_->asked_ns[index];
  const bool asked = (control & kLineStateMask) == kLineUrged;
  if (asked && asked_ns != 0) return now_ns - asked_ns;
  asked_ns = now_ns;
  if (!asked) {
    ConsumerLine& line = cold_->line(index);
    (void)line.control.compare_exchange_strong(control, (control & ~kLineStateMask) | kLineUrged,
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
  const uint64_t unpolled_ns = Unpolled(index, control, now_ns);
  if (staleness_ns == 0 || unpolled_ns < staleness_ns) return;
  line.evict_position.store(head_, std::memory_order_relaxed);
  const uint64_t evicted = (control & ~kLineStateMask) | static_cast<uint64_t>(LineState::kEvicted);
  // Nothing of its is overwritten before the next scan, which fences. [evict]
  if (line.control.compare_exchange_strong(control, evicted, std::memory_order_relaxed)) {
    header_->evictions.fetch_add(1, std::memory_order_relaxed);
    ++cold_->evictions;
  }
}

}  // namespace ombus

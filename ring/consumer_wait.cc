// Consumer's sleeping halves: Wait, on the futex in the header, and the descriptor for those who
// wait for sockets too. See wake.h for why no wake-up is lost. And what nothing in the object tells
// whoever waits for it, asleep or not: that it has lost its name.
#include <unistd.h>

#include <algorithm>

#include "ombus/consumer.h"
#include "ring/clock.h"
#include "ring/consumer_cold.h"
#include "ring/wake.h"

namespace ombus {
namespace {

constexpr uint32_t kPausesPerLook = 16;
// A sleeper looks for itself that often, should a wake-up not come: its producer may have died
// between publishing and waking. Without the barrier a wake-up can be missed: look more often.
constexpr uint64_t kSliceNs = 10'000'000;
constexpr uint64_t kSliceWithoutBarrierNs = 1'000'000;

constexpr uint64_t kLookAtNameEveryNs = 100'000'000;
constexpr uint32_t kReadClockEvery = 64;  // checks of the name

}  // namespace

// Somebody removed the object, or it was damaged and its producer's successor took another: then no
// state of it tells its readers.
bool Consumer::Cold::LooksOrphaned() {
  const uint64_t now_ns = NowNs();
  if (now_ns - name_looked_at_ns >= kLookAtNameEveryNs) {
    name_looked_at_ns = now_ns;
    orphaned = object.LostNameToAnother();
  }
  return orphaned && !replaced;
}

void Consumer::CheckName() {
  if (++cold_->name_checks % kReadClockEvery == 0) (void)cold_->LooksOrphaned();
}

// Also by head: a published record whose slot is damaged is something to poll.
bool Consumer::WorthPolling() const {
  if (SomethingToPoll()) return true;
  return header_->head.load(std::memory_order_relaxed) - tail_ - 1 <= mask_;
}

bool Consumer::Wait(uint64_t timeout_ns, uint64_t spin_ns) {
  Release();
  if (WorthPolling() || cold_->LooksOrphaned()) return true;
  const uint64_t start_ns = NowNs();
  const uint64_t spin_end_ns = std::min(spin_ns, timeout_ns);
  while (NowNs() - start_ns < spin_end_ns) {
    for (uint32_t i = 0; i < kPausesPerLook; ++i) CpuRelax();
    if (WorthPolling()) return true;
  }
  if (!cold_->barrier_works) cold_->barrier_works = WakeBarrierWorks();
  const uint64_t slice_ns = cold_->barrier_works ? kSliceNs : kSliceWithoutBarrierNs;
  for (;;) {
    const uint64_t elapsed_ns = NowNs() - start_ns;
    if (elapsed_ns >= timeout_ns) return false;
    const uint32_t seen = header_->wake_word.load(std::memory_order_relaxed);
    AnnounceSleeper(*header_, kWaiterFutex, cold_->barrier_works);
    if (WorthPolling()) return true;
    SleepOnWakeWord(*header_, seen, std::min(slice_ns, timeout_ns - elapsed_ns));
    if (WorthPolling() || cold_->LooksOrphaned()) return true;
  }
}

Result<int> Consumer::WakeDescriptor(int lent) {
  if (cold_->wake_descriptor >= 0) return cold_->wake_descriptor;
  const char* name = cold_->object.name().c_str();
  const Result<int> fd = lent >= 0 ? Result<int>(lent) : OpenWakeDescriptor(name);
  if (!fd.ok()) return fd.status();
  const Result<int> watch = WatchForWakes(*fd, cold_->object.fd(), name);
  if (!watch.ok()) {
    if (lent < 0) close(*fd);
    return watch.status();
  }
  cold_->wake_descriptor = *fd;
  cold_->wake_watch = *watch;
  cold_->wake_lent = lent >= 0;
  return *fd;
}

bool Consumer::ArmWake() {
  Release();
  if (WorthPolling() || cold_->LooksOrphaned()) return false;
  DisarmWake();
  if (!cold_->barrier_works) cold_->barrier_works = WakeBarrierWorks();
  AnnounceSleeper(*header_, kWaiterFile, cold_->barrier_works);
  return !WorthPolling();
}

void Consumer::DisarmWake() {
  if (cold_->wake_descriptor >= 0) DrainWakeDescriptor(cold_->wake_descriptor);
}

}  // namespace ombus

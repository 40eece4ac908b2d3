// How a Consumer attaches to a ring and leaves it: a line whose lock it takes, and gives back.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "ombus/consumer.h"
#include "ring/byte_lock.h"
#include "ring/consumer_cold.h"
#include "ring/crc32c.h"
#include "ring/map_ring.h"
#include "ring/memory_tuning.h"
#include "ring/system_error.h"
#include "ring/wake.h"

namespace ombus {
namespace {

constexpr uint32_t kReleaseEveryMax = 64;
// In a run of records, nearer to head than this is near: let the producer get ahead.
constexpr uint32_t kNearRecords = 64;

// Its successor marks an object before it takes the name away from it.
Status BeingReplaced(const std::string& name) {
  return Status(StatusCode::kUnavailable,
                "open \"" + name + "\": being replaced by its producer; try again in a moment");
}

Status NoLine(const std::string& name, uint32_t max_consumers) {
  return Status(StatusCode::kResourceExhausted,
                "open \"" + name + "\": all " + std::to_string(max_consumers) +
                    " consumer lines are taken; stop a consumer, or create the stream with more "
                    "max_consumers");
}

Status LineTaken(const std::string& name, uint32_t index, uint32_t pid) {
  return Status(StatusCode::kAlreadyExists, "open \"" + name + "\": consumer index " +
                                                std::to_string(index) + " is taken by process " +
                                                std::to_string(pid) + "; choose another, or any");
}

// Slots.
uint64_t FetchAheadOf(const Geometry& geometry) {
  constexpr uint32_t kSlots = 16;
  return std::min(kSlots, geometry.capacity / slot_access::kPrefetchShareOfLap);
}

}  // namespace

Result<std::unique_ptr<Consumer>> Consumer::Open(const ConsumerOptions& options) {
  if (Status status = CheckRingName(options.name); !status.ok()) return status;
  Result<ShmObject> object = ShmObject::Open(options.name, ShmObject::Access::kReadWrite);
  if (!object.ok()) return object.status();
  auto cold = std::make_unique<Cold>();
  cold->object = std::move(*object);
  const Result<Geometry> geometry = MapRing(cold->object);
  if (!geometry.ok()) return geometry.status();
  if (cold->object.header()->state.load(std::memory_order_relaxed) ==
      static_cast<uint32_t>(RingState::kReplaced)) {
    return BeingReplaced(options.name);
  }
  cold->geometry = *geometry;
  cold->memory = TuneMemory(cold->object, geometry->total_bytes(), options.memory);
  cold->opener = getpid();
  if (options.profile == RingProfile::kThroughput) {
    cold->near_records = std::min(kNearRecords, geometry->capacity / 8);
    cold->near_wait = NearWaitFor(cold->near_records, geometry->capacity);
  }

  const bool any = options.consumer_index == kAnyConsumerIndex;
  const uint32_t lines = geometry->max_consumers;
  if (!any && options.consumer_index >= lines) {
    return Status(StatusCode::kInvalidArgument,
                  "consumer_index " + std::to_string(options.consumer_index) + ": \"" +
                      options.name + "\" has " + std::to_string(lines) + " lines");
  }
  const uint32_t first = any ? 0 : options.consumer_index;
  const uint32_t end = any ? lines : first + 1;
  for (uint32_t index = first; index < end; ++index) {
    const int error = TryLockByte(cold->object.fd(), ConsumerLockByte(index));
    if (error == 0) {
      return std::unique_ptr<Consumer>(new Consumer(std::move(cold), index, options));
    }
    if (error != EAGAIN) return SystemError("fcntl(F_OFD_SETLK)", options.name, error);
  }
  if (any) return NoLine(options.name, lines);
  return LineTaken(options.name, first, cold->line(first)->pid.load(std::memory_order_relaxed));
}

Consumer::Consumer(std::unique_ptr<Cold> cold, uint32_t index, const ConsumerOptions& options)
    : slots_(cold->object.memory() + cold->geometry.slots_offset()),
      mask_(cold->geometry.capacity - 1),
      slot_size_(cold->geometry.slot_size),
      fetch_ahead_bytes_(FetchAheadOf(cold->geometry) * cold->geometry.slot_size),
      line_(cold->line(index)),
      header_(cold->object.header()),
      seal_((cold->geometry.flags & kRingFlagCrc32c) != 0 ? ResolveSeal() : nullptr),
      fetch_ahead_slots_(FetchAheadOf(cold->geometry)),
      payload_max_(cold->geometry.payload_max()),
      index_(index),
      reject_reorder_(options.reject_reorder ||
                      (cold->geometry.flags & kRingFlagRejectReorder) != 0),
      cold_(std::move(cold)) {
  const uint32_t quarter = cold_->geometry.capacity / 4;
  release_every_ = quarter == 0 ? 1 : (quarter < kReleaseEveryMax ? quarter : kReleaseEveryMax);
  plain_size_end_ = seal_ == nullptr ? payload_max_ + 1 : 0;
  seal_check_ = ResolveSealCheck();
  short_seal_end_ = seal_ == nullptr ? 0 : ShortSealEnd(payload_max_);
  short_size_end_ = std::min<uint32_t>(plain_size_end_, slot_access::kFirstLinePayloadBytes + 1);
  epoch_ = header_->epoch.load(std::memory_order_acquire);  // [epoch]
  line_->wal_seq.store(0, std::memory_order_relaxed);
  // It holds the producer back before it has joined: live_consumers(), should it run in between, is
  // not to count it for its former owner's.
  line_->pid.store(0, std::memory_order_relaxed);
  if (options.start == ConsumerStart::kEpochStart) {
    JoinAtEpochStart();
  } else {
    Join();
  }
  line_->pid.store(static_cast<uint32_t>(getpid()), std::memory_order_release);  // [joined]
  view_ = live_;
}

Consumer::~Consumer() {
  if (cold_->wake_descriptor >= 0 && !cold_->wake_lent) close(cold_->wake_descriptor);
  if (getpid() != cold_->opener) return;  // a forked child's copy: line and watch are the parent's
  if (cold_->wake_lent) UnwatchForWakes(cold_->wake_descriptor, cold_->wake_watch);
  // After all reads of the slots. [leave]
  const uint64_t control = line_->control.load(std::memory_order_relaxed);
  line_->control.store(control & ~kLineStateMask, std::memory_order_release);
  UnlockByte(cold_->object.fd(), ConsumerLockByte(index_));
}

}  // namespace ombus

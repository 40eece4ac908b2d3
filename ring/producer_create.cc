// Producer::Create: who may own a name, and what becomes of the object found under it.
//
//   lock held by a live producer elsewhere -> refused
//   lock held by this very process         -> it is marked replaced, a new object takes the name
//   lock had, same geometry, sound         -> taken over in place, readers keep their positions
//   lock had, anything else of ours        -> a new object takes the name
//
// The lock counts only while the name still leads to the locked object; else all begins anew.
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "ombus/producer.h"
#include "ring/byte_lock.h"
#include "ring/clock.h"
#include "ring/fence.h"
#include "ring/fork_guard.h"
#include "ring/map_ring.h"
#include "ring/memory_tuning.h"
#include "ring/producer_cold.h"
#include "ring/producers_created.h"
#include "ring/system_error.h"
#include "ring/wake.h"

namespace ombus {
namespace {

// Each attempt fails only if somebody else created or removed the name in the same instant.
constexpr int kCreateAttemptsMax = 100;

constexpr uint32_t StateWord(RingState state) { return static_cast<uint32_t>(state); }

// What the kernel gave this process at its start, which no reboot repeats, and the time since boot,
// which this process does not repeat: for where getrandom is refused, or has nothing yet.
uint64_t EpochWithoutEntropy() {
  uint64_t word = 0;
  const auto* at_start = reinterpret_cast<const std::byte*>(getauxval(AT_RANDOM));
  if (at_start != nullptr) std::memcpy(&word, at_start, sizeof word);
  return word + NowNs() * 0x9E3779B97F4A7C15u;
}

uint64_t RandomEpoch(uint64_t previous) {
  uint64_t epoch = 0;
  while (epoch == 0 || epoch == previous) {
    if (getrandom(&epoch, sizeof epoch, GRND_NONBLOCK) != sizeof epoch) {
      epoch = EpochWithoutEntropy();
    }
  }
  return epoch;
}

// Epoch last: who sees the new epoch sees what goes with it. Pairs with PollSlow. The position is
// released, too: who joins at it sees a head that is not behind it. Pairs with JoinAtEpochStart.
// [epoch]
void BeginEpoch(RingHeader& header, uint64_t epoch, uint64_t position, RingState state) {
  header.epoch_position.store(position, std::memory_order_release);
  header.state.store(StateWord(state), std::memory_order_release);
  header.epoch.store(epoch, std::memory_order_release);
}

void MarkOwned(RingHeader& header) {
  header.producer_pid.store(static_cast<uint32_t>(getpid()), std::memory_order_relaxed);
}

// A dead producer may have published records after it last stored head. What is in them is for the
// readers, who look at seq themselves.
uint64_t RecoverHead(const ShmObject& object, const Geometry& geometry) {
  uint64_t head = object.header()->head.load(std::memory_order_acquire);  // [head]
  const std::byte* slots = object.memory() + geometry.slots_offset();
  for (uint32_t i = 0; i < geometry.capacity; ++i) {
    const auto* slot = reinterpret_cast<const SlotHeader*>(
        slots + (head & (geometry.capacity - 1)) * geometry.slot_size);
    if (slot->seq.load(std::memory_order_relaxed) != head + 1) break;
    ++head;
  }
  return head;
}

// So that readers look at the epoch: they look at their line with every record, and at the epoch
// only if that is not as it was. Who joins after our looks here begins with one at the epoch, and
// both fence in between. An exchange also where it was urged already: who answers it, thinking of
// another's asking, has seen the new epoch then, which the fence releases. [epoch]
void UrgeReaders(const ShmObject& object, const Geometry& geometry) {
  FullFence();
  for (uint32_t i = 0; i < geometry.max_consumers; ++i) {
    ConsumerLine& line = LineAt(object, geometry, i);
    uint64_t control = line.control.load(std::memory_order_relaxed);
    while (LineHoldsBack(control) &&
           !line.control.compare_exchange_strong(control, (control & ~kLineStateMask) | kLineUrged,
                                                 std::memory_order_relaxed)) {
    }
  }
}

// The object no longer has the name: its readers drain it and open the other one.
void MarkReplaced(const ShmObject& object, const Geometry& geometry) {
  RingHeader& header = *object.header();
  BeginEpoch(header, RandomEpoch(header.epoch.load(std::memory_order_relaxed)),
             RecoverHead(object, geometry), RingState::kReplaced);
  UrgeReaders(object, geometry);
  WakeSleepers(header, object.fd());
  // Whoever still publishes here, another thread, looks at that word with each record.
  header.waiters.fetch_or(kReplacer, std::memory_order_relaxed);
}

// Readers that died with the former producer count no longer. As TendLine, before there is a limit.
void FreeDeadLines(const ShmObject& object, const Geometry& geometry) {
  for (uint32_t i = 0; i < geometry.max_consumers; ++i) {
    ConsumerLine& line = LineAt(object, geometry, i);
    uint64_t control = line.control.load(std::memory_order_relaxed);
    if (!LineHoldsBack(control) || ByteIsLocked(object.fd(), ConsumerLockByte(i))) continue;
    const uint64_t free = control & ~kLineStateMask;
    if (line.control.compare_exchange_strong(control, free, std::memory_order_relaxed)) {
      object.header()->reclaimed.fetch_add(1, std::memory_order_relaxed);
    }
  }
}

// As stored, whatever the header says a moment later.
struct Begun {
  uint64_t head = 0, epoch = 0;
};

Begun ResumeInPlace(const ShmObject& object, const Geometry& geometry) {
  RingHeader& header = *object.header();
  FreeDeadLines(object, geometry);
  const uint64_t head = RecoverHead(object, geometry);
  header.head.store(head, std::memory_order_release);  // [head]
  MarkOwned(header);
  const uint64_t epoch = RandomEpoch(header.epoch.load(std::memory_order_relaxed));
  BeginEpoch(header, epoch, head, RingState::kActive);
  UrgeReaders(object, geometry);
  WakeSleepers(header, object.fd());
  return {head, epoch};
}

Result<Begun> FillFresh(ShmObject& object, const Geometry& geometry, uint32_t permissions) {
  if (Status status = object.Reserve(geometry.total_bytes(), permissions); !status.ok()) {
    return status;
  }
  if (Status status = object.Map(geometry.total_bytes()); !status.ok()) return status;
  RingHeader& header = *object.header();
  WriteGeometry(geometry, header);
  std::memcpy(header.name, object.name().c_str(), object.name().size() + 1);
  MarkOwned(header);
  const uint64_t epoch = RandomEpoch(0);
  BeginEpoch(header, epoch, 0, RingState::kActive);
  header.magic.store(kRingMagic, std::memory_order_release);  // pairs with ReadGeometry [create]
  return Begun{0, epoch};
}

// Somebody holds the producer's lock. Ok: it was this process, and the name is free again.
Status DisplaceOwner(ShmObject& object) {
  const std::string prefix = "create \"" + object.name() + "\": ";
  const Result<Geometry> geometry = MapRing(object);
  if (geometry.status().code() == StatusCode::kUnavailable) return geometry.status();
  if (!geometry.ok()) {
    return Status(StatusCode::kAlreadyExists, prefix + "a live producer holds it (" +
                                                  geometry.status().message() +
                                                  "); stop that one or use another name");
  }
  if (!ForkGuard().OwnsObjectOf(object.fd())) {
    const uint32_t owner = object.header()->producer_pid.load(std::memory_order_relaxed);
    return Status(StatusCode::kAlreadyExists, prefix + "a live producer owns it, process " +
                                                  std::to_string(owner) +
                                                  "; stop that one or use another name");
  }
  MarkReplaced(object, *geometry);
  // Not a name that another took since this object was opened, which only a race brings about.
  if (object.OwnsName()) object.Unlink();
  return Status();
}

// Whether an object that is no sound ring may be taken for the remains of one: what a creator left
// that was killed (marked, and without magic), or a ring of this version that was damaged. Anything
// else is somebody's, who may still use it: many objects begin with zeros, and a ring of another
// version locks nothing.
Status CheckOurs(const ShmObject& object) {
  const std::string prefix = "create \"" + object.name() + "\": ";
  const std::string cure =
      "; choose another name, or remove " + object.path() + " if nobody needs it";
  uint32_t words[2] = {0, 0};  // magic and version
  const ssize_t got = pread(object.fd(), words, sizeof words, 0);
  if (got < 0) return SystemError("pread", object.name(), errno);
  if (words[0] == 0 && object.BeingCreated()) return Status();
  if (words[0] != kRingMagic) {
    return Status(StatusCode::kAlreadyExists,
                  prefix + "an object that is no ring has that name" + cure);
  }
  if (words[1] == kRingVersion) return Status();
  return Status(StatusCode::kVersionMismatch, prefix + "a ring of memory format version " +
                                                  std::to_string(words[1]) +
                                                  " has that name, this program speaks version " +
                                                  std::to_string(kRingVersion) + cure);
}

// Whether that an object could not be mapped as a ring is due to the object. Where it is our limits
// that forbid it, the stream is left to a successor with better ones.
bool SaysWhatItIs(const Status& failure) {
  return failure.code() == StatusCode::kUnavailable || failure.code() == StatusCode::kCorrupt ||
         failure.code() == StatusCode::kVersionMismatch;
}

// An object whose lock is ours. True: it is ready. False: it was moved out of the way.
Result<bool> AdoptOrDiscard(ShmObject& object, const Geometry& wanted, uint32_t permissions,
                            Begun* begun) {
  if (object.file_bytes() == 0) {
    const Result<Begun> filled = FillFresh(object, wanted, permissions);
    if (!filled.ok()) {
      // Another user's empty file stays.
      if (filled.status().code() != StatusCode::kPermissionDenied) object.Unlink();
      return filled.status();
    }
    *begun = *filled;
    return true;
  }
  const Result<Geometry> found = MapRing(object);
  if (found.ok()) {
    const uint32_t state = object.header()->state.load(std::memory_order_relaxed);
    const bool alive =
        state == StateWord(RingState::kActive) || state == StateWord(RingState::kClosed);
    if (*found == wanted && alive) {
      *begun = ResumeInPlace(object, wanted);
      return true;
    }
    MarkReplaced(object, *found);
  } else if (!SaysWhatItIs(found.status())) {
    return found.status();
  } else if (Status foreign = CheckOurs(object); !foreign.ok()) {
    return foreign;
  }
  object.Unlink();
  return false;
}

uint32_t FlagsOf(const ProducerOptions& options) {
  return (options.crc32c ? kRingFlagCrc32c : 0) |
         (options.reject_reorder ? kRingFlagRejectReorder : 0);
}

// Who stops is to be found standing before it is in the way, so where that matters twice a lap. A
// small ring fills too soon to gain by that.
uint64_t ScanEvery(const ProducerOptions& options) {
  constexpr uint64_t kCapacityMin = 64;
  const bool once = options.staleness_ns == 0 || options.capacity < kCapacityMin;
  return once ? options.capacity : options.capacity / 2;
}

Status CheckOptions(const ProducerOptions& options, const Geometry& geometry) {
  if (Status status = CheckRingName(options.name); !status.ok()) return status;
  if ((options.permissions & ~uint32_t{0777}) != 0) {
    return Status(StatusCode::kInvalidArgument, "permissions: must be from 0 to 0777 (octal)");
  }
  if (options.prefetch_ahead_slots != kByProfile &&
      options.prefetch_ahead_slots > kPrefetchAheadSlotsMax) {
    return Status(StatusCode::kInvalidArgument, "prefetch_ahead_slots " +
                                                    std::to_string(options.prefetch_ahead_slots) +
                                                    ": must be from 0 to 64, or kByProfile");
  }
  return CheckGeometry(geometry);
}

// Opens or creates the object and makes it ours.
Result<ShmObject> Acquire(const ProducerOptions& options, const Geometry& geometry, Begun* begun) {
  for (int attempt = 0; attempt < kCreateAttemptsMax; ++attempt) {
    Result<ShmObject> opened = ShmObject::OpenOrCreate(options.name, options.permissions);
    if (!opened.ok()) return opened.status();
    ShmObject& object = *opened;
    const int error = TryLockByte(object.fd(), kProducerLockByte);
    if (error == EAGAIN) {
      if (Status status = DisplaceOwner(object); !status.ok()) return status;
      continue;
    }
    if (error != 0) return SystemError("fcntl(F_OFD_SETLK)", options.name, error);
    if (!object.OwnsName()) continue;
    // What was empty when it was opened may have had a producer since, that lived and died.
    if (Status status = object.ReadSize(); !status.ok()) return status;
    const bool fresh = object.file_bytes() == 0;
    Result<bool> ready = AdoptOrDiscard(object, geometry, options.permissions, begun);
    if (!ready.ok()) return ready.status();
    if (!*ready) continue;
    // Not before: another thread of this process that wants the name is to find a whole stream.
    ForkGuard().SetOwner(object.fd(), true);
    // The umask had its say at creation; the caller has the last word. On an object taken over,
    // that belongs to another user, its mode stays.
    if (Status status = object.SetPermissions(options.permissions); !status.ok() && fresh) {
      return status;
    }
    return std::move(object);
  }
  return Status(StatusCode::kUnavailable,
                "create \"" + options.name + "\": others keep creating it; use another name");
}

}  // namespace

Result<std::unique_ptr<Producer>> Producer::Create(const ProducerOptions& given) {
  ProducerOptions options = given;
  options.capacity = CapacityOf(given.capacity, given.slot_size);
  const Geometry geometry = {.capacity = options.capacity,
                             .slot_size = options.slot_size,
                             .max_consumers = options.max_consumers,
                             .flags = FlagsOf(options)};
  if (Status status = CheckOptions(options, geometry); !status.ok()) return status;
  RegisterForWakeBarrier();
  Begun begun;
  Result<ShmObject> object = Acquire(options, geometry, &begun);
  NoteProducerCreated();  // also where an attempt failed that has superseded somebody
  if (!object.ok()) return object.status();
  auto cold = std::make_unique<Cold>();
  cold->options = options;
  cold->geometry = geometry;
  cold->object = std::move(*object);
  cold->memory = TuneMemory(cold->object, geometry.total_bytes(), options.memory);
  cold->asked_ns.resize(geometry.max_consumers);
  cold->creator = getpid();
  cold->first_lap_end = begun.head + geometry.capacity;
  cold->scan_every = ScanEvery(options);
  cold->epoch = begun.epoch;
  return std::unique_ptr<Producer>(new Producer(std::move(cold), begun.head));
}

}  // namespace ombus

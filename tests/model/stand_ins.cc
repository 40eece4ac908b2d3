// What the ring asks of the system, in the model: one object in plain memory, its byte locks, no
// huge pages, and a seal that is no CRC.
#include <cstdarg>

#include "ring/byte_lock.h"
#include "ring/crc32c.h"
#include "ring/fork_guard.h"
#include "ring/map_ring.h"
#include "ring/memory_tuning.h"
#include "ring/producers_created.h"
#include "ring/shm_object.h"
#include "ring/system_error.h"
#include "tests/model/world.h"

namespace ombus {

// --- Byte locks: an object's fd is its owner's number
// ---------------------------------------------

namespace {

int LockOf(int64_t byte) {
  return byte == kProducerLockByte
             ? 0
             : 1 + static_cast<int>((byte - kHeaderPageBytes) / kConsumerLineBytes);
}

}  // namespace

int TryLockByte(int fd, int64_t byte) { return model::TryLock(LockOf(byte), fd) ? 0 : EAGAIN; }
void UnlockByte(int fd, int64_t byte) { model::Unlock(LockOf(byte), fd); }
bool ByteIsLocked(int fd, int64_t byte) { return model::Locked(LockOf(byte), fd); }

void NoteProducerCreated() {}  // nobody of the model looks

ForkGuard::ForkGuard() {}
ForkGuard::~ForkGuard() {}
void ForkGuard::SetOwner(int, bool) {}
bool ForkGuard::OwnsObjectOf(int) { return true; }  // who replaces somebody is of his process

// --- The object
// -----------------------------------------------------------------------------------

ShmObject& ShmObject::operator=(ShmObject&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  std::swap(file_bytes_, other.file_bytes_);
  std::swap(memory_, other.memory_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  return *this;
}

ShmObject::~ShmObject() {
  if (fd_ < 0) return;
  for (int lock = 0; lock < model::kLocksMax; ++lock) model::Unlock(lock, fd_);
}

Result<ShmObject> ShmObject::OpenOrCreate(const std::string& name, uint32_t /*permissions*/) {
  if (model::world.unlinked) return Status(StatusCode::kNotFound, "unlinked");
  ShmObject object;
  object.name_ = name;
  object.fd_ = model::NextOwner();
  object.file_bytes_ = model::world.bytes;
  object.memory_ = reinterpret_cast<std::byte*>(model::world.ring);
  return object;
}
Result<ShmObject> ShmObject::Open(const std::string& name, Access /*access*/) {
  return OpenOrCreate(name, 0);
}

Status ShmObject::ReadSize() { return Status(); }
Status ShmObject::SetPermissions(uint32_t) { return Status(); }
Status ShmObject::Reserve(uint64_t bytes, uint32_t) {
  file_bytes_ = model::world.bytes = bytes;
  return Status();
}
Status ShmObject::Map(uint64_t bytes) {
  mapped_bytes_ = bytes;
  return Status();
}
std::string ShmObject::path() const { return name_; }
bool ShmObject::OnHugePages() const { return false; }
bool ShmObject::OwnsName() const { return true; }
bool ShmObject::LostNameToAnother() const { return false; }
void ShmObject::Unlink() const { model::world.unlinked = true; }

Result<Geometry> MapRing(ShmObject& object) {
  return ReadGeometry(*object.header(), model::kRingBytes, object.name());
}

// --- The rest ------------------------------------------------------------------------------------

MemoryReport TuneMemory(const ShmObject&, uint64_t, const MemoryOptions&) { return MemoryReport(); }

Status SystemError(std::string_view call, std::string_view, int, std::string_view) {
  return Status(StatusCode::kInternal, std::string(call));
}

namespace model {

namespace {

// The end of a time slice is no wake-up: who sleeps is to be woken, or it never goes on.
long Futex(Place place, const void* word, int operation, uint32_t value) {
  if (operation == FUTEX_WAKE) {
    WakeAll(place);
    return 0;
  }
  SleepOn(word, value);
  BeginAction(kWait);  // another round
  return 0;
}

}  // namespace

long Syscall(Place place, long number, long argument, ...) {
  if (number == SYS_futex) {
    std::va_list rest;
    va_start(rest, argument);
    const int operation = va_arg(rest, int);
    const auto value = va_arg(rest, unsigned);
    va_end(rest);
    return Futex(place, reinterpret_cast<const void*>(argument), operation, value);
  }
  if (argument == MEMBARRIER_CMD_QUERY) return MEMBARRIER_CMD_GLOBAL_EXPEDITED;
  if (argument != MEMBARRIER_CMD_GLOBAL_EXPEDITED) return 0;
  FenceEverywhere(place);
  BeginAction(ActionNow() == kWait ? kLastLookOfWait : kLastLookOfArm);
  return 0;
}

ssize_t WriteThroughFile(const void*, size_t bytes) {
  world.woken = true;
  return static_cast<ssize_t>(bytes);
}

}  // namespace model

uint32_t ShortSealEnd(uint32_t) { return 0; }

SealFunction ResolveSeal() {
  return [](uint64_t wal_seq, uint64_t meta, const void* payload, size_t size) {
    uint64_t words[2] = {};
    std::memcpy(words, payload, size);
    return static_cast<uint32_t>(model::Mix(wal_seq ^ meta, words[0] ^ words[1]));
  };
}

}  // namespace ombus

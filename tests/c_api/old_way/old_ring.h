// OldRing: a ring built the old way, in miniature, with the defects that
// tests/c_api/defects_test.cc shows: what each of them does here, ombus must not.
//
// Threads: one at a time.
#ifndef OMBUS_TESTS_C_API_OLD_WAY_OLD_RING_H_
#define OMBUS_TESTS_C_API_OLD_WAY_OLD_RING_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace ombus::old_way {

struct OldRecord {
  uint64_t wal_seq = 0;
  uint16_t size = 0;
  const char* payload = nullptr;
};

class OldRing {
 public:
  static constexpr uint64_t kCapacity = 4;
  static constexpr size_t kSlotBytes = 64, kConsumers = 2;

  struct Slot {
    uint64_t seq, wal_seq;
    uint16_t size;
    char payload[kSlotBytes - 18];
  };
  struct Memory {
    uint64_t epoch, head;
    uint64_t tail[kConsumers];
    bool stale[kConsumers];
    Slot slots[kCapacity];
    char room[64 << 10];  // as a real one's, of more than a page
  };
  static constexpr size_t kCleared = offsetof(Memory, room);

  // Defect 1: takes what is there for its own, and clears it. Defect 2: gives the object a size,
  // but no memory.
  static OldRing Create(const std::string& name, uint64_t clock_ns) {
    OldRing ring(shm_open(name.c_str(), O_CREAT | O_RDWR, 0600));
    if (ftruncate(ring.fd_, sizeof(Memory)) != 0) abort();
    ring.Map();
    std::memset(static_cast<void*>(ring.memory_), 0, kCleared);
    ring.memory_->epoch = clock_ns;  // defect 9: after a reboot the clock says the same again
    return ring;
  }
  OldRing(OldRing&& other) noexcept : fd_(other.fd_), memory_(other.memory_) {
    other.fd_ = -1;
    other.memory_ = nullptr;
  }
  ~OldRing() {
    if (memory_ != nullptr) munmap(memory_, sizeof(Memory));
    if (fd_ >= 0) close(fd_);
  }

  // False: it would wait now, and for ever if that does not change.
  bool TryPublish(uint64_t wal_seq, const std::string& payload) {
    if (memory_->head - MinTail() >= kCapacity) return false;
    Slot& slot = memory_->slots[memory_->head % kCapacity];
    slot.wal_seq = wal_seq;
    slot.size = static_cast<uint16_t>(payload.size());
    std::memcpy(slot.payload, payload.data(), payload.size());
    slot.seq = ++memory_->head;
    return true;
  }

  // Defect 6: the room is given up while the record is still to be read. Defect 7: the size is
  // taken as it is. Defect 5: a slot of a later lap counts as not written yet.
  bool Poll(size_t consumer, OldRecord* record) {
    const uint64_t tail = memory_->tail[consumer];
    const Slot& slot = memory_->slots[tail % kCapacity];
    if (slot.seq != tail + 1) return false;
    memory_->tail[consumer] = tail + 1;
    *record = {slot.wal_seq, slot.size, slot.payload};
    return true;
  }

  // Defect 11: a count, and nobody looks at the sequences.
  size_t PollBatch(size_t consumer, OldRecord* records, size_t max) {
    size_t count = 0;
    while (count < max && Poll(consumer, &records[count])) ++count;
    return count;
  }

  void MarkStale(size_t consumer) { memory_->stale[consumer] = true; }
  Memory& memory() { return *memory_; }
  int fd() const { return fd_; }

 private:
  explicit OldRing(int fd) : fd_(fd) {
    if (fd < 0) abort();
  }
  void Map() {
    void* memory = mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory == MAP_FAILED) abort();
    memory_ = static_cast<Memory*>(memory);
  }

  // Defect 3: without any consumer that counts, the slowest is at 0. Defect 4: a line counts
  // whether anybody opened it or has left it.
  uint64_t MinTail() const {
    uint64_t min_tail = ~uint64_t{0};
    for (size_t i = 0; i < kConsumers; ++i) {
      if (!memory_->stale[i] && memory_->tail[i] < min_tail) min_tail = memory_->tail[i];
    }
    return min_tail == ~uint64_t{0} ? 0 : min_tail;
  }

  int fd_;
  Memory* memory_ = nullptr;
};

// Defect 8: the old file is gone before the new one is there.
inline bool OldSaveCursor(const std::string& path, uint64_t wal_seq) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const bool saved = fd >= 0 && write(fd, &wal_seq, sizeof wal_seq) == sizeof wal_seq;
  if (fd >= 0) close(fd);
  return saved;
}

// Defect 10: a new connection is a new beginning.
class OldReconnectingClient {
 public:
  void OnConnected() { expected_ = 0; }
  bool SeesGap(uint64_t wal_seq) {
    const bool gap = expected_ != 0 && wal_seq > expected_;
    expected_ = wal_seq + 1;
    return gap;
  }

 private:
  uint64_t expected_ = 0;
};

}  // namespace ombus::old_way

#endif  // OMBUS_TESTS_C_API_OLD_WAY_OLD_RING_H_

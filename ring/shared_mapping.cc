#include "ring/shared_mapping.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace ombus {
namespace {

struct Entry {
  MappedObject object;
  std::byte* memory = nullptr;
  pid_t populated_by = 0;  // a child of fork has the mapping, and no page of it
  uint32_t users = 0;      // 0: the entry is free. Set last and cleared first, for a child of fork
};

constinit Entry table[kSharedMappingsMax];
constinit std::atomic<pid_t> holder{0};  // of the table; 0: nobody

// A mutex that a child of fork can take although a thread of its parent, which it does not have,
// held it. [mapping]
class TableLock {
 public:
  TableLock() {
    const pid_t self = getpid();
    for (pid_t seen = 0; !holder.compare_exchange_weak(seen, self, std::memory_order_acquire);) {
      if (seen != self && seen != 0) continue;  // take it over from the parent's
      seen = 0;
      sched_yield();
    }
  }
  ~TableLock() { holder.store(0, std::memory_order_release); }  // [mapping]
  TableLock(const TableLock&) = delete;
  TableLock& operator=(const TableLock&) = delete;
};

Entry* Find(const MappedObject& object) {
  for (Entry& entry : table) {
    if (entry.users != 0 && entry.object == object) return &entry;
  }
  return nullptr;
}

}  // namespace

std::byte* JoinMapping(const MappedObject& object) {
  const TableLock lock;
  Entry* const entry = Find(object);
  if (entry == nullptr) return nullptr;
  ++entry->users;
  if (entry->populated_by != getpid()) {
    entry->populated_by = getpid();
    (void)madvise(entry->memory, entry->object.bytes, MADV_POPULATE_READ);
  }
  return entry->memory;
}

void OfferMapping(const MappedObject& object, std::byte* memory) {
  const TableLock lock;
  if (Find(object) != nullptr) return;
  for (Entry& entry : table) {
    if (entry.users != 0) continue;
    entry.object = object;
    entry.memory = memory;
    entry.populated_by = getpid();
    std::atomic_signal_fence(std::memory_order_release);  // for who forks in between [mapping]
    entry.users = 1;
    return;
  }
}

bool LeaveMapping(const std::byte* memory) {
  const TableLock lock;
  for (Entry& entry : table) {
    if (entry.users != 0 && entry.memory == memory) return --entry.users == 0;
  }
  return true;
}

}  // namespace ombus

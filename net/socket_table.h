// SocketTable: which ids are in use, and which operations each has pending with which tokens.
//
// Ids are handed out lowest-first from a free list and are indices. Each slot has a generation,
// raised when it is freed, so that a late event for an old socket is told from one for its
// successor. Slot is derived from SocketSlot by the back end. Threads: the back end's.
#ifndef OMBUS_NET_SOCKET_TABLE_H_
#define OMBUS_NET_SOCKET_TABLE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "net/backend.h"

namespace ombus::net {

inline constexpr int kOpCount = 7;

struct SocketSlot {
  int fd = -1;
  uint32_t generation = 0;
  bool open = false;
  bool closing = false;  // Close is queued: nothing new is taken
  uint8_t pending = 0;   // bit per Op
  std::array<uint64_t, kOpCount> tokens{};

  static uint8_t Bit(Op op) { return static_cast<uint8_t>(1u << static_cast<int>(op)); }
  bool has(Op op) const { return (pending & Bit(op)) != 0; }
  void Begin(Op op, uint64_t token) {
    pending |= Bit(op);
    tokens[static_cast<size_t>(op)] = token;
  }
  void End(Op op) { pending &= static_cast<uint8_t>(~Bit(op)); }
  uint64_t token(Op op) const { return tokens[static_cast<size_t>(op)]; }
};

template <typename Slot>
class SocketTable {
 public:
  explicit SocketTable(uint32_t hint) {
    slots_.reserve(hint);
    free_.reserve(hint);
  }

  SocketId Open(int fd) {
    SocketId id;
    if (free_.empty()) {
      id = static_cast<SocketId>(slots_.size());
      slots_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    slots_[static_cast<size_t>(id)].fd = fd;
    slots_[static_cast<size_t>(id)].open = true;
    return id;
  }

  void Free(SocketId id) {
    Slot fresh;
    fresh.generation = slots_[static_cast<size_t>(id)].generation + 1;
    slots_[static_cast<size_t>(id)] = fresh;
    free_.push_back(id);
  }

  // Null when there is no such open socket.
  Slot* Find(SocketId id) {
    if (id < 0 || static_cast<size_t>(id) >= slots_.size()) return nullptr;
    Slot& slot = slots_[static_cast<size_t>(id)];
    return slot.open ? &slot : nullptr;
  }

  std::vector<Slot>& slots() { return slots_; }
  const std::vector<Slot>& slots() const { return slots_; }

 private:
  std::vector<Slot> slots_;
  std::vector<SocketId> free_;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_SOCKET_TABLE_H_

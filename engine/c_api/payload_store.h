// PayloadStore: where an endpoint keeps the payloads that it hands out, until its next call. Their
// room in the ring is the producer's again by then, so they cannot stay there.
//
// Blocks are kept and used again; a payload never moves. Threads: the endpoint's.
#ifndef OMBUS_ENGINE_C_API_PAYLOAD_STORE_H_
#define OMBUS_ENGINE_C_API_PAYLOAD_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/memory_guard.h"

namespace ombus::engine {

class PayloadStore {
 public:
  // Blocks hold at least one payload of payload_max bytes.
  explicit PayloadStore(size_t payload_max)
      : payload_max_(payload_max),
        block_bytes_(payload_max + kAlign < kBlockBytesMin ? kBlockBytesMin
                                                           : payload_max + kAlign) {
    AddBlock();
  }

  // What was handed out before is given up.
  void Reset() {
    next_ = first_;
    end_ = first_ + block_bytes_;
    used_ = 1;
  }

  // Room for one payload, for who has handed out none before.
  std::byte* first() const { return first_; }

  // Makes sure of room for one more payload. False when there is no memory; never just after Reset.
  bool Prepare() {
    if (static_cast<size_t>(end_ - next_) >= payload_max_) [[likely]]
      return true;
    return NextBlock();
  }

  // Room for size bytes, at most payload_max, aligned for any struct a payload may be cast to. Only
  // where Prepare, or Reset, said that there is.
  std::byte* Take(size_t size) {
    std::byte* room = next_;
    next_ += (size + kAlign - 1) & ~(kAlign - 1);
    return room;
  }

 private:
  static constexpr size_t kAlign = 16;
  static constexpr size_t kBlockBytesMin = 256u << 10;  // untouched memory costs nothing

  void AddBlock() {
    blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block_bytes_));
    first_ = blocks_.front().get();
    next_ = blocks_.back().get();
    end_ = next_ + block_bytes_;
    used_ = blocks_.size();
  }
  [[gnu::cold, gnu::noinline]] bool NextBlock() {
    if (used_ == blocks_.size()) return RunGuarded([this] { AddBlock(); });
    next_ = blocks_[used_++].get();
    end_ = next_ + block_bytes_;
    return true;
  }

  const size_t payload_max_;
  const size_t block_bytes_;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  size_t used_ = 0;  // blocks with payloads in them
  std::byte* first_ = nullptr;
  std::byte* next_ = nullptr;
  std::byte* end_ = nullptr;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_API_PAYLOAD_STORE_H_

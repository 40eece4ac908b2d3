// UringBuffers: the receive buffers that the kernel picks from for multishot receives, in a
// provided-buffer ring set up by hand (liburing 2.3 has no helper for it).
//
// Threads: the ring's. Must be destroyed after the ring that it is registered with.
#ifndef OMBUS_NET_URING_BUFFERS_H_
#define OMBUS_NET_URING_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "net/uring_compat.h"
#include "ombus/status.h"

namespace ombus::net {

class UringBuffers {
 public:
  static constexpr uint16_t kGroup = 0;

  UringBuffers() = default;
  ~UringBuffers();
  UringBuffers(const UringBuffers&) = delete;
  UringBuffers& operator=(const UringBuffers&) = delete;

  // count is rounded up to a power of two, at most 32768; 0 registers nothing.
  Status Register(io_uring* ring, uint32_t count, uint32_t bytes);

  bool empty() const { return count_ == 0; }
  std::span<const std::byte> Bytes(uint16_t buffer, size_t size) const {
    return {buffers_ + size_t{buffer} * buffer_bytes_, size};
  }
  void GiveBack(uint16_t buffer);

 private:
  void* memory_ = nullptr;  // the ring, then the buffers
  size_t memory_bytes_ = 0;
  io_uring_buf_ring* ring_ = nullptr;
  std::byte* buffers_ = nullptr;
  uint32_t count_ = 0, buffer_bytes_ = 0;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_URING_BUFFERS_H_

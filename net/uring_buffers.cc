#include "net/uring_buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <string>

#include "net/socket.h"

namespace ombus::net {

UringBuffers::~UringBuffers() {
  if (memory_ != nullptr) munmap(memory_, memory_bytes_);
}

Status UringBuffers::Register(io_uring* ring, uint32_t count, uint32_t bytes) {
  if (count == 0 || bytes == 0) return Status();
  count = std::bit_ceil(std::min(count, 32768u));
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t ring_bytes = (count * sizeof(io_uring_buf) + page - 1) / page * page;
  memory_bytes_ = ring_bytes + size_t{count} * bytes;
  void* memory =
      mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const std::string object = std::to_string(memory_bytes_) + " bytes of receive buffers";
  if (memory == MAP_FAILED) return SystemStatus("mmap", object, errno, "use fewer receive buffers");
  memory_ = memory;
  ring_ = static_cast<io_uring_buf_ring*>(memory);
  buffers_ = static_cast<std::byte*>(memory) + ring_bytes;

  io_uring_buf_reg reg{};
  reg.ring_addr = reinterpret_cast<uint64_t>(memory);
  reg.ring_entries = count;
  reg.bgid = kGroup;
  const int result = io_uring_register_buf_ring(ring, &reg, 0);
  if (result != 0) {
    return SystemStatus("io_uring_register(PBUF_RING)", object, -result,
                        result == -ENOMEM ? "raise `ulimit -l` (LimitMEMLOCK= of a service)"
                                          : "use Linux 6.1 or later, or the epoll back end");
  }
  count_ = count;
  buffer_bytes_ = bytes;
  io_uring_buf_ring_init(ring_);
  for (uint32_t i = 0; i < count; ++i) GiveBack(static_cast<uint16_t>(i));
  return Status();
}

void UringBuffers::GiveBack(uint16_t buffer) {
  io_uring_buf_ring_add(ring_, buffers_ + size_t{buffer} * buffer_bytes_, buffer_bytes_, buffer,
                        static_cast<int>(count_ - 1), 0);
  io_uring_buf_ring_advance(ring_, 1);
}

}  // namespace ombus::net

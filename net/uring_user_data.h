// What a request carries through the kernel: which operation, of which socket, of which generation
// of that socket, so that a late completion is never taken for one of the socket's successor.
//
//   63    56 55          32 31       0
//   | kind  | generation   | id       |
#ifndef OMBUS_NET_URING_USER_DATA_H_
#define OMBUS_NET_URING_USER_DATA_H_

#include <cstdint>

#include "net/backend.h"

namespace ombus::net {

// Kinds of request beyond those of Op, which have Op's numbers.
inline constexpr uint8_t kFixedSend = 0x10;     // a kSend as WRITE_FIXED: may raise SIGPIPE
inline constexpr uint8_t kZeroCopySend = 0x11;  // a kSend as SEND_ZC: two completions
inline constexpr uint8_t kInternal = 0x20;      // cancel, unregister: no completion for the owner

struct UserData {
  uint8_t kind = 0;
  uint32_t generation = 0;  // 24 bits of it
  SocketId id = kNoSocket;

  static constexpr uint32_t kGenerationMask = 0xFFFFFF;

  uint64_t Pack() const {
    return uint64_t{kind} << 56 | uint64_t{generation & kGenerationMask} << 32 |
           static_cast<uint32_t>(id);
  }
  static UserData Unpack(uint64_t packed) {
    return {.kind = static_cast<uint8_t>(packed >> 56),
            .generation = static_cast<uint32_t>(packed >> 32) & kGenerationMask,
            .id = static_cast<SocketId>(packed & 0xFFFFFFFF)};
  }
};

}  // namespace ombus::net

#endif  // OMBUS_NET_URING_USER_DATA_H_

// The wire format: frames of a 16-byte little-endian header and a payload.
//
//   offset 0        4      5       6              8         16
//          | magic  | type | flags | payload_len  | wal_seq | payload …
//
// A client that says nothing gets data frames from the first one after its accept. Control frames
// (flags bit 0) go only to a peer that has sent HELLO. docs/wire-format.md is the grammar.
#ifndef OMBUS_WIRE_H_
#define OMBUS_WIRE_H_

#include <cstddef>
#include <cstdint>

namespace ombus {

inline constexpr uint32_t kFrameMagic = 0x4F4D5446;
inline constexpr size_t kFrameHeaderBytes = 16;
inline constexpr size_t kFrameBytesMax = kFrameHeaderBytes + 65535;
inline constexpr uint16_t kWireVersion = 1;
inline constexpr uint8_t kFrameFlagControl = 1;
inline constexpr uint8_t kTypeSlowWarning =
    0xFE;  // payload: two uint32, bytes pending and the limit

// Types of control frames.
enum class ControlType : uint8_t {
  kHello = 1,    // client: version u16, reserved u16 + u32, resume_from u64 (0: live),
                 // epoch u64 in which that counts (0: not known)
  kWelcome = 2,  // server: version u16, reserved u16 + u32, epoch u64; wal_seq: first that follows.
                 // Again before the first record of another epoch
  kGap = 3,      // server: from u64, to u64, why u32: sequences that will not come
  kHeartbeat = 4,
  kBye = 5,  // why u32, then text
};

enum class ByeReason : uint32_t {
  kEndOfStream = 1,
  kShutdown = 2,
  kProtocolError = 3,
  kVersion = 4,
  kTooSlow = 5,
  kFull = 6,
};

enum class GapReason : uint32_t {
  kNotRetained = 1,  // the server no longer has what HELLO asked for
  kEpochStart = 2,   // what an epoch began with, up to `to`, never reached the server or is gone
  kSkipped = 3,      // the client was too slow for them
};

}  // namespace ombus

#endif  // OMBUS_WIRE_H_

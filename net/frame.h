// Frame codec: how a record becomes bytes on the wire and back, and the control frames' payloads.
// docs/wire-format.md is the grammar; ombus/wire.h has its constants.
//
// Pure functions over memory; any thread. A parsed frame points into the caller's bytes. It is not
// for streams: whoever owns the buffer decides what a partial frame means.
#ifndef OMBUS_NET_FRAME_H_
#define OMBUS_NET_FRAME_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ombus/record.h"
#include "ombus/wire.h"

namespace ombus::net {

static_assert(std::endian::native == std::endian::little,
              "frames are little-endian and are written as words");

inline uint64_t LoadWord(const void* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}
inline void StoreWord(void* to, uint64_t word) { std::memcpy(to, &word, sizeof(word)); }

// The first word of a header: magic, type, flags and length.
constexpr uint64_t FrameWord(uint8_t type, uint8_t flags, uint16_t size) {
  return uint64_t{kFrameMagic} | uint64_t{type} << 32 | uint64_t{flags} << 40 |
         uint64_t{size} << 48;
}

// Longer payloads are copied by a call.
inline constexpr size_t kInlineCopyBytesMax = 512;

// Copies n bytes, n mostly small: 32 at a time with an overlapping last piece. A call to memcpy
// costs more than the copy at the sizes of market data. Writes exactly n bytes.
inline void CopyPayload(std::byte* to, const std::byte* from, size_t n) {
  if (n >= 32) [[likely]] {
    if (n > kInlineCopyBytesMax) {
      std::memcpy(to, from, n);
      return;
    }
    std::memcpy(to, from, 32);
    for (size_t i = 32; i + 32 < n; i += 32) std::memcpy(to + i, from + i, 32);
    std::memcpy(to + n - 32, from + n - 32, 32);
  } else if (n >= 16) {
    std::memcpy(to, from, 16);
    std::memcpy(to + n - 16, from + n - 16, 16);
  } else if (n >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + n - 8, from + n - 8, 8);
  } else {
    for (size_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

constexpr uint64_t FrameBytes(uint64_t payload_bytes) { return kFrameHeaderBytes + payload_bytes; }

// Writes the frame of a record; `to` has room for FrameBytes(record.size).
inline void EncodeFrame(std::byte* to, const Record& record) {
  StoreWord(to, FrameWord(record.type, 0, record.size));
  StoreWord(to + 8, record.wal_seq);
  CopyPayload(to + kFrameHeaderBytes, static_cast<const std::byte*>(record.payload), record.size);
}

struct Frame {
  uint64_t wal_seq = 0;
  const std::byte* payload = nullptr;
  uint16_t size = 0;
  uint8_t type = 0;
  uint8_t flags = 0;

  bool control() const { return (flags & kFrameFlagControl) != 0; }
  uint64_t bytes() const { return FrameBytes(size); }
};

enum class [[nodiscard]] ParseResult : uint8_t{
    kFrame,
    kPartial,   // a good beginning; more bytes are needed
    kBadMagic,  // this is no frame
    kBadFlags,  // a frame of a protocol that is not this one
};

// The frame at the front of `bytes`. Never reads past them, whatever they hold.
inline ParseResult ParseFrame(std::span<const std::byte> bytes, Frame* frame) {
  if (bytes.size() < kFrameHeaderBytes) return ParseResult::kPartial;
  const uint64_t word = LoadWord(bytes.data());
  if (static_cast<uint32_t>(word) != kFrameMagic) return ParseResult::kBadMagic;
  frame->type = static_cast<uint8_t>(word >> 32);
  frame->flags = static_cast<uint8_t>(word >> 40);
  frame->size = static_cast<uint16_t>(word >> 48);
  if ((frame->flags & ~kFrameFlagControl) != 0) return ParseResult::kBadFlags;
  if (bytes.size() < frame->bytes()) return ParseResult::kPartial;
  frame->wal_seq = LoadWord(bytes.data() + 8);
  frame->payload = bytes.data() + kFrameHeaderBytes;
  return ParseResult::kFrame;
}

// Whether bytes that are too few for a header can still become one.
bool MayBecomeFrame(std::span<const std::byte> bytes);

// --- Control frames, off the hot path -----------------------------------------------------------

struct Hello {
  uint16_t version = kWireVersion;
  uint64_t resume_from = 0;  // 0: live
  uint64_t epoch = 0;        // in which resume_from counts; 0: not known
  // The client says something at least that often and asks the server to do so; 0: neither.
  uint32_t heartbeat_ms = 0;
};
struct Welcome {
  uint16_t version = kWireVersion;
  uint64_t epoch = 0;
  uint64_t first_wal_seq = 0;
  uint32_t heartbeat_ms = 0;  // how often the server says something and expects to hear; 0: neither
};
struct Gap {
  uint64_t from = 0, to = 0;  // both inclusive
  uint32_t why = 0;
};
struct Bye {
  uint32_t why = 0;
  std::string_view text;  // into the frame
};
struct SlowWarningFrame {
  uint32_t pending_bytes = 0, limit_bytes = 0;
};

inline constexpr size_t kHelloBytes = 24, kWelcomeBytes = 16, kGapBytes = 20, kByeBytesMin = 4,
                        kSlowWarningBytes = 8;

// Each appends one whole frame.
void AppendHello(std::vector<std::byte>* out, const Hello& hello);
void AppendWelcome(std::vector<std::byte>* out, const Welcome& welcome);
void AppendGap(std::vector<std::byte>* out, const Gap& gap);
void AppendHeartbeat(std::vector<std::byte>* out, uint64_t wal_seq);
void AppendBye(std::vector<std::byte>* out, ByeReason why, std::string_view text);
void AppendSlowWarning(std::vector<std::byte>* out, const SlowWarningFrame& warning);

// Each is false when the payload is not what its type says. ParseHello reads the version of any
// HELLO, and the rest only where the version is ours.
bool ParseHello(const Frame& frame, Hello* hello);
bool ParseWelcome(const Frame& frame, Welcome* welcome);
bool ParseGap(const Frame& frame, Gap* gap);
bool ParseBye(const Frame& frame, Bye* bye);
bool ParseSlowWarning(const Frame& frame, SlowWarningFrame* warning);

// A peer's text as a terminal or a log may have it: what is not printable ASCII, and the backslash,
// as \xNN.
std::string PrintableText(std::string_view text);

}  // namespace ombus::net

#endif  // OMBUS_NET_FRAME_H_

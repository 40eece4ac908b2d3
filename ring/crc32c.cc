#include "ring/crc32c.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ring/crc32c_inline.h"

namespace ombus {
namespace {

constexpr uint32_t ShiftByZeroByte(uint32_t crc) {
  for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCrc32cPolynomial : 0);
  return crc;
}

// What one byte contributes: the table of the classic algorithm.
constexpr std::array<uint32_t, 256> kByteTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) table[i] = ShiftByZeroByte(i);
  return table;
}();

}  // namespace

uint32_t Crc32cByTable(uint32_t crc, const void* data, size_t size) {
  const auto* byte = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (; size > 0; --size, ++byte) crc = (crc >> 8) ^ kByteTable[(crc ^ *byte) & 0xFF];
  return ~crc;
}

#if defined(__x86_64__)
namespace {

// In these crc is inverted already.
inline __attribute__((always_inline)) uint32_t SerialRaw(uint32_t crc, const uint8_t* byte,
                                                         size_t size) {
  for (; size >= seal_short::kBytesEnd; size -= 64, byte += 64)
    crc = seal_short::AddShort(crc, byte, 64);
  return seal_short::AddShort(crc, byte, size);
}

OMBUS_CLMUL_INLINE uint32_t InterleavedRaw(uint32_t crc, const uint8_t* byte, size_t size) {
  while (size >= seal_short::kBytesEnd) {
    const size_t words = std::min(size / 24, crc32c::kStreamWordsMax);
    crc32c::Streams sums{crc};
    for (const uint8_t* end = byte + words * 8; byte != end; byte += 8) sums.Add(byte, words * 8);
    crc = sums.Joined(words);
    byte += words * 16;
    size -= words * 24;
  }
  return seal_short::AddShort(crc, byte, size);
}

uint32_t SealSerial(uint64_t wal_seq, uint64_t meta, const void* payload, size_t size) {
  const auto crc = static_cast<uint32_t>(seal_short::HeaderSum(wal_seq, meta));
  return ~SerialRaw(crc, static_cast<const uint8_t*>(payload), size);
}

OMBUS_CLMUL_TARGET uint32_t SealInterleaved(uint64_t wal_seq, uint64_t meta, const void* payload,
                                            size_t size) {
  const auto crc = static_cast<uint32_t>(seal_short::HeaderSum(wal_seq, meta));
  return ~InterleavedRaw(crc, static_cast<const uint8_t*>(payload), size);
}

}  // namespace

bool HaveCrc32cInstruction() { return __builtin_cpu_supports("sse4.2"); }
bool HaveCarrylessMultiply() { return __builtin_cpu_supports("pclmul"); }

uint32_t Crc32cSerial(uint32_t crc, const void* data, size_t size) {
  return ~SerialRaw(~crc, static_cast<const uint8_t*>(data), size);
}

OMBUS_CLMUL_TARGET uint32_t Crc32cInterleaved(uint32_t crc, const void* data, size_t size) {
  return ~InterleavedRaw(~crc, static_cast<const uint8_t*>(data), size);
}
#endif

namespace {

uint32_t SealByTable(uint64_t wal_seq, uint64_t meta, const void* payload, size_t size) {
  const uint64_t words[2] = {wal_seq, meta};
  return Crc32cByTable(Crc32cByTable(0, words, sizeof words), payload, size);
}

}  // namespace

Crc32cFunction ResolveCrc32c() {
#if defined(__x86_64__)
  if (HaveCrc32cInstruction()) return HaveCarrylessMultiply() ? Crc32cInterleaved : Crc32cSerial;
#endif
  return Crc32cByTable;
}

uint32_t ShortSealEnd([[maybe_unused]] uint32_t payload_max) {
#if defined(__x86_64__)
  if (HaveCrc32cInstruction()) return std::min<uint32_t>(payload_max + 1, seal_short::kBytesEnd);
#endif
  return 0;
}

SealFunction ResolveSeal() {
#if defined(__x86_64__)
  if (HaveCrc32cInstruction()) return HaveCarrylessMultiply() ? SealInterleaved : SealSerial;
#endif
  return SealByTable;
}

}  // namespace ombus

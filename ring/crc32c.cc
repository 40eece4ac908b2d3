#include "ring/crc32c.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>

namespace ombus {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected

constexpr uint32_t ShiftByZeroByte(uint32_t crc) {
  for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
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

// Words in each of the three streams at most: what one join covers.
constexpr size_t kStreamWordsMax = 128;

// x^(64 n - 33) modulo the polynomial, reflected, for n = 0, 1, …: the factor that moves a crc over
// n words. The product of two reflected 32-bit values, read as a 64-bit word, has one factor x too
// many, and the CRC instruction that reduces it brings x^32.
constexpr std::array<uint32_t, 2 * kStreamWordsMax + 1> kShiftByWords = [] {
  std::array<uint32_t, 2 * kStreamWordsMax + 1> table{};
  uint32_t power = uint32_t{1} << 31;  // x^0
  for (size_t exponent = 0; exponent < 64 * 2 * kStreamWordsMax - 33; ++exponent) {
    power = (power >> 1) ^ ((power & 1) != 0 ? kPolynomial : 0);
    if ((exponent + 1 + 33) % 64 == 0) table[(exponent + 1 + 33) / 64] = power;
  }
  return table;
}();

inline uint64_t Word(const uint8_t* byte) {
  uint64_t word;
  std::memcpy(&word, byte, sizeof word);
  return word;
}

#define OMBUS_CRC_TARGET __attribute__((target("sse4.2"), always_inline)) inline
#define OMBUS_CLMUL_TARGET __attribute__((target("sse4.2,pclmul"), always_inline)) inline

// In all of these crc is inverted already.
OMBUS_CRC_TARGET uint32_t SerialRaw(uint32_t crc, const uint8_t* byte, size_t size) {
  uint64_t wide = crc;
  for (; size >= 32; size -= 32, byte += 32) {
    wide = __builtin_ia32_crc32di(wide, Word(byte));
    wide = __builtin_ia32_crc32di(wide, Word(byte + 8));
    wide = __builtin_ia32_crc32di(wide, Word(byte + 16));
    wide = __builtin_ia32_crc32di(wide, Word(byte + 24));
  }
  for (; size >= 8; size -= 8, byte += 8) wide = __builtin_ia32_crc32di(wide, Word(byte));
  crc = static_cast<uint32_t>(wide);
  if ((size & 4) != 0) {
    uint32_t word;
    std::memcpy(&word, byte, sizeof word);
    crc = __builtin_ia32_crc32si(crc, word);
    byte += 4;
  }
  for (size &= 3; size > 0; --size, ++byte) crc = __builtin_ia32_crc32qi(crc, *byte);
  return crc;
}

// crc moved over as many words, still to be reduced by a CRC instruction.
OMBUS_CLMUL_TARGET uint64_t Shifted(uint64_t crc, size_t words) {
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(crc)),
                           _mm_cvtsi32_si128(static_cast<int32_t>(kShiftByWords[words])), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

// 3 * words words at byte.
OMBUS_CLMUL_TARGET uint32_t ThreeStreams(uint32_t crc, const uint8_t* byte, size_t words) {
  const size_t stream = words * 8;
  uint64_t first = crc, second = 0, third = 0;
  for (const uint8_t* end = byte + stream; byte != end; byte += 8) {
    first = __builtin_ia32_crc32di(first, Word(byte));
    second = __builtin_ia32_crc32di(second, Word(byte + stream));
    third = __builtin_ia32_crc32di(third, Word(byte + 2 * stream));
  }
  const uint64_t moved = Shifted(first, 2 * words) ^ Shifted(second, words);
  return static_cast<uint32_t>(__builtin_ia32_crc32di(0, moved) ^ third);
}

OMBUS_CLMUL_TARGET uint32_t InterleavedRaw(uint32_t crc, const uint8_t* byte, size_t size) {
  while (size >= kCrc32cInterleaveBytesMin) {
    const size_t words = std::min(size / 24, kStreamWordsMax);
    crc = ThreeStreams(crc, byte, words);
    byte += words * 24;
    size -= words * 24;
  }
  return SerialRaw(crc, byte, size);
}

OMBUS_CRC_TARGET uint32_t HeaderRaw(uint64_t wal_seq, uint64_t meta) {
  return static_cast<uint32_t>(
      __builtin_ia32_crc32di(__builtin_ia32_crc32di(~uint32_t{0}, wal_seq), meta));
}

__attribute__((target("sse4.2"))) uint32_t SealSerial(uint64_t wal_seq, uint64_t meta,
                                                      const void* payload, size_t size) {
  return ~SerialRaw(HeaderRaw(wal_seq, meta), static_cast<const uint8_t*>(payload), size);
}

__attribute__((target("sse4.2,pclmul"), noinline)) uint32_t SealLong(uint64_t wal_seq,
                                                                     uint64_t meta,
                                                                     const void* payload,
                                                                     size_t size) {
  return ~InterleavedRaw(HeaderRaw(wal_seq, meta), static_cast<const uint8_t*>(payload), size);
}

// Short payloads should not pay for saving the registers that the long ones need.
__attribute__((target("sse4.2,pclmul"))) uint32_t SealInterleaved(uint64_t wal_seq, uint64_t meta,
                                                                  const void* payload,
                                                                  size_t size) {
  if (size >= kCrc32cInterleaveBytesMin) return SealLong(wal_seq, meta, payload, size);
  return SealSerial(wal_seq, meta, payload, size);
}

}  // namespace

bool HaveCrc32cInstruction() { return __builtin_cpu_supports("sse4.2"); }
bool HaveCarrylessMultiply() { return __builtin_cpu_supports("pclmul"); }

__attribute__((target("sse4.2"))) uint32_t Crc32cSerial(uint32_t crc, const void* data,
                                                        size_t size) {
  return ~SerialRaw(~crc, static_cast<const uint8_t*>(data), size);
}

__attribute__((target("sse4.2,pclmul"))) uint32_t Crc32cInterleaved(uint32_t crc, const void* data,
                                                                    size_t size) {
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

SealFunction ResolveSeal() {
#if defined(__x86_64__)
  if (HaveCrc32cInstruction()) return HaveCarrylessMultiply() ? SealInterleaved : SealSerial;
#endif
  return SealByTable;
}

}  // namespace ombus

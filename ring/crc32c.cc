#include "ring/crc32c.h"

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

// A stream is processed in blocks of this many bytes each; three blocks are joined at a time. The
// large one spares joins, the small one serves records from 96 bytes up.
constexpr size_t kBlockBytesLarge = 512;
constexpr size_t kBlockBytesSmall = 32;

// The (linear) effect of that many zero bytes on a crc, by each of its four bytes.
using ShiftTable = std::array<std::array<uint32_t, 256>, 4>;

constexpr ShiftTable MakeShiftTable(size_t zero_bytes) {
  std::array<uint32_t, 32> of_bit{};
  for (uint32_t bit = 0; bit < 32; ++bit) {
    uint32_t crc = uint32_t{1} << bit;
    for (size_t i = 0; i < zero_bytes; ++i) crc = (crc >> 8) ^ kByteTable[crc & 0xFF];
    of_bit[bit] = crc;
  }
  ShiftTable table{};
  for (uint32_t byte = 0; byte < 4; ++byte) {
    for (uint32_t value = 0; value < 256; ++value) {
      uint32_t crc = 0;
      for (uint32_t bit = 0; bit < 8; ++bit) {
        if ((value >> bit & 1) != 0) crc ^= of_bit[byte * 8 + bit];
      }
      table[byte][value] = crc;
    }
  }
  return table;
}

constexpr ShiftTable kShiftLarge = MakeShiftTable(kBlockBytesLarge);
constexpr ShiftTable kShiftSmall = MakeShiftTable(kBlockBytesSmall);

inline uint32_t Shift(const ShiftTable& table, uint32_t crc) {
  return table[0][crc & 0xFF] ^ table[1][crc >> 8 & 0xFF] ^ table[2][crc >> 16 & 0xFF] ^
         table[3][crc >> 24];
}

inline uint64_t Word(const uint8_t* byte) {
  uint64_t word;
  std::memcpy(&word, byte, sizeof word);
  return word;
}

// crc is inverted already.
__attribute__((target("sse4.2"))) inline uint32_t SerialRaw(uint32_t crc, const uint8_t* byte,
                                                            size_t size) {
  uint64_t wide = crc;
  for (; size >= 8; size -= 8, byte += 8) wide = __builtin_ia32_crc32di(wide, Word(byte));
  crc = static_cast<uint32_t>(wide);
  for (; size > 0; --size, ++byte) crc = __builtin_ia32_crc32qi(crc, *byte);
  return crc;
}

template <size_t kBlockBytes>
__attribute__((target("sse4.2"))) inline uint32_t ThreeBlocks(const ShiftTable& shift, uint32_t crc,
                                                              const uint8_t* byte) {
  uint64_t first = crc, second = 0, third = 0;
  for (size_t i = 0; i < kBlockBytes; i += 8) {
    first = __builtin_ia32_crc32di(first, Word(byte + i));
    second = __builtin_ia32_crc32di(second, Word(byte + kBlockBytes + i));
    third = __builtin_ia32_crc32di(third, Word(byte + 2 * kBlockBytes + i));
  }
  crc = Shift(shift, static_cast<uint32_t>(first)) ^ static_cast<uint32_t>(second);
  return Shift(shift, crc) ^ static_cast<uint32_t>(third);
}

}  // namespace

bool HaveCrc32cInstruction() { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) uint32_t Crc32cSerial(uint32_t crc, const void* data,
                                                        size_t size) {
  return ~SerialRaw(~crc, static_cast<const uint8_t*>(data), size);
}

__attribute__((target("sse4.2"))) uint32_t Crc32cInterleaved(uint32_t crc, const void* data,
                                                             size_t size) {
  const auto* byte = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (; size >= 3 * kBlockBytesLarge; size -= 3 * kBlockBytesLarge, byte += 3 * kBlockBytesLarge) {
    crc = ThreeBlocks<kBlockBytesLarge>(kShiftLarge, crc, byte);
  }
  for (; size >= 3 * kBlockBytesSmall; size -= 3 * kBlockBytesSmall, byte += 3 * kBlockBytesSmall) {
    crc = ThreeBlocks<kBlockBytesSmall>(kShiftSmall, crc, byte);
  }
  return ~SerialRaw(crc, byte, size);
}

static_assert(kCrc32cInterleaveBytesMin == 3 * kBlockBytesSmall);
#endif

Crc32cFunction ResolveCrc32c() {
#if defined(__x86_64__)
  if (HaveCrc32cInstruction()) return Crc32cInterleaved;
#endif
  return Crc32cByTable;
}

}  // namespace ombus

// The seals of long payloads, by the CRC32C instruction, for functions that are compiled for
// processors that have it and carry-less multiplication. The seals of short ones are in
// ombus/seal_short.h; who only wants a sum includes crc32c.h.
//
// The instruction takes a word a cycle and gives its result three cycles later. A long payload is
// three streams at once, which two carry-less multiplications join. After V. Gopal et al.,
// "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel, 2011.
//
// Threads: pure functions. In all of them crc is inverted already.
#ifndef OMBUS_RING_CRC32C_INLINE_H_
#define OMBUS_RING_CRC32C_INLINE_H_

#include "ring/crc32c.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ombus/seal_short.h"
#include "ombus/slot_access.h"

// For functions that are called only where Usable().
#define OMBUS_CLMUL_TARGET __attribute__((target("sse4.2,pclmul")))
#define OMBUS_CLMUL_INLINE OMBUS_CLMUL_TARGET __attribute__((always_inline)) inline

namespace ombus::crc32c {

// Whether all of this may be called.
inline bool Usable() { return HaveCrc32cInstruction() && HaveCarrylessMultiply(); }

// Words in each of the three streams at most: what one join covers.
inline constexpr size_t kStreamWordsMax = 128;
// The largest that is summed while it is copied, and in one go.
inline constexpr size_t kLongBytesMax = 512;
// Of a long payload, so many bytes are summed at once.
inline constexpr size_t kStepBytes = 48;

// x^(64 n - 33) modulo the polynomial, reflected, for n = 0, 1, …: the factor that moves a crc over
// n words. The product of two reflected 32-bit values, read as a 64-bit word, has one factor x too
// many, and the CRC instruction that reduces it brings x^32.
inline constexpr std::array<uint32_t, 2 * kStreamWordsMax + 1> kShiftByWords = [] {
  std::array<uint32_t, 2 * kStreamWordsMax + 1> table{};
  uint32_t power = uint32_t{1} << 31;  // x^0
  for (size_t exponent = 0; exponent < 64 * 2 * kStreamWordsMax - 33; ++exponent) {
    power = (power >> 1) ^ ((power & 1) != 0 ? kCrc32cPolynomial : 0);
    if ((exponent + 1 + 33) % 64 == 0) table[(exponent + 1 + 33) / 64] = power;
  }
  return table;
}();

// Three streams of as many words, one behind the other.
struct Streams {
  uint64_t first = 0, second = 0, third = 0;

  __attribute__((always_inline)) void Add(const uint8_t* byte, size_t stream_bytes) {
    first = seal_short::AddAt(first, byte);
    AddOthers(byte + stream_bytes, stream_bytes);
  }
  __attribute__((always_inline)) void AddOthers(const uint8_t* of_second, size_t stream_bytes) {
    second = seal_short::AddAt(second, of_second);
    third = seal_short::AddAt(third, of_second + stream_bytes);
  }
  OMBUS_CLMUL_INLINE uint32_t Joined(size_t stream_words) const {
    const __m128i moved =
        _mm_xor_si128(Shifted(first, 2 * stream_words), Shifted(second, stream_words));
    const auto word = static_cast<uint64_t>(_mm_cvtsi128_si64(moved));
    return static_cast<uint32_t>(__builtin_ia32_crc32di(0, word) ^ third);
  }

 private:
  // crc moved over as many words, still to be reduced by a CRC instruction.
  OMBUS_CLMUL_INLINE static __m128i Shifted(uint64_t crc, size_t words) {
    return _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(crc)),
                                _mm_cvtsi32_si128(static_cast<int32_t>(kShiftByWords[words])), 0);
  }
};

// The seal of a payload of seal_short::kBytesEnd to kLongBytesMax bytes. Its header's two words are
// the first stream's first, so that no stream waits for them. step() is called once for each
// kStepBytes, but for the last 32 to 79 bytes, for what is to be done meanwhile: the loop waits
// for the one unit that has the instruction, and what stands behind it hardly begins before it is
// over.
template <typename Step>
OMBUS_CLMUL_INLINE uint32_t SealLong(uint64_t wal_seq, uint64_t meta, const uint8_t* byte,
                                     size_t size, Step step) {
  const size_t words = (size / 8 + 2) / 3, stream = words * 8;
  Streams sums{seal_short::HeaderSum(wal_seq, meta)};
  sums.AddOthers(byte + stream - 16, stream);
  sums.AddOthers(byte + stream - 8, stream);
  const uint8_t* at = byte;
  const uint8_t* const end = byte + stream - 16;
  if (words % 2 != 0) {
    sums.Add(at, stream);
    at += 8;
  }
  for (; at != end; at += 16) {
    sums.Add(at, stream);
    step();
    sums.Add(at + 8, stream);
  }
  const uint8_t* rest = end + 2 * stream;
  return ~seal_short::AddShort(sums.Joined(words), rest, static_cast<size_t>(byte + size - rest));
}

// The same while it copies the payload into a slot, and fetches the lines of the one at ahead.
OMBUS_CLMUL_INLINE uint32_t SealLongCopy(uint64_t wal_seq, uint64_t meta, const uint8_t* byte,
                                         size_t size, SlotHeader* slot, const std::byte* ahead) {
  auto* to = slot_access::Payload(slot);
  const auto* from = reinterpret_cast<const std::byte*>(byte);
  size_t left = size;  // from the end: the first line last, as CopyPayload
  const uint32_t seal = SealLong(wal_seq, meta, byte, size, [&] {
    slot_access::PrefetchForWrite(ahead + kSlotHeaderBytes - 1 + left);
    left -= kStepBytes;
    std::memcpy(to + left, from + left, kStepBytes);
  });
  slot_access::PrefetchForWrite(ahead + slot_access::kCacheLineBytes);
  slot_access::PrefetchForWrite(ahead);
  slot_access::CopyFewLines(to, from, left);
  return seal;
}

}  // namespace ombus::crc32c
#endif

#endif  // OMBUS_RING_CRC32C_INLINE_H_

// The seals of short payloads, in the code of those who publish and poll: the processor's CRC32C
// instruction, a word a cycle, and no call. By hand, since a function that is compiled for
// processors that have it is not inlined into one that is not. Called only where there is that
// instruction (HaveCrc32cInstruction in ring/crc32c.h).
// Included by producer.h and consumer.h for their inline halves; not for programs.
//
// Threads: pure functions. crc is inverted already. Only x86-64 has them.
#ifndef OMBUS_SEAL_SHORT_H_
#define OMBUS_SEAL_SHORT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ombus/slot_access.h"

namespace ombus::seal_short {

// Payloads below it are summed serially: what the instruction's latency of three cycles leaves is
// for the records before and after.
inline constexpr size_t kBytesEnd = 128;

#if defined(__x86_64__)

inline __attribute__((always_inline)) uint64_t AddWord(uint64_t crc, uint64_t word) {
  __asm__("crc32q %1, %0" : "+r"(crc) : "r"(word));
  return crc;
}

// Whether a sanitizer is to see what is loaded: it does not look into instructions written by hand.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kLoadsAreWatched = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
inline constexpr bool kLoadsAreWatched = true;
#else
inline constexpr bool kLoadsAreWatched = false;
#endif
#else
inline constexpr bool kLoadsAreWatched = false;
#endif

template <typename T>
inline __attribute__((always_inline)) T Load(const uint8_t* byte) {
  T value;
  std::memcpy(&value, byte, sizeof value);
  return value;
}

inline __attribute__((always_inline)) uint64_t AddAt(uint64_t crc, const uint8_t* byte) {
  if constexpr (kLoadsAreWatched) return AddWord(crc, Load<uint64_t>(byte));
  using Bytes = uint8_t[8];
  __asm__("crc32q %1, %0" : "+r"(crc) : "m"(*reinterpret_cast<const Bytes*>(byte)));
  return crc;
}

// What is left of a payload whose size is no multiple of 8.
inline __attribute__((always_inline)) uint32_t AddTail(uint32_t crc, const uint8_t* byte,
                                                       size_t size) {
  if ((size & 4) != 0) {
    __asm__("crc32l %1, %0" : "+r"(crc) : "r"(Load<uint32_t>(byte)));
    byte += 4;
  }
  if ((size & 2) != 0) {
    __asm__("crc32w %1, %0" : "+r"(crc) : "r"(Load<uint16_t>(byte)));
    byte += 2;
  }
  if ((size & 1) != 0) __asm__("crc32b %1, %0" : "+r"(crc) : "r"(*byte));
  return crc;
}

// Less than kBytesEnd: one jump, and an instruction for each word. A branch for each of the size's
// bits instead takes fewer instructions, and longer.
inline __attribute__((always_inline)) uint32_t AddShort(uint64_t crc, const uint8_t* byte,
                                                        size_t size) {
  const uint8_t* end = byte + size / 8 * 8;
  // clang-format off
  switch (size / 8) {
    case 15: crc = AddAt(crc, end - 120); [[fallthrough]];
    case 14: crc = AddAt(crc, end - 112); [[fallthrough]];
    case 13: crc = AddAt(crc, end - 104); [[fallthrough]];
    case 12: crc = AddAt(crc, end - 96); [[fallthrough]];
    case 11: crc = AddAt(crc, end - 88); [[fallthrough]];
    case 10: crc = AddAt(crc, end - 80); [[fallthrough]];
    case 9: crc = AddAt(crc, end - 72); [[fallthrough]];
    case 8: crc = AddAt(crc, end - 64); [[fallthrough]];
    case 7: crc = AddAt(crc, end - 56); [[fallthrough]];
    case 6: crc = AddAt(crc, end - 48); [[fallthrough]];
    case 5: crc = AddAt(crc, end - 40); [[fallthrough]];
    case 4: crc = AddAt(crc, end - 32); [[fallthrough]];
    case 3: crc = AddAt(crc, end - 24); [[fallthrough]];
    case 2: crc = AddAt(crc, end - 16); [[fallthrough]];
    case 1: crc = AddAt(crc, end - 8); [[fallthrough]];
    case 0: break;
    default: __builtin_unreachable();
  }
  // clang-format on
  size = slot_access::InOneRegister(size);  // or it keeps what is below in one more, from above
  const auto sum = static_cast<uint32_t>(crc);
  if (size % 8 == 0) [[likely]]
    return sum;
  return AddTail(sum, end, size);
}

inline __attribute__((always_inline)) uint64_t HeaderSum(uint64_t wal_seq, uint64_t meta) {
  return AddWord(AddWord(~uint32_t{0}, wal_seq), meta);
}

// The seal of a payload below kBytesEnd.
inline __attribute__((always_inline)) uint32_t Seal(uint64_t wal_seq, uint64_t meta,
                                                    const void* payload, size_t size) {
  return ~AddShort(HeaderSum(wal_seq, meta), static_cast<const uint8_t*>(payload), size);
}

#endif

}  // namespace ombus::seal_short

#endif  // OMBUS_SEAL_SHORT_H_

// How producer and consumer touch a slot: the words of its header, copies of payloads, prefetches.
// Included by producer.h and consumer.h for their inline halves; not for programs.
//
// The header's words are accessed as relaxed atomics, since a consumer that has been evicted may
// read a slot while it is being overwritten (it finds out, and drops what it read).
#ifndef OMBUS_SLOT_ACCESS_H_
#define OMBUS_SLOT_ACCESS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ombus/record.h"
#include "ombus/ring_layout.h"

namespace ombus::slot_access {

inline constexpr size_t kCacheLineBytes = 64;
// Bytes of payload that share the first line with the slot's header.
inline constexpr size_t kFirstLinePayloadBytes = kCacheLineBytes - kSlotHeaderBytes;
// What is prefetched is so many bytes further on, whether a lap ends before or not: finding out
// took four instructions for each record. So the first slots of a lap are not prefetched, of a
// small ring not more than that share, and for as many records what is fetched lies behind the
// ring: nothing, or some lines of another object that is mapped there.
inline constexpr uint32_t kPrefetchShareOfLap = 8;
// From here up the libc's memcpy is worth its call.
inline constexpr size_t kInlineCopyBytesMax = 512;

using Word = uint64_t __attribute__((may_alias));

// type, reserved, length and crc32c as one word.
inline constexpr uint64_t PackMeta(uint8_t type, uint64_t length, uint32_t crc32c) {
  return uint64_t{type} | length << 16 | uint64_t{crc32c} << 32;
}
inline constexpr uint8_t MetaType(uint64_t meta) { return static_cast<uint8_t>(meta); }
inline constexpr uint32_t MetaLength(uint64_t meta) { return static_cast<uint32_t>(meta) >> 16; }
inline constexpr uint32_t MetaCrc(uint64_t meta) { return static_cast<uint32_t>(meta >> 32); }

// The same size, of which g++ knows no more than that it is one: else it keeps it twice, as 16 or
// 32 bits and as 64, and converts it for each use.
inline __attribute__((always_inline)) size_t InOneRegister(size_t size) {
  __asm__("" : "+r"(size));
  return size;
}

// For a branch that plain streams take once in many records, whatever sealed ones do: its code then
// stands apart and saves its registers itself. The attribute for the unlikely is one time in ten to
// g++, and then everybody's code saves them. (Never, as 1.0, makes it split the function there, and
// pass on in memory what would stay in registers.)
inline __attribute__((always_inline)) bool Rarely(bool condition) {
  return __builtin_expect_with_probability(condition, 0, 0.999);
}

// One by one, so that a record that stays in registers does.
inline void UnpackMeta(uint64_t meta, Record* record) {
  record->size = static_cast<uint16_t>(MetaLength(meta));
  record->type = MetaType(meta);
  record->flags = 0;
}

inline Word* MetaWord(SlotHeader* slot) { return reinterpret_cast<Word*>(&slot->type); }
inline const Word* MetaWord(const SlotHeader* slot) {
  return reinterpret_cast<const Word*>(&slot->type);
}
static_assert(offsetof(SlotHeader, type) == 16 && offsetof(SlotHeader, length) == 18 &&
              offsetof(SlotHeader, crc32c) == 20);
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

// Acquire: what follows, such as the look at one's own line, is not moved before it. [evict]
inline uint64_t LoadWord(const Word* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
inline void StoreWord(Word* word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

// Loads before it stay before loads after it. By hand where the processor keeps them in order
// anyway: g++ warns of every fence when ThreadSanitizer, which models none, is on.
inline void LoadFence() {
#if defined(__x86_64__)
  __asm__ volatile("" : : : "memory");
#else
  __atomic_thread_fence(__ATOMIC_ACQUIRE);  // [evict]
#endif
}

inline std::byte* Payload(SlotHeader* slot) {
  return reinterpret_cast<std::byte*>(slot) + kSlotHeaderBytes;
}
inline const std::byte* Payload(const SlotHeader* slot) {
  return reinterpret_cast<const std::byte*>(slot) + kSlotHeaderBytes;
}

inline void PrefetchForWrite(const void* address) {
#if defined(__x86_64__)
  // By hand: __builtin_prefetch for writing falls back to a read prefetch without -mprfchw, and the
  // point is to own the line. x86-64 processors that lack the instruction take it for a no-op.
  __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address, 1, 3);
#endif
}

// Out of line, or g++ warns callers whose buffers are smaller than the sizes that lead here.
__attribute__((noinline)) inline void CopyLarge(std::byte* to, const std::byte* from, size_t size) {
  std::memcpy(to, from, size);
}

// Copies size bytes, at most 15, in words, the last of which overlap. 8 bytes take no jump: so
// many are mostly meant where there is a choice.
inline __attribute__((always_inline)) void CopyBelow16(std::byte* to, const std::byte* from,
                                                       size_t size) {
  if (size >= 8) [[likely]] {
    std::memcpy(to, from, 8);
    if (size != 8) [[unlikely]]
      std::memcpy(to + size - 8, from + size - 8, 8);
  } else if (size >= 4) {
    std::memcpy(to, from, 4);
    if (size != 4) std::memcpy(to + size - 4, from + size - 4, 4);
  } else if (size != 0) {
    to[0] = from[0];
    if (size != 1) {
      to[1] = from[1];
      to[size - 1] = from[size - 1];
    }
  }
}

// Copies size bytes, at most kInlineCopyBytesMax, likewise. The point: no call for small sizes (a
// call of memcpy costs as much as all the rest of a publish), and no store twice: stores count more
// than branches where one thread publishes and polls.
inline __attribute__((always_inline)) void CopyInline(std::byte* to, const std::byte* from,
                                                      size_t size) {
  if (size < 16) return CopyBelow16(to, from, size);
  size_t at = 0;
  for (; at + 64 <= size; at += 64) {
    std::memcpy(to + at, from + at, 64);
    __asm__ volatile("" : : : "memory");
  }
  for (; at + 16 < size; at += 16) {
    std::memcpy(to + at, from + at, 16);
    __asm__ volatile("" : : : "memory");  // or g++ turns the loop into a call of memcpy
  }
  std::memcpy(to + size - 16, from + size - 16, 16);
}

// The same for a payload of the first line. What is below 16 bytes falls through: a jump there and
// back would cost it more than the copy.
inline __attribute__((always_inline)) void CopyShort(std::byte* to, const std::byte* from,
                                                     size_t size) {
  if (size < 16) [[likely]]
    CopyBelow16(to, from, size);
  else
    CopyInline(to, from, size);
}

inline __attribute__((always_inline)) void CopyBytes(std::byte* to, const std::byte* from,
                                                     size_t size) {
  if (size > kInlineCopyBytesMax) {
    CopyLarge(to, from, size);
  } else {
    CopyInline(to, from, size);
  }
}

// Lines 1.. first and line 0 last: a consumer that waits for `seq` holds line 0, and it should have
// to give it away once, not twice.
inline __attribute__((always_inline)) void CopyPayload(std::byte* to, const void* payload,
                                                       size_t size) {
  const auto* from = static_cast<const std::byte*>(payload);
  if (size > kFirstLinePayloadBytes) {
    CopyBytes(to + kFirstLinePayloadBytes, from + kFirstLinePayloadBytes,
              size - kFirstLinePayloadBytes);
    CopyBytes(to, from, kFirstLinePayloadBytes);
  } else {
    CopyBytes(to, from, size);
  }
}

// The same for less than 128 bytes, with fewer branches: of more than the first line
// holds, the last 16 can be copied as such.
inline __attribute__((always_inline)) void CopyFewLines(std::byte* to, const std::byte* from,
                                                        size_t size) {
  if (size <= kFirstLinePayloadBytes) return CopyInline(to, from, size);
  for (size_t at = kFirstLinePayloadBytes; at + 16 < size; at += 16) {
    std::memcpy(to + at, from + at, 16);
    __asm__ volatile("" : : : "memory");  // or g++ turns the loop into a call of memcpy
  }
  std::memcpy(to + size - 16, from + size - 16, 16);
  CopyInline(to, from, kFirstLinePayloadBytes);
}

}  // namespace ombus::slot_access

#endif  // OMBUS_SLOT_ACCESS_H_

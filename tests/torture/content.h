// What the records of the torture carry: size and every byte follow from the record's number, so
// that a reader can tell a right byte from a wrong one. Cheap, since it is paid twice per record.
#ifndef OMBUS_TESTS_TORTURE_CONTENT_H_
#define OMBUS_TESTS_TORTURE_CONTENT_H_

#include <cstdint>
#include <cstring>

#include "ombus/record.h"

namespace ombus::torture {

inline constexpr uint16_t kContentBytesMax = 208;

// Around the ends of words and lines, empty ones among them.
inline uint16_t SizeOf(uint64_t number) {
  constexpr uint16_t kSizes[] = {0, 1, 8, 24, 40, 61, 104, kContentBytesMax};
  return kSizes[number * 0x9E3779B97F4A7C15u >> 61];
}
inline uint8_t TypeOf(uint64_t number) { return static_cast<uint8_t>(number % 251); }

inline uint64_t WordOf(uint64_t number, uint64_t index) {
  return (number + 1) * 0xD1B54A32D192ED03u + index * 0x9E3779B97F4A7C15u;
}

// Returns the size.
inline uint16_t Fill(uint64_t number, void* to) {
  const uint16_t size = SizeOf(number);
  auto* bytes = static_cast<unsigned char*>(to);
  for (uint16_t at = 0; at < size; at = static_cast<uint16_t>(at + 8)) {
    const uint64_t word = WordOf(number, at);
    std::memcpy(bytes + at, &word, size - at < 8 ? static_cast<size_t>(size - at) : 8);
  }
  return size;
}

inline bool Holds(const Record& record) {
  const uint64_t number = record.wal_seq;
  if (record.size != SizeOf(number) || record.type != TypeOf(number)) return false;
  const auto* bytes = static_cast<const unsigned char*>(record.payload);
  uint64_t wrong = 0;
  for (uint16_t at = 0; at < record.size; at = static_cast<uint16_t>(at + 8)) {
    uint64_t word = WordOf(number, at), found = word;
    std::memcpy(&found, bytes + at,
                record.size - at < 8 ? static_cast<size_t>(record.size - at) : 8);
    wrong |= found ^ word;
  }
  return wrong == 0;
}

}  // namespace ombus::torture

#endif  // OMBUS_TESTS_TORTURE_CONTENT_H_

// OrderFlow: the records of a matching engine's write-ahead log, made up. Type, size and every byte
// of a record follow from the seed and its wal_seq alone, so a receiver checks what it got without
// having seen what was sent.
//
//   insert 56…152 bytes 45 %, cancel 24 bytes 34 %, match 40 bytes 20 %, and rare amends, notes of
//   any length and halts
//
// With a stamp, the first eight bytes are the time the record was due (CLOCK_MONOTONIC, ns) and are
// not checked; records shorter than that carry none.
// Threads: const calls from any. Cost: a few nanoseconds per record, no allocation.
#ifndef OMBUS_TOOLS_ORDER_FLOW_H_
#define OMBUS_TOOLS_ORDER_FLOW_H_

#include <array>
#include <cstdint>
#include <string>

#include "ombus/record.h"

namespace ombus::tools {

enum class OrderType : uint8_t {
  kInsert = 1,
  kCancel = 2,
  kMatch = 3,
  kAmend = 4,
  kNote = 5,
  kHalt = 6,
};

inline constexpr uint16_t kOrderBytesMax = 200;
inline constexpr uint16_t kStampBytes = 8;

class OrderFlow {
 public:
  explicit OrderFlow(uint64_t seed = 1);

  uint8_t TypeOf(uint64_t wal_seq) const { return shapes_[ShapeOf(wal_seq)].type; }
  uint16_t SizeOf(uint64_t wal_seq) const { return shapes_[ShapeOf(wal_seq)].size; }

  // Writes the payload of wal_seq into room for kOrderBytesMax bytes; the size.
  uint16_t Fill(uint64_t wal_seq, void* room) const;

  // Whether the record is, byte for byte, what wal_seq should be. With stamped, all but the stamp.
  bool Matches(const Record& record, bool stamped) const;
  // What is wrong with a record that does not match, in words.
  std::string Explain(const Record& record, bool stamped) const;

 private:
  struct Shape {
    uint8_t type;
    uint16_t size;
  };
  static constexpr unsigned kShapeBits = 10;

  uint64_t Hash(uint64_t wal_seq) const;
  size_t ShapeOf(uint64_t wal_seq) const { return Hash(wal_seq) >> (64 - kShapeBits); }

  uint64_t seed_;
  std::array<Shape, size_t{1} << kShapeBits> shapes_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_ORDER_FLOW_H_

// Record: one message, as a producer hands it in and as a reader gets it back. It does not own its
// payload; each call that returns one says how long the payload lives.
#ifndef OMBUS_RECORD_H_
#define OMBUS_RECORD_H_

#include <cstddef>
#include <cstdint>

namespace ombus {

// Set by readers in Record::flags; producers leave flags 0.
inline constexpr uint8_t kRecordGap = 1;  // sequences are missing between the last record and this
inline constexpr uint8_t kRecordReorder = 2;  // wal_seq is below the one expected

struct Record {
  uint64_t wal_seq = 0;           // the application's sequence number
  const void* payload = nullptr;  // may be null when size is 0
  uint16_t size = 0;              // bytes
  uint8_t type = 0;               // the application's record type; 0xFE is taken on the wire
  uint8_t flags = 0;              // kRecord… bits
};

}  // namespace ombus

#endif  // OMBUS_RECORD_H_

// What the records of `ombus bench --mode limits` hold and how a reader accounts for them. The same
// few instructions for each contender: sequences count from 0, the content is constant, and the
// reader loads a word of each line of it.
//
// Threads: one each.
#ifndef OMBUS_TOOLS_RING_LIMITS_PAYLOAD_H_
#define OMBUS_TOOLS_RING_LIMITS_PAYLOAD_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "ombus/record.h"
#include "ombus/slot_access.h"
#include "ombus/status.h"
#include "tools/ring_limits.h"
#include "tools/ring_limits_yardsticks.h"

namespace ombus::tools {

inline constexpr uint16_t kLimitsPayloadBytesMax = 512;

class LimitsPayload {
 public:
  LimitsPayload() { std::memset(bytes_, 0x5A, sizeof bytes_); }
  const void* data() const { return bytes_; }

 private:
  alignas(64) unsigned char bytes_[kLimitsPayloadBytesMax];
};

class LimitsReader {
 public:
  void Take(const Record& record) {
    wrong_ |= record.wal_seq ^ records_++;
    sum_ += TouchPayload(record.payload, record.size);
  }
  uint64_t records() const { return records_; }
  bool wrong() const { return wrong_ != 0; }  // not each was the next one
  uint64_t sum() const { return sum_; }

 private:
  uint64_t records_ = 0, wrong_ = 0, sum_ = 0;
};

// Takes a copy: a reader whose address is never given away stays in registers, and what it counts
// costs each contender the same next to nothing.
inline Status Verdict(LimitsReader reader, const std::string& who, uint64_t wanted) {
  if (reader.records() == wanted && !reader.wrong()) return {};
  return {StatusCode::kCorrupt, "bench \"limits\": " + who + ": " +
                                    std::to_string(wanted - reader.records()) + " records lost" +
                                    (reader.wrong() ? ", others out of sequence" : "") +
                                    "; please report this"};
}

inline Slice SliceOf(uint64_t ns, uint64_t records, uint64_t sum) {
  __asm__ volatile("" : : "r"(sum));  // what was loaded counts as used
  return {{static_cast<double>(ns) / static_cast<double>(records)}};
}

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_RING_LIMITS_PAYLOAD_H_

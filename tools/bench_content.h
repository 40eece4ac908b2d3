// What benchmark records contain and how receivers check it: wal_seq counts from 1, size is as
// told, and the first and the last eight bytes of each payload follow from wal_seq: a reader that
// looked at the first alone would leave the last cache line of a record where it was.
//
// Threads: one each. Cost: a few instructions per record, the same for every library measured.
#ifndef OMBUS_TOOLS_BENCH_CONTENT_H_
#define OMBUS_TOOLS_BENCH_CONTENT_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "ombus/record.h"

namespace ombus::tools {

inline uint64_t BenchWord(uint64_t wal_seq) { return wal_seq * 0x9E3779B97F4A7C15; }

// Payloads are made a few records ahead: a copy that reads words just written, wider than they were
// written, would wait for them to leave the store buffer, and the wait would count as the ring's.
class BenchWriter {
 public:
  explicit BenchWriter(uint32_t size) : size_(size), payloads_(size_t{kAhead} * size) {
    for (uint64_t i = 1; i < kAhead / 2; ++i) Make(i);
  }
  // The payload is good for the next kBatchMax - 1 calls. size is at least 16.
  Record Next() {
    Make(wal_seq_ + kAhead / 2);
    ++wal_seq_;
    return {wal_seq_, PayloadOf(wal_seq_), static_cast<uint16_t>(size_), 1, 0};
  }

  static constexpr uint64_t kAhead = 64;
  static constexpr uint32_t kBatchMax = kAhead / 2;

 private:
  unsigned char* PayloadOf(uint64_t wal_seq) { return payloads_.data() + wal_seq % kAhead * size_; }
  void Make(uint64_t wal_seq) {
    const uint64_t word = BenchWord(wal_seq);
    unsigned char* payload = PayloadOf(wal_seq);
    std::memcpy(payload, &word, sizeof word);
    std::memcpy(payload + size_ - sizeof word, &word, sizeof word);
  }

  uint32_t size_;
  uint64_t wal_seq_ = 0;
  std::vector<unsigned char> payloads_;
};

class BenchReader {
 public:
  explicit BenchReader(uint32_t size) : size_(size) {}
  void Check(const Record& record) {
    ++records_;
    uint64_t first = 0, last = 0;
    if (record.size == size_) {
      const auto* bytes = static_cast<const unsigned char*>(record.payload);
      std::memcpy(&first, bytes, sizeof first);
      std::memcpy(&last, bytes + size_ - sizeof last, sizeof last);
    }
    const uint64_t word = BenchWord(records_);
    wrong_ += record.wal_seq != records_ || first != word || last != word;
  }
  uint64_t records() const { return records_; }
  uint64_t wrong() const { return wrong_; }

 private:
  uint32_t size_;
  uint64_t records_ = 0, wrong_ = 0;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_BENCH_CONTENT_H_

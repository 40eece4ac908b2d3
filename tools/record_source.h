// RecordSource: what `ombus pub` publishes, a batch at a time: lines of a file, or an order flow.
//
// Threads: one. Payloads live until the next call.
#ifndef OMBUS_TOOLS_RECORD_SOURCE_H_
#define OMBUS_TOOLS_RECORD_SOURCE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ombus/record.h"
#include "ombus/status.h"
#include "tools/line_reader.h"
#include "tools/order_flow.h"

namespace ombus::tools {

inline constexpr size_t kSourceBatchMax = 64;

class RecordSource {
 public:
  virtual ~RecordSource() = default;
  // Up to out.size() records that begin with wal_seq. None and at_end() false: ask again.
  virtual size_t Next(uint64_t wal_seq, std::span<Record> out) = 0;
  virtual bool at_end() const = 0;
  virtual Status status() const = 0;  // why it ended, if not in order
};

// Lines, newline included, as records of type 1.
class LineSource : public RecordSource {
 public:
  LineSource(int fd, std::string name, uint32_t payload_max);
  size_t Next(uint64_t wal_seq, std::span<Record> out) override;
  bool at_end() const override { return at_end_; }
  Status status() const override { return status_; }

 private:
  std::string name_;
  uint32_t payload_max_;
  LineReader reader_;
  bool at_end_ = false;
  Status status_;
};

// Orders, stamped with the time they are due.
class OrderSource : public RecordSource {
 public:
  explicit OrderSource(uint64_t seed) : flow_(seed) {}
  size_t Next(uint64_t wal_seq, std::span<Record> out) override;
  bool at_end() const override { return false; }
  Status status() const override { return {}; }
  // With a rate, record n is due at start + n * interval; without, now.
  void SetSchedule(uint64_t start_ns, uint64_t rate, uint64_t first_wal_seq) {
    start_ns_ = start_ns;
    rate_ = rate;
    first_wal_seq_ = first_wal_seq;
  }

 private:
  OrderFlow flow_;
  uint64_t start_ns_ = 0, rate_ = 0, first_wal_seq_ = 1;
  std::array<std::array<unsigned char, kOrderBytesMax>, kSourceBatchMax> rooms_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_RECORD_SOURCE_H_

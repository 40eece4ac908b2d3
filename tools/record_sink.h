// RecordSink: what `ombus sub` does with records: check the sequence, verify, format, count.
//
// Records come in batches, Begin … Add … Commit. Until Commit nothing is printed or counted for
// good, so a batch that the producer overwrote meanwhile can be dropped with Rollback.
// Threads: one.
#ifndef OMBUS_TOOLS_RECORD_SINK_H_
#define OMBUS_TOOLS_RECORD_SINK_H_

#include <cstdint>
#include <string>

#include "ombus/histogram.h"
#include "ombus/record.h"
#include "tools/format.h"
#include "tools/order_flow.h"
#include "tools/output.h"

namespace ombus::tools {

struct SinkOptions {
  Format format = Format::kLine;
  bool verify = false;  // against the order flow of seed
  uint64_t seed = 1;
  uint64_t count_max = 0;  // 0: no end
};

// What a subscriber has seen.
struct SinkTally {
  uint64_t records = 0, bytes = 0;
  uint64_t gaps = 0, missing = 0;  // gaps in the sequence, and records missing in them
  uint64_t reorders = 0;           // a wal_seq not above the one before
  uint64_t wrong = 0;              // not what the order flow says
  uint64_t last_wal_seq = 0;
  bool any = false;   // last_wal_seq means something
  bool anew = false;  // the next record is another producer's: it may begin anew
};

class RecordSink {
 public:
  RecordSink(const SinkOptions& options, Output* output);

  void Begin(uint64_t now_ns) {
    before_ = tally_;
    now_ns_ = now_ns;
  }
  void Add(const Record& record);
  void Commit();
  void Rollback();

  // How many more records are wanted, at most max.
  size_t Wanted(size_t max) const;
  bool done() const { return options_.count_max != 0 && tally_.records >= options_.count_max; }

  // After a loss that was told and counted: no sequence to compare with.
  void ForgetSequence() { tally_.any = false; }
  // Another producer: a lower sequence is a beginning, a higher one still a gap.
  void ExpectBeginning() { tally_.anew = true; }
  void AddLost(uint64_t records) { lost_ += records; }
  void AddCorrupt() { ++corrupt_; }

  const SinkTally& tally() const { return tally_; }
  // Whether records were missing, doubled, corrupt or wrong.
  bool damaged() const;
  void PrintSummary(double seconds) const;

 private:
  void CheckSequence(const Record& record);
  void CheckContent(const Record& record);
  void RecordLatency(const Record& record);
  void Report(const std::string& text);

  SinkOptions options_;
  Output& output_;
  OrderFlow flow_;
  SinkTally tally_, before_;
  std::string text_;     // formatted, not committed
  std::string reports_;  // likewise, for stderr
  uint64_t reported_ = 0, lost_ = 0, corrupt_ = 0;
  uint64_t now_ns_ = 0;
  Histogram latency_ns_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_RECORD_SINK_H_

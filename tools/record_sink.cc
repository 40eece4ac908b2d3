#include "tools/record_sink.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "tools/table.h"

namespace ombus::tools {
namespace {
constexpr uint64_t kReportsMax = 20;                   // then only counted
constexpr uint64_t kLatencyNsMax = 3'600'000'000'000;  // more is another host's clock
}  // namespace

RecordSink::RecordSink(const SinkOptions& options, Output* output)
    : options_(options), output_(*output), flow_(options.seed) {}

void RecordSink::Add(const Record& record) {
  CheckSequence(record);
  if (options_.verify) CheckContent(record);
  ++tally_.records;
  tally_.bytes += record.size;
  if (options_.format != Format::kNone) AppendRecord(record, options_.format, &text_);
}

void RecordSink::CheckSequence(const Record& record) {
  const uint64_t expected = tally_.last_wal_seq + 1;
  const bool begins = std::exchange(tally_.anew, false) && record.wal_seq < expected;
  if (begins && (record.flags & kRecordGap) != 0) {
    ++tally_.gaps;
    Report("gap: records of the new producer before " + std::to_string(record.wal_seq) +
           " are missing");
  } else if (begins) {
    // Nothing is missing: the numbers begin anew.
  } else if (tally_.any && record.wal_seq > expected) {
    ++tally_.gaps;
    tally_.missing += record.wal_seq - expected;
    Report("gap: " + std::to_string(expected) + " to " + std::to_string(record.wal_seq - 1) +
           " missing");
  } else if (tally_.any && record.wal_seq < expected) {
    ++tally_.reorders;
    Report("reorder: " + std::to_string(record.wal_seq) + " after " +
           std::to_string(tally_.last_wal_seq));
  }
  tally_.last_wal_seq = record.wal_seq;
  tally_.any = true;
}

void RecordSink::CheckContent(const Record& record) {
  if (!flow_.Matches(record, true)) {
    ++tally_.wrong;
    Report("wrong: " + flow_.Explain(record, true));
    return;
  }
  RecordLatency(record);
}

void RecordSink::RecordLatency(const Record& record) {
  if (record.size < kStampBytes) return;
  uint64_t due_ns = 0;
  std::memcpy(&due_ns, record.payload, kStampBytes);
  // What was taken out with a poll that began a moment before it was due took no time.
  const uint64_t took = now_ns_ > due_ns ? now_ns_ - due_ns : 0;
  if (took < kLatencyNsMax) latency_ns_.Record(took);
}

void RecordSink::Report(const std::string& text) {
  if (++reported_ > kReportsMax) return;
  reports_ += text + "\n";
  if (reported_ == kReportsMax) reports_ += "more of these are only counted\n";
}

void RecordSink::Commit() {
  if (!text_.empty()) {
    output_.Append(text_);
    text_.clear();
  }
  if (!reports_.empty()) {
    std::fputs(reports_.c_str(), stderr);
    reports_.clear();
  }
}

void RecordSink::Rollback() {
  lost_ += tally_.records - before_.records;
  tally_ = before_;
  text_.clear();
  reports_.clear();
}

size_t RecordSink::Wanted(size_t max) const {
  if (options_.count_max == 0) return max;
  return static_cast<size_t>(std::min<uint64_t>(max, options_.count_max - tally_.records));
}

bool RecordSink::damaged() const {
  return tally_.gaps + tally_.reorders + tally_.wrong + lost_ + corrupt_ > 0;
}

void RecordSink::PrintSummary(double seconds) const {
  std::fprintf(stderr, "received %s records, %s bytes in %.3f s: %s\n",
               WithThousands(tally_.records).c_str(), WithThousands(tally_.bytes).c_str(), seconds,
               HumanRate(seconds > 0 ? static_cast<double>(tally_.records) / seconds : 0).c_str());
  std::fprintf(stderr, "gaps %s (%s records), reorders %s, lost by eviction %s, corrupt %s",
               WithThousands(tally_.gaps).c_str(), WithThousands(tally_.missing).c_str(),
               WithThousands(tally_.reorders).c_str(), WithThousands(lost_).c_str(),
               WithThousands(corrupt_).c_str());
  if (options_.verify) std::fprintf(stderr, ", wrong %s", WithThousands(tally_.wrong).c_str());
  std::fprintf(stderr, "\n");
  if (latency_ns_.count() == 0) return;
  std::fprintf(stderr, "latency p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n",
               HumanNs(static_cast<double>(latency_ns_.Percentile(50))).c_str(),
               HumanNs(static_cast<double>(latency_ns_.Percentile(90))).c_str(),
               HumanNs(static_cast<double>(latency_ns_.Percentile(99))).c_str(),
               HumanNs(static_cast<double>(latency_ns_.Percentile(99.9))).c_str(),
               HumanNs(static_cast<double>(latency_ns_.max())).c_str());
}

}  // namespace ombus::tools

#include "tools/record_source.h"

#include <algorithm>
#include <cstring>

#include "ombus/ring_layout.h"
#include "tools/cpu.h"
#include "tools/pacer.h"

namespace ombus::tools {
namespace {
constexpr int kInputWaitMs = 100;  // how soon a stop signal is noticed at the latest
constexpr uint8_t kLineType = 1;
}  // namespace

LineSource::LineSource(int fd, std::string name, uint32_t payload_max)
    : name_(name), payload_max_(payload_max), reader_(fd, std::move(name), payload_max) {}

size_t LineSource::Next(uint64_t wal_seq, std::span<Record> out) {
  std::array<std::string_view, kSourceBatchMax> lines;
  const LineReader::Lines read =
      reader_.Read(std::span(lines).first(std::min(out.size(), lines.size())), kInputWaitMs);
  for (size_t i = 0; i < read.count; ++i) {
    out[i] = {wal_seq + i, lines[i].data(), static_cast<uint16_t>(lines[i].size()), kLineType, 0};
  }
  at_end_ = read.state == LineReader::State::kEnd || read.state == LineReader::State::kTooLong ||
            read.state == LineReader::State::kFailed;
  if (read.state == LineReader::State::kFailed) status_ = reader_.status();
  if (read.state == LineReader::State::kTooLong) {
    const std::string line = std::to_string(reader_.lines_read() + 1);
    status_ = {StatusCode::kResourceExhausted,
               "publish \"" + name_ + "\" line " + line + ": longer than " +
                   std::to_string(payload_max_) +
                   " bytes, newline included, which is what a slot " + "of " +
                   std::to_string(payload_max_ + kSlotHeaderBytes) +
                   " holds; give a larger --slot-size (at most " + std::to_string(kSlotBytesMax) +
                   "); the lines before it were published"};
  }
  return read.count;
}

size_t OrderSource::Next(uint64_t wal_seq, std::span<Record> out) {
  const size_t count = std::min(out.size(), rooms_.size());
  const uint64_t now = rate_ == 0 ? NowNs() : 0;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t seq = wal_seq + i;
    const uint16_t size = flow_.Fill(seq, rooms_[i].data());
    const uint64_t due =
        rate_ == 0 ? now : start_ns_ + Pacer::OffsetNs(seq - first_wal_seq_, rate_);
    if (size >= kStampBytes) std::memcpy(rooms_[i].data(), &due, kStampBytes);
    out[i] = {seq, rooms_[i].data(), size, flow_.TypeOf(seq), 0};
  }
  return count;
}

}  // namespace ombus::tools

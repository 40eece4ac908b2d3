#include "net/client_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ombus::net {

ClientStream::ClientStream(uint32_t buffer_bytes, bool reject_reorder, uint64_t resume_from)
    : capacity_(std::max<size_t>(buffer_bytes, kFrameBytesMax)),
      resume_from_(resume_from),
      reject_reorder_(reject_reorder) {
  buffer_ = std::make_unique<std::byte[]>(capacity_);
  if (resume_from != 0) {
    expected_ = fast_wal_seq_ = resume_from;
    expects_ = true;
  }
}

std::span<std::byte> ClientStream::Compact() {
  const size_t partial = end_ - begin_;
  // Half of the buffer free is room enough: a long frame that dribbles in is not moved each time.
  if (begin_ != 0 && (partial == 0 || capacity_ - end_ < capacity_ / 2)) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, partial);
    begin_ = 0;
    end_ = partial;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void ClientStream::Reset(bool resuming) {
  expected_ = expected();
  begin_ = end_ = 0;
  skipping_ = resuming;
  fast_wal_seq_ = skipping_ || !expects_ ? kNoSequence : expected_;
  end_result_ = ClientResult::kEmpty;
  problem_.clear();
}

void ClientStream::StopSkipping() {
  skipping_ = false;
  if (expects_) fast_wal_seq_ = expected_;
}

uint64_t ClientStream::resume_from() const { return any_ ? expected() : resume_from_; }

ClientResult ClientStream::End(ClientResult result, std::string problem) {
  end_result_ = result;
  problem_ = std::move(problem);
  return result;
}

// Everything but the next data frame in sequence.
ClientResult ClientStream::NextSlow(Record* record) {
  while (end_result_ == ClientResult::kEmpty) {
    const std::span<const std::byte> bytes(buffer_.get() + begin_, end_ - begin_);
    if (!MayBecomeFrame(bytes)) {
      return End(ClientResult::kProtocolError, "the server sent bytes that are no frame");
    }
    Frame frame;
    switch (ParseFrame(bytes, &frame)) {
      case ParseResult::kPartial:
        return ClientResult::kEmpty;
      case ParseResult::kBadMagic:
        return End(ClientResult::kProtocolError, "the server sent bytes that are no frame");
      case ParseResult::kBadFlags:
        return End(ClientResult::kProtocolError, "the server sent a frame with unknown flags");
      case ParseResult::kFrame:
        break;
    }
    begin_ += frame.bytes();
    const ClientResult result = frame.control() ? OnControl(frame) : OnData(frame, record);
    if (result != ClientResult::kEmpty) return result;
  }
  return end_result_;
}

ClientResult ClientStream::OnData(const Frame& frame, Record* record) {
  SlowWarningFrame warning;
  if (ParseSlowWarning(frame, &warning)) {
    slow_warning_ = {warning.pending_bytes, warning.limit_bytes};
    return ClientResult::kSlowWarning;
  }
  if (skipping_) return ClientResult::kEmpty;
  *record = {frame.wal_seq, frame.payload, frame.size, frame.type, 0};
  const uint64_t expected = this->expected();
  const bool first = !expects_;
  // The expectation never goes back: a late record does not make those after it look like a gap.
  if (first || frame.wal_seq >= expected) fast_wal_seq_ = frame.wal_seq + 1;
  any_ = expects_ = true;
  if (first || frame.wal_seq == expected) return ClientResult::kRecord;
  if (frame.wal_seq > expected) {
    record->flags = kRecordGap;
    gap_expected_ = expected;
    return ClientResult::kGap;
  }
  record->flags = kRecordReorder;
  return reject_reorder_ ? ClientResult::kReorder : ClientResult::kRecord;
}

ClientResult ClientStream::OnControl(const Frame& frame) {
  switch (static_cast<ControlType>(frame.type)) {
    case ControlType::kWelcome: {
      Welcome welcome;
      if (!ParseWelcome(frame, &welcome) || welcome.version != kWireVersion) break;
      // Another incarnation of the stream counts anew: neither a gap nor a reorder.
      if (epoch_ != 0 && welcome.epoch != 0 && welcome.epoch != epoch_) {
        expects_ = false;
        fast_wal_seq_ = kNoSequence;
      }
      epoch_ = welcome.epoch;
      if (skipping_) StopSkipping();
      return ClientResult::kEmpty;
    }
    case ControlType::kBye: {
      Bye bye;
      if (!ParseBye(frame, &bye)) break;
      if (bye.why == static_cast<uint32_t>(ByeReason::kEndOfStream)) {
        return End(ClientResult::kEndOfStream, "the stream has ended");
      }
      return End(ClientResult::kDisconnected,
                 "the server said good-bye: " + std::string(bye.text.substr(0, 200)));
    }
    default:  // GAP comes back as kGap with the next record; what is new is for newer clients
      return ClientResult::kEmpty;
  }
  return End(ClientResult::kProtocolError, "the server sent a malformed control frame");
}

}  // namespace ombus::net

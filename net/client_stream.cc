#include "net/client_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ombus::net {
namespace {
constexpr char kNoFrame[] = "the peer sent bytes that are no frame; is that an ombus relay?";
}  // namespace

ClientStream::ClientStream(uint32_t buffer_bytes, bool reject_reorder, uint64_t resume_from)
    : capacity_(std::max<size_t>(buffer_bytes, kFrameBytesMax)),
      resume_from_(resume_from),
      reject_reorder_(reject_reorder) {
  buffer_ = std::make_unique<std::byte[]>(capacity_);
  if (resume_from != 0) {
    TakeFast(resume_from);
    expects_ = true;
  }
}

std::span<std::byte> ClientStream::Compact() {
  const size_t partial = end_ - begin_;
  // Half of the buffer free is room enough: a long frame that dribbles in is not moved each time.
  if (begin_ != 0 && (partial == 0 || capacity_ - end_ < capacity_ / 2)) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, partial);
    const size_t begin_before = std::exchange(begin_, 0);
    end_ = partial;
    moved_ = true;
    served_ |= std::exchange(idle_bytes_, 0) != begin_before;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void ClientStream::TakeFast(uint64_t wal_seq) {
  fast_magic_ = kFrameMagic;
  fast_wal_seq_ = wal_seq;
}

void ClientStream::TakeNothingFast() {
  expected_ = expected();
  fast_magic_ = kNoMagic;
}

void ClientStream::Reset(bool resuming) {
  TakeNothingFast();
  begin_ = end_ = 0;
  idle_bytes_ = 0;
  moved_ = served_ = refused_for_good_ = false;
  skipping_ = resuming;
  if (fresh_epoch_) epoch_ = record_epoch_;  // whose first record never came: to be told again
  fresh_epoch_ = gap_is_told_ = welcomed_ = false;
  heartbeat_ms_ = 0;
  if (!skipping_ && expects_) TakeFast(expected_);
  end_result_ = ClientResult::kEmpty;
  problem_.clear();
}

void ClientStream::StopSkipping() {
  skipping_ = false;
  if (expects_ && end_result_ == ClientResult::kEmpty) TakeFast(expected());
}

uint64_t ClientStream::resume_from() const { return any_ ? expected() : resume_from_; }

ClientResult ClientStream::End(ClientResult result, std::string problem) {
  TakeNothingFast();  // what follows the end is not looked at
  end_result_ = result;
  problem_ = std::move(problem);
  return result;
}

// Everything but the next data frame in sequence.
ClientResult ClientStream::NextSlow(Record* record) {
  while (end_result_ == ClientResult::kEmpty) {
    const std::span<const std::byte> bytes(buffer_.get() + begin_, end_ - begin_);
    if (!MayBecomeFrame(bytes)) {
      return End(ClientResult::kProtocolError, kNoFrame);
    }
    Frame frame;
    switch (ParseFrame(bytes, &frame)) {
      case ParseResult::kPartial:
        return ClientResult::kEmpty;
      case ParseResult::kBadMagic:
        return End(ClientResult::kProtocolError, kNoFrame);
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
    idle_bytes_ += frame.bytes();
    slow_warning_ = {warning.pending_bytes, warning.limit_bytes};
    return ClientResult::kSlowWarning;
  }
  if (skipping_) return ClientResult::kEmpty;
  *record = {frame.wal_seq, frame.payload, frame.size, frame.type, 0};
  const uint64_t expected = this->expected();
  const bool gap_is_told = std::exchange(gap_is_told_, false);
  const bool anew = std::exchange(fresh_epoch_, false) && frame.wal_seq < expected;
  const bool first = !expects_ || anew;
  // The expectation never goes back: a late record does not make those after it look like a gap.
  TakeFast(first || frame.wal_seq >= expected ? frame.wal_seq + 1 : expected);
  any_ = expects_ = true;
  record_epoch_ = epoch_;
  if (gap_is_told) return Gapped(record, anew ? 0 : expected);
  if (first || frame.wal_seq == expected) return ClientResult::kRecord;
  if (frame.wal_seq > expected) return Gapped(record, expected);
  record->flags = kRecordReorder;
  return reject_reorder_ ? ClientResult::kReorder : ClientResult::kRecord;
}

ClientResult ClientStream::Gapped(Record* record, uint64_t expected) {
  record->flags = kRecordGap;
  gap_expected_ = expected;
  return ClientResult::kGap;
}

ClientResult ClientStream::OnControl(const Frame& frame) {
  switch (static_cast<ControlType>(frame.type)) {
    case ControlType::kWelcome: {
      Welcome welcome;
      if (!ParseWelcome(frame, &welcome) || welcome.version != kWireVersion) break;
      // Who names none may not know it yet; a name after records without one is another epoch's,
      // but in the answer to HELLO.
      const uint64_t last = epoch_ != 0 ? epoch_ : record_epoch_;
      const bool follows = std::exchange(welcomed_, true) && any_;
      const bool changed = welcome.epoch != 0 && (last != 0 ? welcome.epoch != last : follows);
      if (!any_ || (record_epoch_ == 0 && !changed)) record_epoch_ = welcome.epoch;
      epoch_ = welcome.epoch;
      heartbeat_ms_ = welcome.heartbeat_ms;
      if (skipping_) StopSkipping();
      if (!changed) return ClientResult::kEmpty;
      // The next record takes the slow half, which alone knows that it may begin anew.
      TakeNothingFast();
      fresh_epoch_ = true;
      return ClientResult::kEpochChanged;
    }
    case ControlType::kGap: {
      Gap gap;
      if (!ParseGap(frame, &gap)) break;
      // That one comes back as kGap with the next record, whose sequence is not the expected one.
      // Of any other, known or not, the next record tells by itself, whatever its sequence.
      gap_is_told_ = gap.why != static_cast<uint32_t>(GapReason::kNotRetained);
      if (gap_is_told_) TakeNothingFast();
      return ClientResult::kEmpty;
    }
    case ControlType::kBye: {
      idle_bytes_ += frame.bytes();
      Bye bye;
      if (!ParseBye(frame, &bye)) break;
      refused_for_good_ = bye.why == static_cast<uint32_t>(ByeReason::kVersion);
      if (bye.why == static_cast<uint32_t>(ByeReason::kEndOfStream)) {
        return End(ClientResult::kEndOfStream, "the stream has ended");
      }
      return End(ClientResult::kDisconnected,
                 "the server said good-bye: " + PrintableText(bye.text.substr(0, 200)));
    }
    case ControlType::kHeartbeat:
      return ClientResult::kEmpty;
    default:  // what is new is for newer clients
      idle_bytes_ += frame.bytes();
      return ClientResult::kEmpty;
  }
  return End(ClientResult::kProtocolError, "the server sent a malformed control frame");
}

}  // namespace ombus::net

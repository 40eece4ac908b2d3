// What a server's clients may expect, whatever they and the network do: the records broadcast, and
// a peer that checks each byte it is sent against them.
//
// Every client gets a run of records without a gap, or is told: a jump comes only after WELCOME,
// and only where HELLO asked for it and either nothing wanted lies in between or GAP names it.
#ifndef OMBUS_TESTS_FUZZ_SESSION_MODEL_H_
#define OMBUS_TESTS_FUZZ_SESSION_MODEL_H_

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "net/frame.h"
#include "net/sim_network.h"
#include "tests/fuzz/fuzz_input.h"

namespace ombus::net {

// All that was broadcast, in order. A payload begins with its record's index.
class BroadcastModel {
 public:
  struct Entry {
    uint64_t wal_seq, epoch_number;
    uint16_t size;
  };

  void BeginEpoch(uint64_t epoch) {
    if (epoch != epochs_.back()) epochs_.push_back(epoch);
  }
  // The payload of the next record, which Add then says was taken.
  const std::vector<std::byte>& NextPayload(uint16_t size) {
    payload_.assign(size, static_cast<std::byte>(entries_.size()));
    StoreWord(payload_.data(), entries_.size());
    return payload_;
  }
  void Add(uint64_t wal_seq, uint16_t size) {
    entries_.push_back({wal_seq, epochs_.size() - 1, size});
  }

  size_t count() const { return entries_.size(); }
  const Entry& at(size_t index) const { return entries_[index]; }
  uint64_t epoch_of(size_t index) const { return epochs_[entries_[index].epoch_number]; }
  const std::vector<uint64_t>& epochs() const { return epochs_; }

  // The record that the frame carries, which is exactly as it was broadcast.
  size_t IndexOf(const Frame& frame) const {
    FUZZ_CHECK(frame.size >= 8);
    const uint64_t index = LoadWord(frame.payload);
    FUZZ_CHECK(index < entries_.size());
    const Entry& entry = entries_[index];
    FUZZ_CHECK(frame.wal_seq == entry.wal_seq && frame.size == entry.size && frame.type == 1);
    for (size_t i = 8; i < frame.size; ++i) {
      FUZZ_CHECK(frame.payload[i] == static_cast<std::byte>(index));
    }
    return index;
  }

  // Whether a client that asks for resume_from in the epoch of that number wants this record.
  bool Wanted(size_t index, uint64_t resume_from, uint64_t epoch_number) const {
    const Entry& entry = entries_[index];
    if (entry.epoch_number != epoch_number) return entry.epoch_number > epoch_number;
    return entry.wal_seq >= resume_from;
  }

 private:
  std::vector<Entry> entries_;
  std::vector<uint64_t> epochs_ = {0};
  std::vector<std::byte> payload_;
};

class SessionPeer {
 public:
  SessionPeer(SimNetwork* network, int fd, const BroadcastModel* model)
      : network_(network), model_(model), fd_(fd), joined_at_(model->count()) {}

  int fd() const { return fd_; }
  bool open() const { return network_->Known(fd_); }
  bool ended() const { return ended_; }
  bool wild() const { return wild_; }
  bool asked() const { return !asked_.empty(); }
  std::optional<size_t> next() const { return next_; }

  void SayHello(const Hello& hello) {
    asked_.push_back({hello, model_->epochs().size()});
    AppendHello(&outbox_, hello);
  }
  void SayHeartbeat(uint64_t wal_seq) { AppendHeartbeat(&outbox_, wal_seq); }
  void SayBye() { AppendBye(&outbox_, ByeReason::kShutdown, "done"); }
  // From now on what it gets is held to be genuine and in order only.
  void SayAnything(std::span<const std::byte> bytes) {
    wild_ = true;
    outbox_.insert(outbox_.end(), bytes.begin(), bytes.end());
  }
  void Write(size_t most) {
    const size_t n = std::min(most, outbox_.size());
    if (!open() || n == 0) return;
    const int written = network_->Write(fd_, std::span(outbox_).first(n));
    if (written > 0) outbox_.erase(outbox_.begin(), outbox_.begin() + written);
  }
  void Read(size_t most) {
    if (!open() || !network_->Readable(fd_)) return;
    const size_t had = inbox_.size();
    inbox_.resize(had + most);
    const int got = network_->Read(fd_, std::span(inbox_).subspan(had));
    inbox_.resize(had + static_cast<size_t>(std::max(got, 0)));
    if (got <= 0 && got != -EAGAIN) ended_ = true;
    TakeFrames();
  }

 private:
  struct Asked {
    Hello hello;
    size_t epochs;  // there were when it was asked
  };

  void TakeFrames() {
    std::span<const std::byte> left(inbox_);
    Frame frame;
    ParseResult result;
    while ((result = ParseFrame(left, &frame)) == ParseResult::kFrame) {
      FUZZ_CHECK(!bye_);  // is the last
      frame.control() ? OnControl(frame) : OnData(frame);
      left = left.subspan(frame.bytes());
    }
    FUZZ_CHECK(result == ParseResult::kPartial && MayBecomeFrame(left));
    inbox_.erase(inbox_.begin(), inbox_.end() - static_cast<ptrdiff_t>(left.size()));
  }

  void OnControl(const Frame& frame) {
    FUZZ_CHECK(wild_ || asked());  // a silent client gets none
    Gap gap;
    Bye bye;
    Welcome welcome;
    switch (static_cast<ControlType>(frame.type)) {
      case ControlType::kWelcome:
        FUZZ_CHECK(ParseWelcome(frame, &welcome) && welcome.version == kWireVersion);
        told_epoch_ = welcome.epoch;
        welcomed_ = after_welcome_ = true;
        gap_.reset();
        break;
      case ControlType::kGap:
        FUZZ_CHECK(after_welcome_ && !gap_.has_value() && ParseGap(frame, &gap));
        FUZZ_CHECK(gap.from <= gap.to && (gap.why == 1 || gap.why == 2));
        gap_ = gap;
        break;
      case ControlType::kBye:
        FUZZ_CHECK(ParseBye(frame, &bye));
        bye_ = true;
        break;
      default:
        FUZZ_CHECK(frame.type == static_cast<uint8_t>(ControlType::kHeartbeat) && !warned_);
    }
  }

  void OnData(const Frame& frame) {
    FUZZ_CHECK(!warned_);  // that is the last before BYE or the end
    SlowWarningFrame warning;
    if (ParseSlowWarning(frame, &warning)) {
      FUZZ_CHECK(warning.pending_bytes <= warning.limit_bytes);
      warned_ = true;
      return;
    }
    const size_t index = model_->IndexOf(frame);
    const bool goes_on = next_.has_value() ? index == *next_ : index >= joined_at_;
    if (!goes_on) CheckJump(index);
    if (!wild_ && welcomed_ && model_->epoch_of(index) != 0) {
      FUZZ_CHECK(told_epoch_ == model_->epoch_of(index));
    }
    next_ = index + 1;
    after_welcome_ = false;
  }

  void CheckJump(size_t index) const {
    FUZZ_CHECK(after_welcome_);
    if (wild_) return;  // it may have said any HELLO
    for (const Asked& asked : asked_) {
      if (MayJump(asked, index)) return;
    }
    FUZZ_CHECK(!"a jump that no HELLO asked for");
  }

  bool MayJump(const Asked& asked, size_t index) const {
    if (asked.hello.resume_from == 0) return false;
    if (gap_.has_value()) return GapNames(asked, index);
    // Which epoch counts for one that names none depends on when the server reads it.
    const std::vector<uint64_t>& epochs = model_->epochs();
    if (asked.hello.epoch == 0 && epochs.size() != asked.epochs) return true;
    size_t number = asked.hello.epoch == 0 ? epochs.size() - 1 : epochs.size();
    for (size_t i = 0; asked.hello.epoch != 0 && i < epochs.size(); ++i) {
      if (epochs[i] == asked.hello.epoch) number = i;
    }
    if (number == epochs.size()) return model_->at(index).wal_seq == 0;  // no GAP can name that
    for (size_t i = 0; i < index; ++i) {
      if (model_->Wanted(i, asked.hello.resume_from, number)) return false;
    }
    return true;
  }

  // Whether the GAP covers what is missing of the epoch in which the stream goes on.
  bool GapNames(const Asked& asked, size_t index) const {
    for (size_t i = 0; i < index; ++i) {
      if (model_->at(i).epoch_number != model_->at(index).epoch_number) continue;
      const uint64_t wal_seq = model_->at(i).wal_seq;
      if (gap_->why == 1 && wal_seq < asked.hello.resume_from) continue;
      if (wal_seq < gap_->from || wal_seq > gap_->to) return false;
    }
    return true;
  }

  SimNetwork* network_;
  const BroadcastModel* model_;
  int fd_;
  size_t joined_at_;
  std::vector<std::byte> outbox_, inbox_;
  std::vector<Asked> asked_;
  std::optional<size_t> next_;
  std::optional<Gap> gap_;
  uint64_t told_epoch_ = 0;
  bool wild_ = false, ended_ = false, bye_ = false, warned_ = false;
  bool welcomed_ = false, after_welcome_ = false;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_FUZZ_SESSION_MODEL_H_

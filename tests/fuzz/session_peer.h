// SessionPeer: a client of any kind that checks each byte it is sent against what was broadcast.
//
// Every client gets a run of records without a gap, or is told: by GAP, which names what is
// missing and nothing that comes; by a warning, where GAP is not for it; or it has asked for the
// jump itself, by HELLO.
#ifndef OMBUS_TESTS_FUZZ_SESSION_PEER_H_
#define OMBUS_TESTS_FUZZ_SESSION_PEER_H_

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "net/frame.h"
#include "net/sim_network.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/session_model.h"

namespace ombus::net {

class SessionPeer {
 public:
  // `skips`: the server may leave something out and go on.
  SessionPeer(SimNetwork* network, int fd, const BroadcastModel* model, bool skips)
      : network_(network), model_(model), fd_(fd), joined_at_(model->count()), skips_(skips) {}

  int fd() const { return fd_; }
  bool open() const { return network_->Known(fd_); }
  bool ended() const { return ended_; }
  // Whether it has all there is, of which `last` is the latest sequence; or came from another
  // server with more than that of the latest epoch, and is to be sent nothing yet.
  bool HasAll(uint64_t last) const {
    if (next_ == model_->count()) return true;
    return welcome_.has_value() && welcome_->epoch == model_->epochs().back().name &&
           (welcome_->first_wal_seq > last || AskedBeyond(last));
  }

  void SayHello(const Hello& hello) {
    AppendHello(&outbox_, hello);
    asked_.push_back({hello, model_->epochs().size(), written_ + outbox_.size()});
  }
  void SayHeartbeat(uint64_t wal_seq) { AppendHeartbeat(&outbox_, wal_seq); }
  void SayBye() { AppendBye(&outbox_, ByeReason::kShutdown, "done"); }
  // From now on what it gets is held to be genuine, and any jump to be told in some way.
  void SayAnything(std::span<const std::byte> bytes) {
    wild_ = true;
    outbox_.insert(outbox_.end(), bytes.begin(), bytes.end());
  }
  void Write(size_t most) {
    const size_t n = std::min(most, outbox_.size());
    if (!open() || n == 0) return;
    const int written = network_->Write(fd_, std::span(outbox_).first(n));
    if (written <= 0) return;
    written_ += static_cast<size_t>(written);
    outbox_.erase(outbox_.begin(), outbox_.begin() + written);
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
    size_t end;     // of its bytes, in all that this peer writes
  };
  struct ToldGap {
    Gap gap;
    uint64_t epoch;  // the one told last
    bool is(GapReason why) const { return gap.why == static_cast<uint32_t>(why); }
    bool Names(uint64_t wal_seq) const { return gap.from <= wal_seq && wal_seq <= gap.to; }
  };

  // In an epoch that had no record yet: WELCOME then names none as the first. What came before
  // WELCOME does not count. The last whole HELLO was answered; where that goes on from where the
  // client is, one before it decides, though not one that another replaced before it was answered.
  bool AskedBeyond(uint64_t last) const {
    if (!welcome_since_data_ || welcome_->first_wal_seq != 0 || welcome_->epoch == 0) return false;
    const auto latest = std::find_if(asked_.rbegin(), asked_.rend(),
                                     [this](const Asked& asked) { return asked.end <= written_; });
    if (latest == asked_.rend()) return false;
    const auto end = latest->hello.resume_from != 0 ? latest + 1 : asked_.rend();
    return std::any_of(latest, end, [&](const Asked& asked) {
      return asked.hello.epoch == welcome_->epoch && asked.hello.resume_from > last;
    });
  }

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
    FUZZ_CHECK(wild_ || !asked_.empty());  // a silent client gets none
    Gap gap;
    Bye bye;
    Welcome welcome;
    switch (static_cast<ControlType>(frame.type)) {
      case ControlType::kWelcome:
        FUZZ_CHECK(ParseWelcome(frame, &welcome) && welcome.version == kWireVersion);
        welcome_ = welcome;
        welcomed_ = welcome_since_data_ = true;
        gaps_before_welcome_ = gaps_.size();
        break;
      case ControlType::kGap:
        FUZZ_CHECK(welcomed_ && ParseGap(frame, &gap));
        FUZZ_CHECK(gap.from <= gap.to && gap.why >= 1 && gap.why <= 3);
        FUZZ_CHECK(skips_ || gap.why != static_cast<uint32_t>(GapReason::kSkipped));
        gaps_.push_back({gap, welcome_->epoch});
        break;
      case ControlType::kBye:
        FUZZ_CHECK(ParseBye(frame, &bye));
        bye_ = true;
        break;
      default:
        FUZZ_CHECK(frame.type == static_cast<uint8_t>(ControlType::kHeartbeat));
    }
  }

  void OnData(const Frame& frame) {
    SlowWarningFrame warning;
    if (ParseSlowWarning(frame, &warning)) {
      // Also to who waits for the answer to its first HELLO, or to another.
      jump_warned_ |= skips_ && (!welcomed_ || asked_.size() > 1);
      return;
    }
    const size_t index = model_->IndexOf(frame);
    if (next_.has_value() ? index != *next_ : index < joined_at_) CheckJump(index);
    if (!wild_ && welcomed_) CheckTold(index);
    next_ = index + 1;
    welcome_since_data_ = jump_warned_ = false;
    gaps_.clear();
    gaps_before_welcome_ = 0;
  }

  void CheckJump(size_t index) const {
    if (wild_) {  // it may have said any HELLO
      FUZZ_CHECK(welcome_since_data_ || jump_warned_ || !gaps_.empty() || skips_);
      return;
    }
    if (next_.has_value() && index > *next_ && AllTold(*next_, index)) return;
    FUZZ_CHECK(welcome_since_data_);
    for (const Asked& asked : asked_) {
      if (MayJump(asked, index)) return;
    }
    FUZZ_CHECK(!"a jump that nobody told and no HELLO asked for");
  }

  // What stands before a record of a client that said HELLO agrees with it.
  void CheckTold(size_t index) const {
    const BroadcastModel::Entry& entry = model_->at(index);
    const BroadcastModel::Epoch& epoch = model_->epoch_of(index);
    FUZZ_CHECK(epoch.name == 0 || welcome_->epoch == epoch.name);
    // Where epochs have no names nobody can say in which one a sequence counts.
    const bool named_one = epoch.name != 0 || model_->epochs().size() == 1;
    for (size_t i = gaps_before_welcome_; named_one && i < gaps_.size(); ++i) {
      const ToldGap& told = gaps_[i];
      FUZZ_CHECK(told.epoch != epoch.name || entry.wal_seq == 0 || entry.wal_seq > told.gap.to);
    }
    if (named_one && welcome_since_data_ && welcome_->first_wal_seq != 0 &&
        welcome_->epoch == epoch.name) {
      FUZZ_CHECK(entry.wal_seq >= welcome_->first_wal_seq);
      for (size_t i = epoch.first; i < index; ++i) {
        FUZZ_CHECK(model_->at(i).wal_seq < welcome_->first_wal_seq || Told(i, index));
      }
    }
    const bool enters =
        !next_.has_value() || model_->at(*next_ - 1).epoch_number != entry.epoch_number;
    const bool resumed = std::any_of(asked_.begin(), asked_.end(),
                                     [](const Asked& a) { return a.hello.resume_from != 0; });
    if (enters && index == epoch.first && !epoch.whole && epoch.name != 0 && !resumed) {
      FUZZ_CHECK(std::any_of(gaps_.begin(), gaps_.end(),
                             [](const ToldGap& told) { return told.is(GapReason::kEpochStart); }));
    }
  }

  // Whether it was told, since the last record, that this one does not come before `index`.
  bool Told(size_t missing, size_t index) const {
    if (jump_warned_) return true;
    const BroadcastModel::Entry& entry = model_->at(missing);
    const bool same_epoch = entry.epoch_number == model_->at(index).epoch_number;
    const uint64_t name = model_->epoch_of(missing).name;
    return std::any_of(gaps_.begin(), gaps_.end(), [&](const ToldGap& told) {
      if (told.is(GapReason::kEpochStart)) return !same_epoch || told.Names(entry.wal_seq);
      // An epoch without a name is not told of, and so nobody can say which one is meant.
      if (name == 0) return !same_epoch || told.Names(entry.wal_seq);
      return name == told.epoch && told.Names(entry.wal_seq);
    });
  }
  bool AllTold(size_t from, size_t index) const {
    for (size_t i = from; i < index; ++i) {
      if (!Told(i, index)) return false;
    }
    return true;
  }

  bool MayJump(const Asked& asked, size_t index) const {
    const Hello& hello = asked.hello;
    if (hello.resume_from == 0) return false;
    // Which epoch counts for one that names none depends on when the server reads it.
    if (hello.epoch == 0 && model_->epochs().size() != asked.epochs) return true;
    const auto number = model_->Find(hello.epoch);
    for (size_t i = 0; i < index; ++i) {
      const bool wanted = number.has_value() ? model_->Wanted(i, hello.resume_from, *number)
                                             : i >= model_->FirstAfter(hello.epoch);
      if (wanted && !Told(i, index)) return false;
    }
    return true;
  }

  SimNetwork* network_;
  const BroadcastModel* model_;
  int fd_;
  size_t joined_at_;
  bool skips_;
  std::vector<std::byte> outbox_, inbox_;
  size_t written_ = 0;
  std::vector<Asked> asked_;
  std::optional<size_t> next_;
  std::optional<Welcome> welcome_;  // the last
  std::vector<ToldGap> gaps_;       // since the last record
  size_t gaps_before_welcome_ = 0;  // what HELLO asks for may have been told as missing before
  bool wild_ = false, ended_ = false, bye_ = false, welcomed_ = false;
  bool welcome_since_data_ = false, jump_warned_ = false;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_FUZZ_SESSION_PEER_H_

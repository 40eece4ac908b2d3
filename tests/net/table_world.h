// TableWorld: a SessionTable and its clients without a network: what each is sent is read at once,
// as far as the test lets it.
#ifndef OMBUS_TESTS_NET_TABLE_WORLD_H_
#define OMBUS_TESTS_NET_TABLE_WORLD_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/session_table.h"
#include "net/socket.h"
#include "tests/net/frame_store.h"
#include "tests/net/told.h"

namespace ombus::net {

inline constexpr uint64_t kNsPerMs = 1'000'000;

class TableWorld : public ::testing::Test {
 protected:
  void Make(ServerOptions options = {}) {
    options.log_bytes = kLogBytesMin;
    ASSERT_TRUE(SessionTable::CheckOptions(&options).ok());
    table_ = std::make_unique<SessionTable>(std::move(*BroadcastLog::Create(1)), options);
  }
  // With a source that has only what the test gives it.
  void MakeWithSource(ServerOptions options = {}) {
    options.catch_up = store_ = std::make_shared<FrameStore>();
    Make(options);
  }

  size_t Join() {
    const size_t slot = table_->Add(7, *ParseAddress("10.0.0.1", 99), now_ns_);
    unread_.resize(std::max(unread_.size(), slot + 1));
    return slot;
  }
  size_t Join(const Hello& hello) {
    const size_t slot = Join();
    SayHello(slot, hello);
    return slot;
  }
  void SayHello(size_t slot, const Hello& hello) {
    std::vector<std::byte> bytes;
    AppendHello(&bytes, hello);
    EXPECT_EQ(table_->OnReceived(table_->at(slot), bytes, now_ns_), SessionTable::Verdict::kKeep);
  }

  // Records of `size` bytes, the policy applied to who would lag more than it may.
  void Broadcast(uint64_t first, uint64_t last, size_t size = 8) {
    for (uint64_t wal_seq = first; wal_seq <= last; ++wal_seq) {
      const uint64_t bytes = FrameBytes(size);
      table_->Refresh();
      if (table_->log().head() + bytes > table_->limit()) table_->MakeRoom(bytes, now_ns_);
      table_->SaveOwed(bytes);
      table_->log().Append(RecordOf(wal_seq, size));
      table_->Refresh();
    }
  }
  void Store(uint64_t epoch, uint64_t first, uint64_t last, size_t size = 8) {
    for (uint64_t seq = first; seq <= last; ++seq) store_->Append(epoch, RecordOf(seq, size));
  }

  // A turn in which the client takes at most so many bytes, and what it has whole by then.
  std::string Turn(size_t slot, size_t most = ~size_t{0}) {
    Session& session = table_->at(slot);
    std::vector<std::byte>& unread = unread_[slot];
    table_->BeginTurn();
    while (most != 0) {
      const auto bytes = table_->NextSend(session);
      if (bytes.empty()) break;
      const auto taken = bytes.first(std::min(bytes.size(), most));
      unread.insert(unread.end(), taken.begin(), taken.end());
      most -= taken.size();
      table_->OnSent(session, static_cast<uint32_t>(taken.size()));
    }
    table_->Refresh();
    return TakeFrames(&unread);
  }
  // Turns until it is sent no more, the timers served, the clock going on by `ms`.
  std::string After(uint64_t ms, size_t slot) {
    std::string told = Turn(slot);
    for (const uint64_t end_ns = now_ns_ + ms * kNsPerMs; now_ns_ < end_ns;) {
      now_ns_ += kNsPerMs;
      if (now_ns_ >= table_->timer_ns()) {
        table_->RestartTimer();
        EXPECT_EQ(table_->OnTimer(table_->at(slot), now_ns_), "");
      }
      told += Turn(slot);
    }
    return told;
  }
  // The sequences that the WELCOMEs of the last turn said would follow.
  const std::vector<uint64_t>& firsts() const { return firsts_; }
  static std::string Run(uint64_t first, uint64_t last) {
    std::string all;
    for (uint64_t seq = first; seq <= last; ++seq) all += std::to_string(seq) + " ";
    return all;
  }

  uint64_t now_ns_ = 1'000'000'000'000;
  std::shared_ptr<FrameStore> store_;
  std::unique_ptr<SessionTable> table_;

 private:
  Record RecordOf(uint64_t wal_seq, size_t size) {
    payload_.assign(size, static_cast<uint8_t>(wal_seq));
    return {.wal_seq = wal_seq,
            .payload = payload_.data(),
            .size = static_cast<uint16_t>(size),
            .type = 1};
  }
  std::string TakeFrames(std::vector<std::byte>* unread) {
    std::string told;
    firsts_.clear();
    std::span<const std::byte> left(*unread);
    Frame frame;
    ParseResult parsed;
    while ((parsed = ParseFrame(left, &frame)) == ParseResult::kFrame) {
      told += Told(frame) + " ";
      Welcome welcome;
      if (ParseWelcome(frame, &welcome)) firsts_.push_back(welcome.first_wal_seq);
      left = left.subspan(frame.bytes());
    }
    EXPECT_EQ(parsed, ParseResult::kPartial);
    unread->erase(unread->begin(), unread->end() - static_cast<ptrdiff_t>(left.size()));
    return told;
  }

  std::vector<std::vector<std::byte>> unread_;
  std::vector<uint64_t> firsts_;
  std::vector<uint8_t> payload_;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_TABLE_WORLD_H_

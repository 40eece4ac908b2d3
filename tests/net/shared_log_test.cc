#include "net/shared_log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "net/session_table.h"

namespace ombus::net {
namespace {

class SharedLogTest : public ::testing::Test {
 protected:
  void Make(uint32_t readers, ServerOptions options = {}) {
    ASSERT_TRUE(SessionTable::CheckOptions(&options).ok());
    options_ = options;
    auto log = SharedLog::Create(options, readers);
    ASSERT_TRUE(log.ok()) << log.status().message();
    log_ = std::move(*log);
  }
  BroadcastResult Send(uint16_t size = 1000) {
    const std::vector<std::byte> payload(size, static_cast<std::byte>(next_));
    const auto result =
        log_->Broadcast({.wal_seq = next_, .payload = payload.data(), .size = size, .type = 1});
    next_ += result == BroadcastResult::kOk;
    return result;
  }
  void SendUntilFull() {
    while (Send() == BroadcastResult::kOk) {
    }
  }

  ServerOptions options_;
  std::unique_ptr<SharedLog> log_;
  uint64_t next_ = 1;
};

TEST_F(SharedLogTest, AReaderSeesWhatIsPublishedAndNoMore) {
  Make(1);
  BroadcastLog view = log_->View();
  ASSERT_EQ(Send(), BroadcastResult::kOk);
  EXPECT_EQ(log_->head(), 0u);
  EXPECT_TRUE(log_->Publish());
  EXPECT_FALSE(log_->Publish());
  EXPECT_EQ(log_->head(), log_->log().head());
  view.TakeOver();
  EXPECT_EQ(view.head(), log_->head());
  EXPECT_EQ(view.last_wal_seq(), 1u);
  EXPECT_EQ(view.Window(0, ~uint64_t{0}).data(), log_->log().Window(0, ~uint64_t{0}).data());
}

TEST_F(SharedLogTest, AViewFindsTheSameBoundariesAsTheLog) {
  Make(1);
  BroadcastLog view = log_->View();
  for (int i = 0; i < 2000; ++i)
    ASSERT_EQ(Send(static_cast<uint16_t>(i % 700)), BroadcastResult::kOk);
  log_->Publish();
  while (view.head() < log_->head()) view.TakeOver();
  EXPECT_EQ(view.frames(), log_->log().frames());
  for (uint64_t cursor = 0; cursor <= view.head(); cursor += 777) {
    EXPECT_EQ(view.BoundaryAfter(cursor).position, log_->log().BoundaryAfter(cursor).position);
    EXPECT_EQ(view.BoundaryAfter(cursor).frame, log_->log().BoundaryAfter(cursor).frame);
  }
  const auto found = view.Find(1500, {}, view.head());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(view.WalSeqAt(found->position), 1500u);
}

TEST_F(SharedLogTest, TheWriterStopsAtTheReaderThatIsFurthestBehindAndGoesOnWhenThatDoes) {
  Make(2);
  SendUntilFull();
  const uint64_t full = log_->log().head();
  EXPECT_LE(full, log_->log().bytes() - kLagMarginBytes);
  EXPECT_GT(full + FrameBytes(1000), log_->log().bytes() - kLagMarginBytes);
  log_->Report(0, full, full);
  EXPECT_EQ(Send(), BroadcastResult::kFull);
  log_->Report(1, FrameBytes(1000), FrameBytes(1000));
  EXPECT_EQ(Send(), BroadcastResult::kOk);
  EXPECT_EQ(Send(), BroadcastResult::kFull);
  EXPECT_FALSE(log_->Drained());
  log_->Report(0, full, log_->log().head());
  log_->GiveUp(1);
  EXPECT_TRUE(log_->Drained());
  EXPECT_EQ(Send(), BroadcastResult::kFull);  // what has failed may still be read
}

TEST_F(SharedLogTest, TheWriterCanGoOnHoweverFarClientsMayLag) {
  ServerOptions options{.log_bytes = 1u << 20};
  options.client_lag_bytes_max = options.log_bytes - kLagMarginBytes;
  Make(1, options);
  SendUntilFull();
  const uint64_t head = log_->log().head();
  log_->Report(0, head - options_.client_lag_bytes_max, 0);
  EXPECT_GE(log_->room(), SharedLog::kLeadBytes);
}

TEST_F(SharedLogTest, ARecordOfMoreThanAClientMayLagIsRefused) {
  Make(1, {.client_lag_bytes_max = 10'000});
  EXPECT_EQ(Send(20'000), BroadcastResult::kTooLarge);
  EXPECT_EQ(log_->log().head(), 0u);
}

TEST_F(SharedLogTest, EpochsAreKeptUntilEveryReaderIsBeyondThem) {
  Make(2);
  for (uint64_t epoch = 1; epoch <= 3; ++epoch) {
    ASSERT_EQ(Send(), BroadcastResult::kOk);
    log_->BeginEpoch(epoch, epoch != 2);
  }
  std::vector<SharedLog::Epoch> epochs;
  EXPECT_EQ(log_->CopyEpochs(0, &epochs), 3u);
  ASSERT_EQ(epochs.size(), 3u);
  EXPECT_EQ(epochs[1].position, 2 * FrameBytes(1000));
  EXPECT_FALSE(epochs[1].whole);
  for (uint32_t reader : {0, 1}) log_->Report(reader, epochs[1].position + 1, 0);
  log_->BeginEpoch(4, true);
  epochs.clear();
  EXPECT_EQ(log_->CopyEpochs(0, &epochs), 4u);
  ASSERT_EQ(epochs.size(), 2u);
  EXPECT_EQ(epochs[0].epoch, 3u);
  epochs.clear();
  EXPECT_EQ(log_->CopyEpochs(3, &epochs), 4u);
  ASSERT_EQ(epochs.size(), 1u);
  EXPECT_EQ(epochs[0].epoch, 4u);
}

// Also what ThreadSanitizer has to say.
TEST_F(SharedLogTest, ReadersInThreadsOfTheirOwnReadEveryByteAsItWasWritten) {
  Make(2, {.log_bytes = 256u << 10});
  constexpr uint64_t kRecords = 20'000;
  std::vector<std::thread> readers;
  std::vector<uint64_t> wrong(2, 0);
  for (uint32_t reader : {0, 1}) {
    readers.emplace_back([this, reader, &wrong, view = log_->View()]() mutable {
      while (view.frames() < kRecords) {
        const uint64_t from = view.head(), published = log_->head();
        while (view.head() < published) {
          const uint64_t at = view.head();
          view.TakeOver();
          Frame frame;
          const bool good =
              ParseFrame(view.Window(at, ~uint64_t{0}), &frame) == ParseResult::kFrame &&
              frame.wal_seq == view.frames() && frame.bytes() == view.head() - at &&
              (frame.size == 0 ||
               frame.payload[frame.size - 1] == static_cast<std::byte>(frame.wal_seq));
          wrong[reader] += !good;
        }
        if (view.head() == from) std::this_thread::yield();
        log_->Report(reader, view.head(), view.head());
      }
    });
  }
  while (next_ <= kRecords) {
    if (Send(static_cast<uint16_t>(next_ % 300)) == BroadcastResult::kFull)
      std::this_thread::yield();
    if (next_ % 7 == 0) log_->Publish();
    if (next_ > kRecords || log_->room() < 1000) log_->Publish();
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong[0] + wrong[1], 0u);
  EXPECT_TRUE(log_->Drained());
}

}  // namespace
}  // namespace ombus::net

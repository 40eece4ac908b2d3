#include "net/broadcast_log.h"

#include <gtest/gtest.h>

namespace ombus::net {
namespace {

void Append(BroadcastLog* log, uint64_t wal_seq, uint16_t size) {
  std::vector<std::byte> payload(size, static_cast<std::byte>(wal_seq));
  log->Append({.wal_seq = wal_seq, .payload = payload.data(), .size = size, .type = 1});
}

TEST(BroadcastLogTest, WindowsAreContiguousOverTheSeam) {
  auto log = BroadcastLog::Create(1);
  ASSERT_TRUE(log.ok()) << log.status().message();
  ASSERT_EQ(log->bytes(), kLogBytesMin);
  for (uint64_t i = 1; log->head() < 5 * kLogBytesMin; ++i) {
    const uint64_t at = log->head();
    Append(&*log, i, static_cast<uint16_t>(i * 37 % 5000));
    Frame frame;
    ASSERT_EQ(ParseFrame(log->Window(at, ~uint64_t{0}), &frame), ParseResult::kFrame);
    ASSERT_EQ(frame.wal_seq, i);
    for (size_t n = 0; n < frame.size; ++n) {
      ASSERT_EQ(frame.payload[n], static_cast<std::byte>(i));
    }
  }
}

TEST(BroadcastLogTest, FindsTheBoundariesAroundEveryRetainedCursor) {
  auto log = BroadcastLog::Create(kLogBytesMin);
  ASSERT_TRUE(log.ok());
  std::vector<uint64_t> starts;
  for (uint64_t i = 0; log->head() < 3 * kLogBytesMin; ++i) {
    starts.push_back(log->head());
    Append(&*log, i, i % 50 == 0 ? 65535 : static_cast<uint16_t>(i % 400));
  }
  starts.push_back(log->head());
  const uint64_t oldest = log->head() - (log->bytes() - kLagMarginBytes);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    for (uint64_t cursor : {starts[i], starts[i] + 1, starts[i + 1] - 1}) {
      if (cursor < oldest) continue;
      ASSERT_EQ(log->BoundaryBefore(cursor).position, starts[i]);
      ASSERT_EQ(log->BoundaryBefore(cursor).frame, i);
      ASSERT_EQ(log->BoundaryAfter(cursor).position, starts[i + (cursor != starts[i])]);
    }
  }
}

TEST(BroadcastLogTest, FindsASequenceOnlyWhileItIsRetained) {
  auto log = BroadcastLog::Create(kLogBytesMin);
  ASSERT_TRUE(log.ok());
  EXPECT_FALSE(log->Find(1, {}, log->head()).has_value());
  for (uint64_t i = 1; i <= 1000; ++i) Append(&*log, i * 2, 64);
  ASSERT_TRUE(log->Find(501, {}, log->head()).has_value());
  EXPECT_EQ(log->WalSeqAt(log->Find(501, {}, log->head())->position), 502u);
  EXPECT_FALSE(log->Find(2001, {}, log->head()).has_value());
  EXPECT_FALSE(log->Find(1, {}, log->head()).has_value());  // the log begins behind it
  for (uint64_t i = 0; i < 10'000; ++i) Append(&*log, 2003 + i, 64);
  EXPECT_FALSE(log->Find(501, {}, log->head()).has_value());
  const auto oldest = log->Oldest(log->bytes() / 2);
  ASSERT_TRUE(oldest.has_value());
  EXPECT_LE(log->head() - oldest->position, log->bytes() / 2);
}

TEST(BroadcastLogTest, FindsASequenceOnlyBehindThePlaceWhereSequencesBeginAnew) {
  auto log = BroadcastLog::Create(kLogBytesMin);
  ASSERT_TRUE(log.ok());
  for (uint64_t i = 1; i <= 1000; ++i) Append(&*log, i, 64);
  const BroadcastLog::Place anew{log->head(), log->frames()};
  EXPECT_FALSE(log->Find(1, anew, log->head()).has_value());
  for (uint64_t i = 1; i <= 500; ++i) Append(&*log, i, 64);
  for (const uint64_t wal_seq : {1, 2, 250, 500}) {
    const auto found = log->Find(wal_seq, anew, log->head());
    ASSERT_TRUE(found.has_value()) << wal_seq;
    EXPECT_EQ(found->frame, 999 + wal_seq);
    EXPECT_EQ(log->WalSeqAt(found->position), wal_seq);
  }
  EXPECT_FALSE(log->Find(501, anew, log->head()).has_value());
  // What follows with lower sequences does not hide what comes before it, nor stand in for it.
  for (const uint64_t wal_seq : {1, 250, 1000}) {
    const auto found = log->Find(wal_seq, {}, anew.position);
    ASSERT_TRUE(found.has_value()) << wal_seq;
    EXPECT_EQ(found->frame, wal_seq - 1);
  }
  EXPECT_FALSE(log->Find(1001, {}, anew.position).has_value());
}

TEST(BroadcastLogTest, RefusesASizeThatNobodyHas) {
  EXPECT_EQ(BroadcastLog::Create(~uint64_t{0}).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ombus::net

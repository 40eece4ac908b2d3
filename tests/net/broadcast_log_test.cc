#include "net/broadcast_log.h"

#include <gtest/gtest.h>

#include <algorithm>

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

TEST(BroadcastLogTest, ARunLeavesWhatOneAtATimeWouldHave) {
  auto log = BroadcastLog::Create(kLogBytesMin), other = BroadcastLog::Create(kLogBytesMin);
  ASSERT_TRUE(log.ok() && other.ok());
  std::vector<std::byte> payload(2000);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 7);
  size_t runs = 0, longest = 0;
  for (uint64_t wal_seq = 1; log->head() < 3 * kLogBytesMin;) {
    std::vector<Record> records;
    for (uint64_t i = 0; i < wal_seq % 40; ++i) {
      const size_t size = wal_seq % 90 == 0 ? 2000 : (wal_seq * 37 + i) % 300;
      const auto type = static_cast<uint8_t>(wal_seq % 200);
      records.push_back({wal_seq++, payload.data() + i, static_cast<uint16_t>(size), type, 0});
      if (size == 2000) records.back().payload = payload.data();
    }
    ++wal_seq;
    for (size_t done = 0; done < records.size(); ++runs) {
      const size_t run = log->AppendRun(std::span(records).subspan(done), ~uint64_t{0});
      longest = std::max(longest, run);
      done += run;
      if (done < records.size()) log->Append(records[done++]);
    }
    for (const Record& record : records) other->Append(record);
    ASSERT_EQ(log->head(), other->head());
    ASSERT_EQ(log->frames(), other->frames());
    ASSERT_EQ(log->last_wal_seq(), other->last_wal_seq());
  }
  EXPECT_GT(longest, 30u);
  EXPECT_GT(runs, 100u);
  const uint64_t from = log->head() - (log->bytes() - kLagMarginBytes);
  const auto window = log->Window(from, ~uint64_t{0}), same = other->Window(from, ~uint64_t{0});
  EXPECT_TRUE(std::equal(window.begin(), window.end(), same.begin(), same.end()));
  for (uint64_t cursor = from; cursor < log->head(); cursor += 1001) {
    ASSERT_EQ(log->BoundaryBefore(cursor).position, other->BoundaryBefore(cursor).position);
    ASSERT_EQ(log->BoundaryBefore(cursor).frame, other->BoundaryBefore(cursor).frame);
  }
}

TEST(BroadcastLogTest, ARunEndsAtTheLimitAndNotBeyond) {
  auto log = BroadcastLog::Create(kLogBytesMin);
  ASSERT_TRUE(log.ok());
  const char payload[64] = {};
  const std::vector<Record> records(10, {.wal_seq = 1, .payload = payload, .size = 64, .type = 1});
  EXPECT_EQ(log->AppendRun(records, 800), 0u);  // the first boundary is to be noted
  log->Append(records[0]);
  EXPECT_EQ(log->AppendRun(records, 4 * 80 - 1), 2u);
  EXPECT_EQ(log->head(), 3u * 80);
  EXPECT_EQ(log->AppendRun(records, 4 * 80), 1u);
  EXPECT_EQ(log->AppendRun(records, 4 * 80), 0u);
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

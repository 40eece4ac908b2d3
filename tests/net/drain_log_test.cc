#include "net/drain_log.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace ombus::net {
namespace {

constexpr uint64_t kFrame = FrameBytes(1000);

class DrainLogTest : public testing::Test {
 protected:
  DrainLogTest() : log_(std::move(*BroadcastLog::Create(1u << 20))) {}

  void Append(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      const std::vector<uint8_t> payload(1000, static_cast<uint8_t>(++wal_seq_));
      log_.Append({.wal_seq = wal_seq_, .payload = payload.data(), .size = 1000, .type = 1});
    }
  }
  std::vector<DrainPiece> Hold(uint64_t from, uint64_t to) {
    std::vector<DrainPiece> pieces;
    drains_.Hold(log_, from, to, &pieces);
    return pieces;
  }
  // Whether the pieces are the whole frames from the boundary `from` to the boundary `to`.
  static bool Are(const std::vector<DrainPiece>& pieces, uint64_t from, uint64_t to) {
    std::vector<std::byte> all;
    for (const DrainPiece& piece : pieces) {
      all.insert(all.end(), piece.bytes.begin(), piece.bytes.end());
    }
    if (all.size() != to - from) return false;
    for (uint64_t at = 0; at < all.size(); at += kFrame) {
      const uint64_t wal_seq = (from + at) / kFrame + 1;
      if (LoadWord(&all[at + 8]) != wal_seq) return false;
      if (all[at + kFrame - 1] != static_cast<std::byte>(wal_seq)) return false;
    }
    return true;
  }

  BroadcastLog log_;
  DrainLog drains_;
  uint64_t wal_seq_ = 0;
};

TEST_F(DrainLogTest, KeepsWhatTheLogHasWrittenOver) {
  Append(100);
  const auto pieces = Hold(10 * kFrame, 100 * kFrame);
  Append(3000);
  EXPECT_TRUE(Are(pieces, 10 * kFrame, 100 * kFrame));
}

TEST_F(DrainLogTest, CopiesOnceWhatManyAreOwed) {
  Append(500);
  const uint64_t head = log_.head();
  std::vector<std::vector<DrainPiece>> clients;
  for (uint64_t i = 0; i < 100; ++i) clients.push_back(Hold((100 - i) * kFrame, head));
  EXPECT_LE(drains_.bytes(), head);
  Append(3000);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(Are(clients[i], (100 - i) * kFrame, head));
}

TEST_F(DrainLogTest, CopiesOnlyWhatCameSinceForWhoIsCutLater) {
  Append(500);
  std::vector<std::vector<DrainPiece>> clients;
  for (uint64_t i = 0; i < 1500; ++i) {
    clients.push_back(Hold(log_.head() - 500 * kFrame, log_.head()));
    Append(1);
  }
  EXPECT_LE(drains_.bytes(), 2000 * kFrame);
  for (uint64_t i = 0; i < 1500; ++i) {
    ASSERT_TRUE(Are(clients[i], i * kFrame, (500 + i) * kFrame));
    ASSERT_LE(clients[i].size(), 5u) << "a client is sent a piece at a time";
  }
}

TEST_F(DrainLogTest, LetsGoOfWhatNobodyIsOwedAnyMore) {
  Append(500);
  auto first = Hold(0, 500 * kFrame);
  Append(400);
  auto second = Hold(450 * kFrame, 900 * kFrame);
  first.clear();
  EXPECT_TRUE(Are(second, 450 * kFrame, 900 * kFrame));
  Append(400);
  auto third = Hold(900 * kFrame, 1300 * kFrame);
  second.clear();
  EXPECT_TRUE(Are(third, 900 * kFrame, 1300 * kFrame));
  third.clear();
  EXPECT_EQ(drains_.bytes(), 0u);
}

TEST_F(DrainLogTest, BeginsAnewWhereNothingIsShared) {
  Append(100);
  const auto old = Hold(0, 100 * kFrame);
  Append(2000);
  const auto fresh = Hold(2000 * kFrame, 2100 * kFrame);
  EXPECT_TRUE(Are(old, 0, 100 * kFrame));
  EXPECT_TRUE(Are(fresh, 2000 * kFrame, 2100 * kFrame));
}

TEST_F(DrainLogTest, HoldsNothingWhereNothingIsOwed) {
  Append(10);
  EXPECT_TRUE(Hold(5 * kFrame, 5 * kFrame).empty());
  EXPECT_EQ(drains_.bytes(), 0u);
}

}  // namespace
}  // namespace ombus::net

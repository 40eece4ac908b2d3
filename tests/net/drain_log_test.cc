#include "net/drain_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace ombus::net {
namespace {

constexpr uint64_t kFrame = FrameBytes(1000);
constexpr uint64_t kStep = DrainLog::kStepBytes;

class DrainLogTest : public testing::Test {
 protected:
  DrainLogTest() : log_(std::move(*BroadcastLog::Create(1u << 20))) {}

  void Append(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t end = log_.head() + kFrame;
      drains_.SaveUpTo(log_, end - std::min(end, log_.bytes()));
      const std::vector<uint8_t> payload(1000, static_cast<uint8_t>(++wal_seq_));
      log_.Append({.wal_seq = wal_seq_, .payload = payload.data(), .size = 1000, .type = 1});
    }
  }
  std::vector<DrainPiece> Hold(uint64_t from, uint64_t to) {
    std::vector<DrainPiece> pieces;
    drains_.Hold(log_, floor_, from, to, &pieces);
    return pieces;
  }
  static size_t ReadyBytes(const std::vector<DrainPiece>& pieces) {
    size_t bytes = 0;
    for (const DrainPiece& piece : pieces) bytes += piece.Ready(0).size();
    return bytes;
  }
  // Whether the pieces are the whole frames from the boundary `from` to the boundary `to`.
  bool Are(const std::vector<DrainPiece>& pieces, uint64_t from, uint64_t to) {
    drains_.SaveUpTo(log_, DrainLog::kAllSaved);
    std::vector<std::byte> all;
    for (const DrainPiece& piece : pieces) {
      const auto bytes = piece.Ready(0);
      if (bytes.size() != piece.size()) return false;
      all.insert(all.end(), bytes.begin(), bytes.end());
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
  uint64_t wal_seq_ = 0, floor_ = 0;
};

TEST_F(DrainLogTest, KeepsWhatTheLogHasWrittenOver) {
  Append(100);
  const auto pieces = Hold(10 * kFrame, 100 * kFrame);
  Append(3000);
  EXPECT_TRUE(Are(pieces, 10 * kFrame, 100 * kFrame));
}

TEST_F(DrainLogTest, CopiesAStepATurnAndNothingBefore) {
  Append(500);
  const auto pieces = Hold(0, 500 * kFrame);
  EXPECT_EQ(drains_.unsaved(), 0u);
  EXPECT_EQ(ReadyBytes(pieces), 0u);
  for (uint64_t saved = 0; saved < 500 * kFrame;) {
    ASSERT_TRUE(drains_.busy());
    drains_.Step(log_, kStep);
    const uint64_t ready = ReadyBytes(pieces);
    ASSERT_GT(ready, saved);
    ASSERT_LE(ready, saved + kStep);
    saved = ready;
    ASSERT_EQ(drains_.unsaved(), saved == 500 * kFrame ? DrainLog::kAllSaved : saved);
  }
  EXPECT_FALSE(drains_.busy());
  EXPECT_TRUE(Are(pieces, 0, 500 * kFrame));
}

TEST_F(DrainLogTest, HandsOutTheRestOfAPieceAsItIsCopied) {
  Append(200);
  const auto pieces = Hold(0, 200 * kFrame);
  ASSERT_EQ(pieces.size(), 1u);
  drains_.Step(log_, kStep);
  EXPECT_EQ(pieces[0].Ready(1000).size(), kStep - 1000);
  EXPECT_TRUE(pieces[0].Ready(kStep).empty());
  drains_.Step(log_, 2 * kStep);
  EXPECT_EQ(pieces[0].Ready(kStep).size(), 2 * kStep);
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
    floor_ = log_.head() - 500 * kFrame;
    clients.push_back(Hold(log_.head() - 500 * kFrame, log_.head()));
    Append(1);
  }
  EXPECT_LE(drains_.bytes(), 2000 * kFrame);
  for (uint64_t i = 0; i < 1500; ++i) {
    ASSERT_TRUE(Are(clients[i], i * kFrame, (500 + i) * kFrame));
    ASSERT_LE(clients[i].size(), 5u) << "a client is sent a piece at a time";
  }
}

TEST_F(DrainLogTest, FreesWhatNobodyIsOwedAnyMoreAChunkATurn) {
  Append(900);
  auto pieces = Hold(0, 900 * kFrame);
  drains_.SaveUpTo(log_, DrainLog::kAllSaved);
  EXPECT_FALSE(drains_.busy());
  pieces.clear();
  uint64_t bytes = drains_.bytes();
  EXPECT_GE(bytes, 900 * kFrame);
  while (bytes != 0) {
    ASSERT_TRUE(drains_.busy());
    drains_.Step(log_, kStep);
    ASSERT_LT(drains_.bytes(), bytes);
    ASSERT_LE(bytes - drains_.bytes(), 256u << 10);
    bytes = drains_.bytes();
  }
  EXPECT_FALSE(drains_.busy());
}

TEST_F(DrainLogTest, CopiesNothingForWhoHasLeftAndLetsTheLogGoOn) {
  Append(500);
  auto pieces = Hold(0, 500 * kFrame);
  drains_.Step(log_, kStep);
  pieces.clear();
  EXPECT_EQ(drains_.unsaved(), DrainLog::kAllSaved);
  Append(1000);
  // What was not copied is gone, and not taken for what is there.
  const auto later = Hold(1000 * kFrame, 1500 * kFrame);
  EXPECT_TRUE(Are(later, 1000 * kFrame, 1500 * kFrame));
}

TEST_F(DrainLogTest, BeginsAnewWhereNothingIsShared) {
  Append(100);
  const auto old = Hold(0, 100 * kFrame);
  Append(2000);
  const auto fresh = Hold(2000 * kFrame, 2100 * kFrame);
  EXPECT_TRUE(Are(old, 0, 100 * kFrame));
  EXPECT_TRUE(Are(fresh, 2000 * kFrame, 2100 * kFrame));
}

TEST_F(DrainLogTest, ReadsNothingBelowTheFloorButWhatIsOwed) {
  Append(500);
  floor_ = 300 * kFrame;
  const auto first = Hold(400 * kFrame, 500 * kFrame);
  EXPECT_EQ(drains_.unsaved(), floor_);
  const auto second = Hold(100 * kFrame, 500 * kFrame);
  EXPECT_EQ(drains_.unsaved(), 100 * kFrame);
  EXPECT_TRUE(Are(first, 400 * kFrame, 500 * kFrame));
  EXPECT_TRUE(Are(second, 100 * kFrame, 500 * kFrame));
}

TEST_F(DrainLogTest, HoldsNothingWhereNothingIsOwed) {
  Append(10);
  EXPECT_TRUE(Hold(5 * kFrame, 5 * kFrame).empty());
  EXPECT_EQ(drains_.bytes(), 0u);
  EXPECT_FALSE(drains_.busy());
}

// Clients that are cut anywhere and leave in any order, while the log goes on.
TEST_F(DrainLogTest, GivesEveryClientItsBytesWhateverTheOrder) {
  struct Client {
    uint64_t from, to;
    std::vector<DrainPiece> pieces;
  };
  std::mt19937_64 random(1);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  std::vector<Client> clients;
  const uint64_t frames_max = log_.bytes() / kFrame - 1;
  for (int round = 0; round < 20'000; ++round) {
    Append(below(4) == 0 ? below(100) : 0);
    const uint64_t head = log_.head() / kFrame;
    if (head != 0 && clients.size() < 20 && below(2) == 0) {
      const uint64_t from = head - std::min(head, 1 + below(frames_max));
      const uint64_t to = from + 1 + below(head - from);
      floor_ = log_.head() - std::min(log_.head(), log_.bytes());
      clients.push_back({from * kFrame, to * kFrame, Hold(from * kFrame, to * kFrame)});
    }
    if (below(3) == 0) drains_.Step(log_, kStep);
    if (!clients.empty() && below(3) == 0) {
      const auto gone = clients.begin() + static_cast<ptrdiff_t>(below(clients.size()));
      if (below(2) == 0) {
        ASSERT_TRUE(Are(gone->pieces, gone->from, gone->to)) << round;
      }
      clients.erase(gone);
    }
  }
  clients.clear();
  while (drains_.busy()) drains_.Step(log_, kStep);
  EXPECT_EQ(drains_.bytes(), 0u);
}

}  // namespace
}  // namespace ombus::net

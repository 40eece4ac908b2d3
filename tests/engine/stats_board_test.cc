#include "engine/stats_board.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>

namespace ombus::engine {
namespace {

struct Pair {
  uint64_t left = 0, right = 0;
};

TEST(StatsBoardTest, ShowsWhatWasPostedLast) {
  StatsBoard<Pair> board;
  EXPECT_EQ(board.Read().left, 0u);
  board.Post({1, 1});
  board.PostLast({2, 2});
  EXPECT_EQ(board.Read().left, 2u);
}

TEST(StatsBoardTest, AReaderNeverSeesHalfOfAPosting) {
  StatsBoard<Pair> board;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (uint64_t i = 0; i < 20'000; ++i) board.Post({i, i});
    done = true;
  });
  while (!done) {
    const Pair pair = board.Read();
    ASSERT_EQ(pair.left, pair.right);
  }
  writer.join();
}

}  // namespace
}  // namespace ombus::engine

// Server::BroadcastBatch; what a run leaves in the log is in broadcast_log_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

class ServerBatchTest : public ServerFixture {};

TEST_P(ServerBatchTest, ABatchIsTakenInOrderUpToTheRecordThatIsRefused) {
  Start({.client_lag_bytes_max = 20'000,
         .slow_client_policy = SlowClientPolicy::kWait,
         .slow_wait_ms = 60'000,
         .send_buffer_bytes = 8192});
  RawPeer peer(server_->port(), 8192);
  WaitForClients(1);
  const std::vector<uint8_t> payload(20'000, 7);
  std::vector<Record> records;
  for (uint64_t i = 1; i <= 2000; ++i) {
    const auto size = static_cast<uint16_t>(i == 1000 ? 20'000 : 300 + i % 400);
    records.push_back({.wal_seq = i, .payload = payload.data(), .size = size, .type = 1});
  }
  uint64_t refused = 0, too_large = 0;
  size_t bytes = 0;
  for (size_t done = 0; done < records.size();) {
    const size_t most = std::min<size_t>(50, records.size() - done);
    BroadcastResult end = BroadcastResult::kOk;
    const size_t taken = server_->BroadcastBatch(std::span(records).subspan(done, most), &end);
    ASSERT_EQ(end == BroadcastResult::kOk, taken == most);
    for (size_t i = 0; i < taken; ++i) bytes += FrameBytes(records[done + i].size);
    done += taken;
    if (end == BroadcastResult::kTooLarge) {
      ASSERT_EQ(records[done++].wal_seq, 1000u);
      ++too_large;
    }
    if (end != BroadcastResult::kFull) continue;
    ++refused;
    peer.Drain();
    ASSERT_TRUE(server_->PollIo(1'000'000).ok());
  }
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(too_large, 1u);
  ReadUntil(&peer, [&] { return peer.bytes().size() >= bytes; });
  const auto frames = peer.Frames();
  ASSERT_EQ(frames.size(), 1999u);
  for (size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(frames[i].wal_seq, i + 1 + (i >= 999));
  BroadcastResult end = BroadcastResult::kFull;
  EXPECT_EQ(server_->BroadcastBatch({}, &end), 0u);
  EXPECT_EQ(end, BroadcastResult::kOk);
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerBatchTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

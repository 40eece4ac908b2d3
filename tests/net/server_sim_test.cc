// The server over the simulator: many seeds of short sends, full sockets and late completions.
// Every client reads a gap-free run of exact frames up to the end, or up to where it was cut.
#include <gtest/gtest.h>

#include <random>

#include "net/basic_server.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"

namespace ombus::net {
namespace {

struct SimClient {
  int fd;
  std::vector<std::byte> bytes;

  void Read(SimNetwork* network, size_t most) {
    std::vector<std::byte> chunk(most);
    const int got = network->Read(fd, chunk);
    if (got > 0) bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + got);
  }
};

// Whole frames in sequence with the right payload; returns how many, and the last sequence.
void Check(const SimClient& client, uint64_t* last, size_t* rest) {
  std::span<const std::byte> left(client.bytes);
  Frame frame;
  *last = 0;
  ParseResult result;
  while ((result = ParseFrame(left, &frame)) == ParseResult::kFrame) {
    left = left.subspan(frame.bytes());
    if (frame.control() || frame.type == kTypeSlowWarning) continue;
    if (*last != 0) {
      ASSERT_EQ(frame.wal_seq, *last + 1);
    }
    *last = frame.wal_seq;
    for (size_t i = 0; i < frame.size; ++i) {
      ASSERT_EQ(frame.payload[i], static_cast<std::byte>(frame.wal_seq));
    }
  }
  ASSERT_EQ(result, ParseResult::kPartial);
  *rest = left.size();
}

void RunSeed(uint64_t seed, SlowClientPolicy policy) {
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  SimNetwork network(4096);
  const int listener = network.NewListener();
  SimOptions sim;
  sim.seed = seed;
  sim.shuffle = true;
  sim.faults.short_send = 200;
  sim.faults.send_again = 100;
  sim.faults.delay = 50;
  sim.faults.end_multishot = 100;
  sim.faults.no_buffers = 50;
  auto made = BasicServer<SimBackend>::Create(
      std::make_unique<SimBackend>(&network, sim), UniqueFd(listener),
      {.log_bytes = kLogBytesMin, .client_lag_bytes_max = 30'000, .slow_client_policy = policy});
  ASSERT_TRUE(made.ok()) << made.status().message();
  auto& server = **made;
  std::vector<SimClient> clients;
  std::vector<std::byte> payload(1500);
  uint64_t next = 1;
  for (int step = 0; step < 1500; ++step) {
    if (clients.size() < 8 && random() % 20 == 0) {
      clients.push_back({network.NewSocket(), {}});
      ASSERT_EQ(network.Connect(clients.back().fd, network.AddressOf(listener)), 0);
      std::vector<std::byte> hello;
      AppendHello(&hello, {});
      if (random() % 2 == 0) (void)network.Write(clients.back().fd, hello);
    }
    for (uint64_t n = random() % 6; n > 0; --n) {
      std::fill(payload.begin(), payload.end(), static_cast<std::byte>(next));
      const auto size = static_cast<uint16_t>(random() % payload.size());
      const auto result =
          server.Broadcast({.wal_seq = next, .payload = payload.data(), .size = size, .type = 1});
      if (result == BroadcastResult::kOk) ++next;
    }
    ASSERT_TRUE(server.Turn(0).ok());
    for (size_t i = 0; i < clients.size(); ++i) {
      if (i % 3 != 2 || random() % 30 == 0) clients[i].Read(&network, 1 + random() % 8192);
    }
  }
  const uint32_t alive = server.client_count();
  const auto drain = [&] {
    for (int step = 0; step < 100'000 && !server.all_drained(); ++step) {
      if (!server.Turn(0).ok()) return;
      for (SimClient& client : clients) client.Read(&network, 65536);
    }
  };
  drain();
  ASSERT_TRUE(server.all_drained());
  // One more for those who joined after the last.
  payload[0] = static_cast<std::byte>(next);
  ASSERT_EQ(server.Broadcast({.wal_seq = next++, .payload = payload.data(), .size = 1, .type = 1}),
            BroadcastResult::kOk);
  drain();
  ASSERT_TRUE(server.all_drained());
  uint32_t complete = 0;
  for (SimClient& client : clients) {
    for (int i = 0; i < 10; ++i) client.Read(&network, 65536);
    uint64_t last = 0;
    size_t rest = 0;
    ASSERT_NO_FATAL_FAILURE(Check(client, &last, &rest));
    if (last + 1 == next && rest == 0) ++complete;
  }
  EXPECT_GE(complete, alive);
  if (policy == SlowClientPolicy::kWait) {
    EXPECT_EQ(server.stats().slow_client_drops, 0u);
    EXPECT_EQ(complete, clients.size());
  }
}

TEST(ServerSimTest, GivesEveryClientAGapFreeRunOrCutsIt) {
  for (uint64_t seed = 1; seed <= 20; ++seed) RunSeed(seed, SlowClientPolicy::kDisconnect);
}

TEST(ServerSimTest, LosesNothingForAnyoneWhereItWaits) {
  for (uint64_t seed = 1; seed <= 20; ++seed) RunSeed(seed, SlowClientPolicy::kWait);
}

}  // namespace
}  // namespace ombus::net

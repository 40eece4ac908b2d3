// The relay's loop over a fake server: what it does with each thing the ring can say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/basic_relay.h"
#include "engine/fork_safe_relay.h"
#include "ombus/ring_snapshot.h"
#include "tests/engine/engine_test_stream.h"
#include "tests/engine/fake_server.h"
#include "tests/net/in_child.h"

namespace ombus {
namespace {

using ::testing::HasSubstr;

RelayOptions Waiting() {
  RelayOptions options;
  options.server.slow_client_policy = SlowClientPolicy::kWait;
  return options;
}

class RelayLoopTest : public ::testing::Test {
 protected:
  ~RelayLoopTest() override { StopRelay(); }

  void StartRelay(RelayOptions options = {}) {
    options.stream = stream_.name();
    options.on_event = [this](const ServerEvent& event) {
      const std::lock_guard<std::mutex> lock(mutex_);
      events_.push_back(event.text);
    };
    auto wake = engine::WakeSet::Create();
    ASSERT_TRUE(wake.ok());
    relay_ = std::make_unique<engine::ForkSafeRelay>(std::make_unique<engine::RelayOn<FakeServer>>(
        options, std::make_unique<FakeServer>(&world_), std::move(*wake), "a note"));
    thread_ = std::thread([this] { status_ = relay_->Run(); });
  }
  void StartAttached(Producer& producer, RelayOptions options = {}) {
    StartRelay(std::move(options));
    ASSERT_TRUE(Eventually([&] { return producer.live_consumers() == 1; }));
  }
  void StopRelay() {
    if (!thread_.joinable()) return;
    relay_->Stop();
    thread_.join();
    EXPECT_EQ(status_.message(), "");
  }
  Status JoinRelay() {
    thread_.join();
    return status_;
  }
  bool Relayed(size_t count) {
    return Eventually([&] { return world_.count() >= count; });
  }
  std::vector<std::string> events() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return events_;
  }
  bool Told(const std::string& part) {
    return Eventually([&] {
      for (const std::string& event : events()) {
        if (event.find(part) != std::string::npos) return true;
      }
      return false;
    });
  }
  void ExpectRelayed(uint64_t from, uint64_t to) {
    const std::lock_guard<std::mutex> lock(world_.mutex);
    ASSERT_EQ(world_.records.size(), to - from);
    for (uint64_t seq = from; seq < to; ++seq) {
      ASSERT_EQ(world_.records[seq - from].first, seq);
      ASSERT_EQ(world_.records[seq - from].second, PayloadOf(seq));
    }
  }

  TestStream stream_;
  FakeWorld world_;
  std::mutex mutex_;
  std::vector<std::string> events_;
  std::unique_ptr<Relay> relay_;
  std::thread thread_;
  Status status_;
};

TEST_F(RelayLoopTest, EveryRecordIsBroadcastInOrderByteForByteWithEachIdleStrategy) {
  uint64_t seq = 1;
  for (const IdleStrategy idle :
       {IdleStrategy::kBusy, IdleStrategy::kBackoff, IdleStrategy::kSleep}) {
    auto producer = MakeProducer(stream_.name(), {.capacity = 64});
    StartAttached(*producer, {.idle = idle});
    const uint64_t from = seq;
    for (; seq < from + 5000; ++seq) ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
    ASSERT_TRUE(Relayed(5000)) << static_cast<int>(idle) << " " << world_.count() << " "
                               << world_.sequences().front() << " " << relay_->stats().gaps << " "
                               << relay_->stats().records_lost;
    StopRelay();
    ExpectRelayed(from, seq);
    world_.records.clear();
  }
}

TEST_F(RelayLoopTest, ASleepingRelayIsWokenByAPublish) {
  auto producer = MakeProducer(stream_.name());
  StartAttached(*producer, {.idle = IdleStrategy::kSleep, .idle_spin_ns = 0});
  for (uint64_t seq = 1; seq <= 20; ++seq) {
    const uint64_t before = world_.long_turns;
    ASSERT_TRUE(Eventually([&] { return world_.long_turns > before; }));
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
    ASSERT_TRUE(Relayed(seq));
  }
}

TEST_F(RelayLoopTest, StopWakesASleepingRelayThatWaitsForItsStream) {
  StartRelay({.idle = IdleStrategy::kSleep});
  ASSERT_TRUE(Eventually([&] { return world_.long_turns > 3; }));
  StopRelay();
  EXPECT_TRUE(world_.flushed);
  EXPECT_EQ(world_.bye, static_cast<int>(ByeReason::kShutdown));
}

TEST_F(RelayLoopTest, StopBeforeRunEndsItAtOnce) {
  auto wake = engine::WakeSet::Create();
  engine::RelayOn<FakeServer> relay({.stream = stream_.name()},
                                    std::make_unique<FakeServer>(&world_), std::move(*wake), "");
  relay.Stop();
  EXPECT_TRUE(relay.Run().ok());
}

TEST_F(RelayLoopTest, AStreamThatAppearsLaterIsAttachedWithoutHelp) {
  StartRelay();
  ASSERT_TRUE(Told("a note"));
  auto producer = MakeProducer(stream_.name());
  ASSERT_TRUE(Eventually([&] { return producer->live_consumers() == 1; }));
  ASSERT_EQ(PublishOne(*producer, 1), PublishResult::kOk);
  EXPECT_TRUE(Relayed(1));
  EXPECT_TRUE(Told("attached at position 0"));
}

TEST_F(RelayLoopTest, AStreamThatDoesNotAppearInTimeEndsTheRelayWithTheReason) {
  StartRelay({.stream_wait_ms = 5});
  const Status status = JoinRelay();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(stream_.name()));
}

TEST_F(RelayLoopTest, TheRingIsNotJoinedBeforeEnoughClientsAreThere) {
  auto producer = MakeProducer(stream_.name());
  world_.clients = 1;
  StartRelay({.wait_clients = 2});
  ASSERT_TRUE(Eventually([&] { return world_.turns > 2; }));
  EXPECT_EQ(producer->live_consumers(), 0u);
  world_.clients = 2;
  EXPECT_TRUE(Eventually([&] { return producer->live_consumers() == 1; }));
}

TEST_F(RelayLoopTest, WithoutRoomOneRecordIsHeldAndTheRingsBackpressureReachesTheProducer) {
  auto producer = MakeProducer(stream_.name(), {.capacity = 16});
  world_.room = 0;
  StartAttached(*producer, Waiting());
  uint64_t seq = 1;
  while (PublishOne(*producer, seq, 50'000'000) == PublishResult::kOk) ++seq;
  // A ring full; the record that is held leaves its slot when the relay stores its tail.
  EXPECT_GE(seq, 17u);
  EXPECT_LE(seq, 18u);
  EXPECT_EQ(world_.count(), 0u);
  world_.room = 1u << 20;
  ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  ASSERT_TRUE(Relayed(seq));
  StopRelay();
  ExpectRelayed(1, seq + 1);
}

TEST_F(RelayLoopTest, ARecordThatIsRefusedAgainstExpectationIsOfferedAgain) {
  auto producer = MakeProducer(stream_.name());
  world_.refusals = 5;
  StartAttached(*producer);
  for (uint64_t seq = 1; seq <= 10; ++seq)
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  ASSERT_TRUE(Relayed(10));
  StopRelay();
  ExpectRelayed(1, 11);
}

TEST_F(RelayLoopTest, ARecordTooLargeForAFrameIsCountedAndTheOthersGoOn) {
  auto producer = MakeProducer(stream_.name());
  world_.record_bytes_max = 100;
  StartAttached(*producer);
  ASSERT_EQ(PublishOne(*producer, 150), PublishResult::kOk);  // 150 bytes
  ASSERT_EQ(PublishOne(*producer, 151), PublishResult::kOk);
  ASSERT_EQ(PublishOne(*producer, 200), PublishResult::kOk);  // none
  ASSERT_TRUE(Relayed(1));
  StopRelay();
  EXPECT_EQ(relay_->stats().records_too_large, 2u);
  EXPECT_TRUE(Told("left out"));
}

TEST_F(RelayLoopTest, AGapIsRelayedCountedAndTold) {
  auto producer = MakeProducer(stream_.name());
  StartAttached(*producer);
  for (const uint64_t seq : {1, 2, 7}) ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  ASSERT_TRUE(Relayed(3));
  StopRelay();
  EXPECT_EQ(relay_->stats().gaps, 1u);
  EXPECT_TRUE(Told("3 to 6 are missing"));
}

TEST_F(RelayLoopTest, AnEvictedRelayCountsWhatItLostAndGoesOnFromTheLiveHead) {
  auto producer = MakeProducer(stream_.name(), {.capacity = 16, .staleness_ns = 1'000'000});
  world_.room = 0;
  StartAttached(*producer, Waiting());
  for (uint64_t seq = 1; seq <= 40; ++seq)
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  world_.room = 1u << 20;
  ASSERT_TRUE(Eventually([&] { return producer->live_consumers() == 1; }));
  ASSERT_EQ(PublishOne(*producer, 41), PublishResult::kOk);
  ASSERT_TRUE(Eventually([&] { return world_.count() > 0 && world_.sequences().back() == 41; }));
  StopRelay();
  const RelayStats stats = relay_->stats();
  EXPECT_EQ(stats.records_lost + world_.count(), 41u);
  EXPECT_EQ(world_.sequences().back(), 41u);
  EXPECT_TRUE(Told("records lost"));
}

TEST_F(RelayLoopTest, AProducerThatClosedEndsTheRelayThatShallExit) {
  auto producer = MakeProducer(stream_.name());
  StartAttached(*producer, {.on_end = StreamEnd::kExit});
  for (uint64_t seq = 1; seq <= 100; ++seq) {
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  }
  producer->Close();
  EXPECT_TRUE(JoinRelay().ok());
  ExpectRelayed(1, 101);
  EXPECT_EQ(world_.bye, static_cast<int>(ByeReason::kEndOfStream));
}

TEST_F(RelayLoopTest, AProducerThatClosedIsFollowedByTheNextStreamOfThatName) {
  for (uint64_t round = 0; round < 3; ++round) {
    auto producer = MakeProducer(stream_.name(), {.capacity = 16u << round});
    if (round == 0) StartRelay();
    ASSERT_TRUE(Eventually([&] { return producer->live_consumers() == 1; }));
    for (uint64_t i = 1; i <= 100; ++i) {
      ASSERT_EQ(PublishOne(*producer, round * 100 + i), PublishResult::kOk);
    }
    producer->Close();
    ASSERT_TRUE(Relayed(100 * (round + 1)));
  }
  StopRelay();
  ExpectRelayed(1, 301);
  EXPECT_EQ(relay_->stats().gaps, 0u);
}

TEST_F(RelayLoopTest, AClosedStreamThatKeepsItsNameIsTakenOverWithoutALostRecord) {
  auto first = MakeProducer(stream_.name(), {.unlink_on_close = false});
  StartAttached(*first);
  ASSERT_EQ(PublishOne(*first, 1), PublishResult::kOk);
  first.reset();
  ASSERT_TRUE(Told("ended by its producer"));
  auto second = MakeProducer(stream_.name(), {.unlink_on_close = false});
  for (uint64_t seq = 2; seq <= 500; ++seq) {
    ASSERT_EQ(PublishOne(*second, seq), PublishResult::kOk);
  }
  ASSERT_TRUE(Relayed(500));
  StopRelay();
  ExpectRelayed(1, 501);
  EXPECT_EQ(relay_->stats().epoch_changes, 1u);
  ASSERT_EQ(world_.epochs.size(), 2u);
  EXPECT_EQ(world_.epochs[1], std::make_pair(second->epoch(), true));
}

TEST_F(RelayLoopTest, AStreamReplacedByOneOfOtherGeometryIsOpenedAgain) {
  auto first = MakeProducer(stream_.name(), {.capacity = 64});
  StartAttached(*first);
  ASSERT_EQ(PublishOne(*first, 1), PublishResult::kOk);
  auto second = MakeProducer(stream_.name(), {.capacity = 256, .slot_size = 512});
  ASSERT_TRUE(Eventually([&] { return second->live_consumers() == 1; }));
  ASSERT_EQ(PublishOne(*second, 2), PublishResult::kOk);
  ASSERT_TRUE(Relayed(2));
  EXPECT_TRUE(Told("replaced by another"));
  StopRelay();
  ExpectRelayed(1, 3);
  ASSERT_EQ(world_.epochs.size(), 2u);
  EXPECT_EQ(world_.epochs[1], std::make_pair(second->epoch(), true));
}

TEST_F(RelayLoopTest, AStreamWhoseObjectWasRemovedIsOpenedAgainWithEachIdleStrategy) {
  auto first = MakeProducer(stream_.name());
  uint64_t next = 1;
  for (const IdleStrategy idle :
       {IdleStrategy::kBusy, IdleStrategy::kBackoff, IdleStrategy::kSleep}) {
    StartAttached(*first, {.idle = idle});
    ASSERT_EQ(PublishOne(*first, next++), PublishResult::kOk);
    ASSERT_EQ(unlink(("/dev/shm" + stream_.name()).c_str()), 0);
    auto second = MakeProducer(stream_.name());
    ASSERT_TRUE(Eventually([&] { return second->live_consumers() == 1; }));
    ASSERT_EQ(PublishOne(*second, next++), PublishResult::kOk);
    ASSERT_TRUE(Relayed(next - 1));
    EXPECT_TRUE(Told("replaced by another"));
    StopRelay();
    first = std::move(second);
  }
  ExpectRelayed(1, next);
}

TEST_F(RelayLoopTest, AStreamThatItWaitedForIsRelayedFromItsFirstRecordOn) {
  StartRelay();
  ASSERT_TRUE(Told("shm_open"));
  auto producer = MakeProducer(stream_.name(), {.capacity = 1024});
  for (uint64_t seq = 1; seq <= 1000; ++seq) {
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  }
  ASSERT_TRUE(Relayed(1000));
  StopRelay();
  ExpectRelayed(1, 1001);
  EXPECT_EQ(relay_->stats().records_missed, 0u);
}

TEST_F(RelayLoopTest, MoreThanARingOfRecordsBeforeItAttachesAreCountedAndTold) {
  auto first = MakeProducer(stream_.name(), {.capacity = 64});
  StartAttached(*first);
  ASSERT_EQ(PublishOne(*first, 1), PublishResult::kOk);
  ASSERT_TRUE(Relayed(1));
  // Has published two rings before it takes the name.
  const std::string other = stream_.name() + "-to-be";
  auto second = MakeProducer(other, {.capacity = 256, .slot_size = 512});
  for (uint64_t seq = 1; seq <= 512; ++seq) {
    ASSERT_EQ(PublishOne(*second, seq), PublishResult::kOk);
  }
  ASSERT_EQ(rename(("/dev/shm" + other).c_str(), ("/dev/shm" + stream_.name()).c_str()), 0);
  first->Close();
  ASSERT_TRUE(Eventually([&] { return second->live_consumers() == 1; }));
  ASSERT_EQ(PublishOne(*second, 513), PublishResult::kOk);
  ASSERT_TRUE(Relayed(2));
  StopRelay();
  EXPECT_EQ(relay_->stats().records_missed, 512u);
  EXPECT_EQ(relay_->stats().records_lost, 0u);
  ASSERT_EQ(world_.epochs.size(), 2u);
  EXPECT_EQ(world_.epochs[1], std::make_pair(second->epoch(), false));
}

TEST_F(RelayLoopTest, ACpuThatIsNotAllowedEndsTheRelayNamingThoseThatAre) {
  StartRelay({.cpu = engine::kCpuLimit - 1});
  const Status status = JoinRelay();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr(engine::AllowedCpus()));
}

TEST_F(RelayLoopTest, TheStatisticsSayWhatHasHappened) {
  auto producer = MakeProducer(stream_.name());
  StartAttached(*producer);
  for (uint64_t seq = 1; seq <= 1000; ++seq) {
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  }
  ASSERT_TRUE(Relayed(1000));
  EXPECT_TRUE(Eventually([&] { return relay_->stats().records_relayed == 1000; }));
  EXPECT_TRUE(relay_->stats().attached);
  StopRelay();
  const RelayStats stats = relay_->stats();
  EXPECT_EQ(stats.records_relayed, 1000u);
  EXPECT_GT(stats.busy_turns, 0u);
  EXPECT_EQ(stats.turn_ns.count(), stats.busy_turns);
  EXPECT_EQ(stats.head, 1000u);
  EXPECT_EQ(stats.tail, 1000u);
  EXPECT_FALSE(stats.attached);
}

// What a thread of the parent's was changing at the fork cannot be taken apart in the child.
TEST_F(RelayLoopTest, AForkedChildDestroysNothingOfItsCopyAndTheParentAll) {
  StartRelay();
  EXPECT_EQ(net::InChild([&] {
              relay_.reset();
              return !world_.destroyed;
            }),
            0);
  StopRelay();
  relay_.reset();
  EXPECT_TRUE(world_.destroyed);
}

}  // namespace
}  // namespace ombus

// From when a consumer counts as standing still. With a staleness of 1 ns every look after another
// finds that its time is over, so that which looks there are decides alone.
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

constexpr uint32_t kCapacity = 64;
constexpr uint64_t kAtOnceNs = 1, kNeverNs = 3'600'000'000'000;

class StalenessTest : public RingFixture {
 protected:
  void Start(uint64_t staleness_ns) {
    producer_ = MakeProducer({.capacity = kCapacity, .staleness_ns = staleness_ns});
    consumer_ = MakeConsumer({.consumer_index = 0});
  }
  void Publish(uint64_t records) {
    for (uint64_t i = 0; i < records; ++i) {
      ASSERT_EQ(producer_->TryPublish({.wal_seq = ++wal_seq_}), PublishResult::kOk) << wal_seq_;
    }
  }
  PublishResult PublishOneMore() { return producer_->TryPublish({.wal_seq = wal_seq_ + 1}); }
  PollResult Poll() {
    Record record;
    return consumer_->Poll(&record);
  }
  bool Asked() {
    return (RawObject(name_.str()).line(0).control.load(std::memory_order_relaxed) &
            kLineStateMask) == kLineUrged;
  }

  std::unique_ptr<Producer> producer_;
  std::unique_ptr<Consumer> consumer_;
  uint64_t wal_seq_ = 0;
};

TEST_F(StalenessTest, WhoStoppedHalfALapAgoIsInNobodysWayWhenTheRingIsFull) {
  Start(kAtOnceNs);
  Publish(kCapacity);
  EXPECT_EQ(PublishOneMore(), PublishResult::kOk);
  EXPECT_EQ(producer_->evictions(), 1u);
  EXPECT_EQ(Poll(), PollResult::kEvicted);
}

TEST_F(StalenessTest, WhoStoppedForLessThanThatHoldsTheProducerBack) {
  Start(kNeverNs);
  Publish(kCapacity);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(PublishOneMore(), PublishResult::kFull);
  EXPECT_EQ(producer_->evictions(), 0u);
}

TEST_F(StalenessTest, WhoHasPolledSinceItWasAskedBeginsAnew) {
  Start(kAtOnceNs);
  Publish(kCapacity / 2 + 1);
  EXPECT_TRUE(Asked());
  EXPECT_EQ(Poll(), PollResult::kRecord);  // whose room is not given back yet
  EXPECT_FALSE(Asked());
  Publish(kCapacity / 2 - 1);
  EXPECT_EQ(PublishOneMore(), PublishResult::kFull);  // found full: asked again
  EXPECT_EQ(Poll(), PollResult::kRecord);
  EXPECT_EQ(producer_->evictions(), 0u);
}

TEST_F(StalenessTest, WhoIsAskedGivesItsRoomBackWithTheNextPoll) {
  Start(kNeverNs);
  Publish(kCapacity);
  EXPECT_EQ(Poll(), PollResult::kRecord);
  EXPECT_EQ(PublishOneMore(), PublishResult::kFull) << "the first one's room comes later";
  EXPECT_TRUE(Asked());
  EXPECT_EQ(Poll(), PollResult::kRecord);
  EXPECT_EQ(PublishOneMore(), PublishResult::kOk);
}

TEST_F(StalenessTest, WhoFindsNothingMoreGivesAllRoomBack) {
  Start(kNeverNs);
  Publish(2);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Poll(), PollResult::kRecord);
  EXPECT_EQ(producer_->min_tail(), 0u);
  EXPECT_EQ(Poll(), PollResult::kEmpty);
  EXPECT_EQ(producer_->min_tail(), 2u);
}

// Polls seldom, and gives room back later still.
TEST_F(StalenessTest, WhoPollsBetweenAnyTwoLooksIsNeverEvicted) {
  Start(kAtOnceNs);
  Publish(1);
  while (Poll() == PollResult::kRecord) continue;
  for (int round = 0; round < 1000; ++round) {
    if (PublishOneMore() == PublishResult::kOk) ++wal_seq_;
    ASSERT_EQ(Poll(), PollResult::kRecord) << round;
    if (PublishOneMore() == PublishResult::kOk) ++wal_seq_;
    ASSERT_EQ(Poll(), PollResult::kRecord) << round;
  }
  EXPECT_EQ(producer_->evictions(), 0u);
}

// A successor asks all readers, to make them look at the epoch, before it has looked at any.
TEST_F(StalenessTest, WhoWasAskedByTheTakeoverAloneIsNotEvictedAtTheFirstLook) {
  producer_ = MakeProducer({.capacity = kCapacity, .unlink_on_close = false});
  consumer_ = MakeConsumer({.consumer_index = 0});
  Publish(kCapacity);
  producer_ = nullptr;
  producer_ = MakeProducer({.capacity = kCapacity, .staleness_ns = kAtOnceNs});
  EXPECT_TRUE(Asked());
  EXPECT_EQ(PublishOneMore(), PublishResult::kFull);
  EXPECT_EQ(PublishOneMore(), PublishResult::kOk);
  EXPECT_EQ(producer_->evictions(), 1u);
}

TEST_F(StalenessTest, WhoHasNothingToReadIsNotAsked) {
  Start(kAtOnceNs);
  Publish(kCapacity / 2);
  while (Poll() == PollResult::kRecord) continue;
  Publish(kCapacity / 2);  // the first one looks
  EXPECT_FALSE(Asked());
  Publish(1);
  EXPECT_TRUE(Asked());
}

TEST_F(StalenessTest, NobodyIsAskedBeforeTheRingIsFullWhereNobodyIsEvicted) {
  Start(0);
  Publish(kCapacity);
  EXPECT_FALSE(Asked());
  EXPECT_EQ(PublishOneMore(), PublishResult::kFull);
  EXPECT_TRUE(Asked());
}

}  // namespace
}  // namespace ombus

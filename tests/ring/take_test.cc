// What a poll that takes the next record in a few instructions must leave to its slow half: another
// epoch, a sequence that is not the expected one, a slot that is damaged.
#include <array>
#include <vector>

#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

class TakeTest : public RingFixture {
 protected:
  void Publish(uint64_t wal_seq) {
    ASSERT_EQ(producer_->TryPublish({.wal_seq = wal_seq}), PublishResult::kOk);
  }
  // The old producer leaves, and another resumes its stream.
  void TakeOver() {
    producer_.reset();
    producer_ = MakeProducer({.unlink_on_close = false});
  }
  PollResult Poll() { return consumer_->Poll(&record_); }

  std::unique_ptr<Producer> producer_ = MakeProducer({.unlink_on_close = false});
  std::unique_ptr<Consumer> consumer_ = MakeConsumer();
  Record record_;
};

TEST_F(TakeTest, WhatReturnsNoRecordLeavesTheCallersAsItWas) {
  Publish(7);
  ASSERT_EQ(Poll(), PollResult::kRecord);
  const void* const payload = record_.payload;
  EXPECT_EQ(Poll(), PollResult::kEmpty);
  EXPECT_EQ(record_.wal_seq, 7u);
  EXPECT_EQ(record_.payload, payload);
  TakeOver();
  EXPECT_EQ(Poll(), PollResult::kEpochChanged);
  EXPECT_EQ(record_.wal_seq, 7u);
  std::array<Record, 3> records;
  records.fill({.wal_seq = 99});
  EXPECT_EQ(consumer_->PollBatch(records).count, 0u);
  EXPECT_EQ(records[0].wal_seq, 99u);
  Publish(8);
  EXPECT_EQ(consumer_->PollBatch(records).count, 1u);
  EXPECT_EQ(records[0].wal_seq, 8u);
  EXPECT_EQ(records[1].wal_seq, 99u);
}

TEST_F(TakeTest, ABatchEndsWithItsEpoch) {
  for (uint64_t i = 1; i <= 3; ++i) Publish(i);
  TakeOver();
  for (uint64_t i = 4; i <= 5; ++i) Publish(i);
  std::array<Record, 10> records;
  EXPECT_EQ(consumer_->PollBatch(records).count, 3u);
  const BatchResult none = consumer_->PollBatch(records);
  EXPECT_EQ(none.count, 0u);
  EXPECT_EQ(none.end, PollResult::kEpochChanged);
  EXPECT_EQ(consumer_->PollBatch(records).count, 2u);
}

TEST_F(TakeTest, ADrainEndsWithItsEpoch) {
  for (uint64_t i = 1; i <= 3; ++i) Publish(i);
  TakeOver();
  for (uint64_t i = 4; i <= 5; ++i) Publish(i);
  std::vector<uint64_t> got;
  const auto take = [&](const Record& record) { got.push_back(record.wal_seq); };
  (void)consumer_->Drain(10, take);
  EXPECT_EQ(got, (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(consumer_->Drain(10, take).end, PollResult::kEpochChanged);
  (void)consumer_->Drain(10, take);
  EXPECT_EQ(got, (std::vector<uint64_t>{1, 2, 3, 4, 5}));
}

// A reader that polls in the middle epoch hears of both takeovers, one that does not of the last:
// to that one the middle epoch's records come as the first one's. Neither misses any.
TEST_F(TakeTest, OfTwoTakeoversBetweenTwoPollsTheSecondIsToldAfterAllRecordsOfTheMiddleEpoch) {
  auto polls_often = MakeConsumer();
  for (uint64_t i = 1; i <= 3; ++i) Publish(i);
  ASSERT_EQ(Poll(), PollResult::kRecord);
  const uint64_t first = consumer_->epoch();
  TakeOver();
  for (uint64_t i = 4; i <= 6; ++i) Publish(i);
  const auto read = [](Consumer& consumer, Record* record, std::vector<uint64_t>* got) {
    for (;;) {
      const PollResult result = consumer.Poll(record);
      if (result == PollResult::kEmpty) return;
      ASSERT_TRUE(result == PollResult::kRecord || result == PollResult::kEpochChanged);
      got->push_back(result == PollResult::kRecord ? record->wal_seq : consumer.epoch());
    }
  };
  std::vector<uint64_t> got, got_often;
  read(*polls_often, &record_, &got_often);
  const uint64_t middle = polls_often->epoch();
  TakeOver();
  const uint64_t last = MakeConsumer()->epoch();
  ASSERT_TRUE(first != middle && middle != last && first != last);
  EXPECT_EQ(consumer_->epoch(), first) << "until it is told";
  EXPECT_TRUE(consumer_->epoch_changed());
  for (uint64_t i = 7; i <= 8; ++i) Publish(i);
  read(*consumer_, &record_, &got);
  EXPECT_EQ(got, (std::vector<uint64_t>{2, 3, 4, 5, 6, last, 7, 8}));
  EXPECT_EQ(consumer_->epoch_position(), 6u);
  read(*polls_often, &record_, &got_often);
  EXPECT_EQ(got_often, (std::vector<uint64_t>{1, 2, 3, middle, 4, 5, 6, last, 7, 8}));
}

// Releasing answers whoever urges us, and a successor urges, to make us look at the epoch.
TEST_F(TakeTest, WhoReleasesFirstLearnsOfAnotherEpochAllTheSame) {
  Publish(1);
  ASSERT_EQ(Poll(), PollResult::kRecord);
  TakeOver();
  consumer_->Release();
  Publish(2);
  std::array<std::byte, 64> room;
  EXPECT_FALSE(consumer_->TryCopyOut<40>(room.data(), &record_));
  EXPECT_EQ(Poll(), PollResult::kEpochChanged);
  EXPECT_EQ(Poll(), PollResult::kRecord);
}

TEST_F(TakeTest, WhatADisplacedProducerStillPublishesIsNotRead) {
  Publish(1);
  ASSERT_EQ(Poll(), PollResult::kRecord);
  auto successor = MakeProducer();  // in the same process: of another object
  Publish(2);
  EXPECT_EQ(Poll(), PollResult::kEpochChanged);
  EXPECT_EQ(Poll(), PollResult::kClosed);
  EXPECT_TRUE(consumer_->replaced());
}

TEST_F(TakeTest, TheLastSequenceIsThatOfTheRecordReadLast) {
  EXPECT_EQ(consumer_->wal_seq(), 0u);
  for (const uint64_t wal_seq : {7, 8, 9, 12, 11, 13, 14, 2, 3, 15}) {
    Publish(wal_seq);
    (void)Poll();
    EXPECT_EQ(record_.wal_seq, wal_seq);
    EXPECT_EQ(consumer_->wal_seq(), wal_seq);
  }
}

TEST_F(TakeTest, ALateRecordMakesNoLateOneOfTheNext) {
  consumer_ = MakeConsumer({.reject_reorder = true});
  for (const uint64_t wal_seq : {5, 6, 2, 3, 7}) Publish(wal_seq);
  for (const PollResult result : {PollResult::kRecord, PollResult::kRecord, PollResult::kReorder,
                                  PollResult::kReorder, PollResult::kRecord}) {
    EXPECT_EQ(Poll(), result);
  }
}

TEST_F(TakeTest, ADamagedSlotInARunIsPassedOverAndSaid) {
  for (uint64_t i = 0; i < 10; ++i) Publish(i);
  ASSERT_EQ(Poll(), PollResult::kRecord);  // looks at head, and runs
  for (const uint64_t damaged : {5, 6}) RawObject(name_.str()).slot(damaged).seq = 0;
  for (uint64_t i = 1; i < 5; ++i) ASSERT_EQ(Poll(), PollResult::kRecord);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Poll(), PollResult::kCorrupt);
  EXPECT_EQ(Poll(), PollResult::kGap);
  EXPECT_EQ(record_.wal_seq, 7u);
  for (uint64_t i = 8; i < 10; ++i) EXPECT_EQ(Poll(), PollResult::kRecord);
  EXPECT_EQ(Poll(), PollResult::kEmpty);
}

TEST_F(TakeTest, ABatchThatEndsAtADamagedSlotInARunSaysThatThereIsMore) {
  for (uint64_t i = 0; i < 10; ++i) Publish(i);
  RawObject(name_.str()).slot(5).seq = 0;
  Record out[16];
  const BatchResult batch = consumer_->PollBatch(out);
  EXPECT_EQ(batch.count, 5u);
  EXPECT_EQ(batch.end, PollResult::kRecord);
  EXPECT_EQ(Poll(), PollResult::kCorrupt);
}

}  // namespace
}  // namespace ombus

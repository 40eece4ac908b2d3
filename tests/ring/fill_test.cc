// Records written in place, many at once.
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "ombus/ring_snapshot.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

class FillTest : public RingFixture {
 protected:
  // Writes "record <i>" as sequence first + i, and notes i.
  auto Writer(uint64_t first) {
    return [this, first](void* room, size_t i) {
      asked_.push_back(i);
      const std::string text = "record " + std::to_string(i);
      std::memcpy(room, text.data(), text.size());
      return Producer::Written{first + i, static_cast<uint16_t>(text.size()), 7};
    };
  }
  // Polls until there is no more, and expects what the writer wrote.
  size_t Read(Consumer& consumer, uint64_t first) {
    Record record;
    size_t i = 0;
    for (; consumer.Poll(&record) == PollResult::kRecord; ++i) {
      EXPECT_EQ(record.wal_seq, first + i);
      EXPECT_EQ(record.type, 7);
      EXPECT_EQ(std::string(static_cast<const char*>(record.payload), record.size),
                "record " + std::to_string(i));
    }
    return i;
  }

  std::vector<size_t> asked_;
};

TEST_F(FillTest, PublishesWhatTheCallbackWritesInOrder) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  size_t published = 0;
  EXPECT_EQ(producer->Fill(100, Writer(5), 0, &published), PublishResult::kOk);
  EXPECT_EQ(published, 100u);
  EXPECT_EQ(producer->head(), 100u);
  ASSERT_EQ(asked_.size(), 100u);
  for (size_t i = 0; i < asked_.size(); ++i) EXPECT_EQ(asked_[i], i);
  EXPECT_EQ(Read(*consumer, 5), 100u);
}

TEST_F(FillTest, OfNothingAsksForNothing) {
  auto producer = MakeProducer();
  size_t published = 9;
  EXPECT_EQ(producer->Fill(0, Writer(0), 0, &published), PublishResult::kOk);
  EXPECT_EQ(published, 0u);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(FillTest, SealsWhereTheStreamIsSealed) {
  auto producer = MakeProducer({.crc32c = true});
  auto consumer = MakeConsumer();
  EXPECT_EQ(producer->Fill(50, Writer(1), 0), PublishResult::kOk);
  EXPECT_EQ(Read(*consumer, 1), 50u) << "a wrong seal is kCorrupt";
}

TEST_F(FillTest, StopsWhereTheRingIsFullAndSaysHowFarItCame) {
  auto producer = MakeProducer({.capacity = 64});
  auto consumer = MakeConsumer();
  size_t published = 0;
  EXPECT_EQ(producer->Fill(100, Writer(0), 0, &published), PublishResult::kFull);
  EXPECT_EQ(published, 64u);
  EXPECT_EQ(asked_.size(), 64u) << "no room, no call";
  EXPECT_EQ(producer->Fill(1, Writer(64), 1000, &published), PublishResult::kTimedOut);
  EXPECT_EQ(published, 0u);
  EXPECT_EQ(Read(*consumer, 0), 64u);
  EXPECT_EQ(producer->Fill(1, Writer(64), 0), PublishResult::kOk);
}

TEST_F(FillTest, EndsBeforeARecordThatIsTooLarge) {
  for (const bool crc32c : {false, true}) {
    auto producer = MakeProducer({.slot_size = 128, .crc32c = crc32c});
    auto consumer = MakeConsumer();
    size_t published = 0;
    const auto write = [](void*, size_t i) {
      return Producer::Written{i, static_cast<uint16_t>(i < 40 ? 104 : 105), 1};
    };
    EXPECT_EQ(producer->Fill(50, write, 0, &published), PublishResult::kTooLarge);
    EXPECT_EQ(published, 40u);
    Record record;
    for (uint64_t i = 0; i < 40; ++i) ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
    EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
    ASSERT_EQ(producer->TryPublish({.wal_seq = 40}), PublishResult::kOk);
    EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  }
}

TEST_F(FillTest, TakesTheRoomOfAReservationAlsoWhereItPublishesNothing) {
  auto producer = MakeProducer();
  ASSERT_NE(producer->TryReserve(), nullptr);
  const auto too_large = [](void*, size_t) { return Producer::Written{1, 65535, 1}; };
  EXPECT_EQ(producer->Fill(1, too_large, 0), PublishResult::kTooLarge);
  EXPECT_EQ(producer->Commit(1, 1, 4), PublishResult::kNotReserved);
}

TEST_F(FillTest, IsRefusedOnceClosed) {
  auto producer = MakeProducer();
  producer->Close();
  EXPECT_EQ(producer->Fill(10, Writer(0)), PublishResult::kClosed);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(FillTest, CountsAsOneBatch) {
  auto producer = MakeProducer();
  EXPECT_EQ(producer->Fill(100, Writer(0), 0), PublishResult::kOk);
  const auto snapshot = ReadRingSnapshot(name_.str());
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(snapshot->batches[6], 1u) << "64 to 127 records";
}

}  // namespace
}  // namespace ombus

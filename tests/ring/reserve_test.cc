// Writing in place: what TryReserve hands out, and when Commit refuses it.
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

class ReserveTest : public RingFixture {};

TEST_F(ReserveTest, ReservedRoomBecomesARecordAtCommit) {
  auto producer = MakeProducer({.capacity = 4});
  auto consumer = MakeConsumer();
  for (int i = 0; i < 4; ++i) {
    void* room = producer->TryReserve();
    ASSERT_NE(room, nullptr);
    EXPECT_EQ(producer->TryReserve(), room);
    std::memcpy(room, "in place", 8);
    Record record;
    EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
    EXPECT_EQ(producer->Commit(i, 3, static_cast<uint16_t>(producer->payload_max() + 1)),
              PublishResult::kTooLarge);
    ASSERT_EQ(producer->Commit(i, 3, 8), PublishResult::kOk);
    ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
    EXPECT_EQ(std::string(static_cast<const char*>(record.payload), record.size), "in place");
  }
  consumer->Release();
  auto blocking = MakeConsumer();
  for (int i = 0; i < 4; ++i) ASSERT_EQ(producer->TryPublish({.wal_seq = 4}), PublishResult::kOk);
  EXPECT_EQ(producer->TryReserve(), nullptr);
  EXPECT_EQ(producer->Commit(9, 3, 0), PublishResult::kNotReserved);
}

// Each way to publish, of sealed records, too; and where the room in the ring is the same one.
TEST_F(ReserveTest, WhatAPublishHasUsedIsReservedNoLonger) {
  const char byte = 'x';
  const Record record = {.wal_seq = 7, .payload = &byte, .size = 1};
  const auto fill_one = [](void*, size_t) { return Producer::Written{7, 0, 1}; };
  const std::vector<std::function<PublishResult(Producer&)>> publishes = {
      [&](Producer& producer) { return producer.TryPublish(record); },
      [&](Producer& producer) { return producer.Publish(record); },
      [&](Producer& producer) {
        return producer.TryPublishBatch({&record, 1}, nullptr);
      },
      [&](Producer& producer) { return producer.Fill(1, fill_one); },
      [](Producer& producer) { return producer.Commit(7, 1, 0); },
  };
  for (const bool crc32c : {false, true}) {
    for (const auto& publish : publishes) {
      auto producer = MakeProducer({.capacity = 4, .crc32c = crc32c});
      for (const int times : {1, 3, 4, 8}) {  // 4 and 8: around the ring
        ASSERT_NE(producer->TryReserve(), nullptr);
        ASSERT_EQ(publish(*producer), PublishResult::kOk);
        for (int i = 1; i < times; ++i) ASSERT_EQ(producer->TryPublish(record), PublishResult::kOk);
        const uint64_t head = producer->head();
        EXPECT_EQ(producer->Commit(8, 1, 0), PublishResult::kNotReserved);
        EXPECT_EQ(producer->head(), head);
      }
    }
  }
}

// Of a new stream, and of one that is taken over where its last producer had room reserved.
TEST_F(ReserveTest, NothingIsReservedBeforeTheFirstReservation) {
  for (const bool crc32c : {false, true}) {
    for (const uint64_t head : {0, 1, 2}) {
      auto producer = MakeProducer({.crc32c = crc32c, .unlink_on_close = false});
      ASSERT_EQ(producer->head(), head);
      EXPECT_EQ(producer->Commit(1, 1, 0), PublishResult::kNotReserved);
      EXPECT_EQ(producer->head(), head);
      ASSERT_NE(producer->TryReserve(), nullptr);
      EXPECT_EQ(producer->Commit(1, 1, 0), PublishResult::kOk);
      ASSERT_NE(producer->TryReserve(), nullptr);
    }
    MakeProducer({.crc32c = crc32c});  // the last of these: the name goes with it
  }
}

TEST_F(ReserveTest, AReservationEndsWithItsStream) {
  for (const bool crc32c : {false, true}) {
    auto producer = MakeProducer({.crc32c = crc32c});
    auto consumer = MakeConsumer();
    ASSERT_NE(producer->TryReserve(), nullptr);
    producer->Close();
    EXPECT_EQ(producer->Commit(1, 1, 0), PublishResult::kClosed);
    EXPECT_EQ(producer->head(), 0u);
    Record record;
    EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
  }
}

TEST_F(ReserveTest, WhoIsSupersededIsToldThatRatherThanOfAReservation) {
  for (const bool crc32c : {false, true}) {
    auto first = MakeProducer({.crc32c = crc32c});
    auto second = MakeProducer({.crc32c = crc32c});
    EXPECT_EQ(first->Commit(1, 1, 0), PublishResult::kClosed);
    EXPECT_EQ(first->TryReserve(), nullptr);
    EXPECT_EQ(first->Commit(1, 1, 0), PublishResult::kClosed);
    EXPECT_EQ(second->Commit(1, 1, 0), PublishResult::kNotReserved);
  }
}

}  // namespace
}  // namespace ombus

// What a producer and its consumers of one process agree on.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ombus/ring_snapshot.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

class RingTest : public RingFixture {
 protected:
  static PublishResult PublishText(Producer& producer, uint64_t wal_seq, const std::string& text) {
    return producer.TryPublish({.wal_seq = wal_seq,
                                .payload = text.data(),
                                .size = static_cast<uint16_t>(text.size()),
                                .type = 7});
  }
  static std::string TextOf(const Record& record) {
    return std::string(static_cast<const char*>(record.payload), record.size);
  }
};

TEST_F(RingTest, TheObjectIsExactlyAsLargeAsTheFormulaSays) {
  auto producer = MakeProducer();
  struct stat info = {};
  ASSERT_EQ(stat(("/dev/shm" + name_.str()).c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 4'198'912);
  EXPECT_GE(info.st_blocks * 512, 4'198'912) << "the memory is reserved";
}

TEST_F(RingTest, APublishedRecordIsPolledAtOnceWithAllItsFields) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
  ASSERT_EQ(PublishText(*producer, 41, "an order"), PublishResult::kOk);
  ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.wal_seq, 41u);
  EXPECT_EQ(record.type, 7);
  EXPECT_EQ(record.flags, 0);
  EXPECT_EQ(TextOf(record), "an order");
  EXPECT_TRUE(consumer->valid());
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
}

TEST_F(RingTest, EverySizeUpToTheMaximumArrivesUnchanged) {
  for (const bool crc : {false, true}) {
    for (const uint32_t slot_size : {24u, 32u, 64u, 72u, 256u, 1032u}) {
      auto producer = MakeProducer({.capacity = 16, .slot_size = slot_size, .crc32c = crc});
      auto consumer = MakeConsumer();
      std::string text;
      for (uint32_t size = 0; size <= producer->payload_max(); ++size) {
        ASSERT_EQ(PublishText(*producer, size, text), PublishResult::kOk);
        Record record;
        ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord) << size;
        ASSERT_EQ(TextOf(record), text);
        consumer->Release();
        text.push_back(static_cast<char>('!' + size * 7 % 90));
      }
      EXPECT_EQ(PublishText(*producer, 0, text), PublishResult::kTooLarge);
    }
  }
}

TEST_F(RingTest, AFullRingRefusesUntilTheSlowestConsumerHasReleased) {
  auto producer = MakeProducer({.capacity = 8});
  auto fast = MakeConsumer();
  auto slow = MakeConsumer();
  for (uint64_t i = 0; i < 8; ++i) ASSERT_EQ(PublishText(*producer, i, "x"), PublishResult::kOk);
  EXPECT_EQ(PublishText(*producer, 8, "x"), PublishResult::kFull);
  Record record;
  while (fast->Poll(&record) == PollResult::kRecord) {
  }
  EXPECT_EQ(PublishText(*producer, 8, "x"), PublishResult::kFull);
  ASSERT_EQ(slow->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(PublishText(*producer, 8, "x"), PublishResult::kFull) << "its view is still held";
  slow->Release();
  EXPECT_EQ(PublishText(*producer, 8, "x"), PublishResult::kOk);
  EXPECT_EQ(producer->Publish({.wal_seq = 9}, 1000), PublishResult::kTimedOut);
}

TEST_F(RingTest, WithoutConsumersTheProducerIsNeverHeldBack) {
  auto producer = MakeProducer({.capacity = 2});
  for (uint64_t i = 0; i < 100; ++i) ASSERT_EQ(PublishText(*producer, i, "x"), PublishResult::kOk);
  auto consumer = MakeConsumer();
  EXPECT_EQ(consumer->tail(), 100u) << "who joins starts at the live head";
}

TEST_F(RingTest, AConsumerThatLeavesNoLongerHoldsTheProducerBack) {
  auto producer = MakeProducer({.capacity = 4});
  auto consumer = MakeConsumer();
  for (uint64_t i = 0; i < 4; ++i) ASSERT_EQ(PublishText(*producer, i, "x"), PublishResult::kOk);
  EXPECT_EQ(PublishText(*producer, 4, "x"), PublishResult::kFull);
  EXPECT_EQ(producer->live_consumers(), 1u);
  consumer.reset();
  EXPECT_EQ(producer->live_consumers(), 0u);
  EXPECT_EQ(PublishText(*producer, 4, "x"), PublishResult::kOk);
}

TEST_F(RingTest, ABatchIsPublishedInOrderAndPolledInOneCall) {
  auto producer = MakeProducer({.capacity = 128});
  auto consumer = MakeConsumer();
  std::vector<Record> in(100);
  std::vector<uint64_t> payloads(100);
  for (uint64_t i = 0; i < 100; ++i) {
    payloads[i] = i * i;
    in[i] = {.wal_seq = i + 5, .payload = &payloads[i], .size = 8, .type = 1};
  }
  size_t published = 0;
  ASSERT_EQ(producer->TryPublishBatch(in, &published), PublishResult::kOk);
  EXPECT_EQ(published, 100u);
  std::vector<Record> out(128);
  const BatchResult batch = consumer->PollBatch(out);
  ASSERT_EQ(batch.count, 100u);
  EXPECT_EQ(batch.end, PollResult::kEmpty);
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(out[i].wal_seq, i + 5);
    EXPECT_EQ(std::memcmp(out[i].payload, &payloads[i], 8), 0);
  }
  ASSERT_EQ(producer->TryPublishBatch(in, &published), PublishResult::kFull);
  EXPECT_EQ(published, 28u);
  EXPECT_EQ(consumer->PollBatch(out).count, 28u);
}

TEST_F(RingTest, ABatchWithOneRecordTooLargeIsRefusedWhole) {
  auto producer = MakeProducer({.slot_size = 64});
  auto consumer = MakeConsumer();
  const char bytes[64] = {};
  const Record in[] = {{.payload = bytes, .size = 40}, {.payload = bytes, .size = 41}};
  size_t published = 9;
  EXPECT_EQ(producer->PublishBatch(in, kWaitForever, &published), PublishResult::kTooLarge);
  EXPECT_EQ(published, 0u);
  EXPECT_EQ(producer->head(), 0u);
}

TEST_F(RingTest, DrainHandsOutEveryRecordInPlace) {
  auto producer = MakeProducer({.capacity = 64});
  auto consumer = MakeConsumer();
  uint64_t next = 0, sent = 0;
  for (int round = 0; round < 50; ++round) {
    while (producer->TryPublish({.wal_seq = sent, .payload = &sent, .size = 8}) ==
           PublishResult::kOk) {
      ++sent;
    }
    const BatchResult drained = consumer->Drain(1000, [&](const Record& record) {
      EXPECT_EQ(record.wal_seq, next);
      EXPECT_EQ(std::memcmp(record.payload, &next, 8), 0);
      ++next;
    });
    EXPECT_EQ(drained.end, PollResult::kEmpty);
    EXPECT_EQ(consumer->Drain(10, [](const Record&) {}).count, 0u);
  }
  EXPECT_EQ(next, sent);
  EXPECT_EQ(sent, 50u * 64);
}

TEST_F(RingTest, GapsAreReportedWithWhatWasExpected) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  Record record;
  (void)PublishText(*producer, 100, "first: no gap");
  (void)PublishText(*producer, 101, "");
  (void)PublishText(*producer, 105, "");
  (void)PublishText(*producer, 106, "");
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kGap);
  EXPECT_EQ(record.wal_seq, 105u);
  EXPECT_EQ(record.flags, kRecordGap);
  EXPECT_EQ(consumer->expected_wal_seq(), 102u);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
}

TEST_F(RingTest, GapsInsideABatchAreFlaggedOnTheirRecord) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  for (const uint64_t seq : {1, 2, 9, 10}) (void)PublishText(*producer, seq, "");
  Record out[8];
  ASSERT_EQ(consumer->PollBatch(out).count, 4u);
  EXPECT_EQ(out[1].flags, 0);
  EXPECT_EQ(out[2].flags, kRecordGap);
  EXPECT_EQ(out[3].flags, 0);
}

TEST_F(RingTest, ARingOfOneSlotPassesOneRecordAtATime) {
  auto producer = MakeProducer({.capacity = 1});
  auto consumer = MakeConsumer();
  for (uint64_t i = 0; i < 100; ++i) {
    Record record;
    EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
    ASSERT_EQ(PublishText(*producer, i, "x"), PublishResult::kOk);
    EXPECT_EQ(PublishText(*producer, i, "x"), PublishResult::kFull);
    ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
    EXPECT_EQ(record.wal_seq, i);
    consumer->Release();
  }
}

TEST_F(RingTest, AStreamCanMakeAllItsConsumersReportReorders) {
  auto producer = MakeProducer({.reject_reorder = true});
  auto consumer = MakeConsumer();
  ASSERT_EQ(PublishText(*producer, 5, "x"), PublishResult::kOk);
  ASSERT_EQ(PublishText(*producer, 4, "x"), PublishResult::kOk);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kReorder);
}

TEST_F(RingTest, MinTailIsThatOfTheSlowestConsumerNow) {
  auto producer = MakeProducer();
  EXPECT_EQ(producer->min_tail(), 0u);
  for (uint64_t i = 1; i <= 5; ++i) ASSERT_EQ(PublishText(*producer, i, "x"), PublishResult::kOk);
  EXPECT_EQ(producer->min_tail(), 5u);  // nobody reads
  auto consumer = MakeConsumer();
  for (uint64_t i = 6; i <= 9; ++i) ASSERT_EQ(PublishText(*producer, i, "x"), PublishResult::kOk);
  EXPECT_EQ(producer->min_tail(), 5u);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  consumer->Release();
  EXPECT_EQ(producer->min_tail(), 6u);
}

TEST_F(RingTest, BothEndsNoticeASuccessorAtOnce) {
  auto first = MakeProducer();
  auto consumer = MakeConsumer();
  ASSERT_EQ(PublishText(*first, 1, "x"), PublishResult::kOk);
  EXPECT_FALSE(first->superseded());
  EXPECT_FALSE(consumer->epoch_changed());
  auto second = MakeProducer();
  EXPECT_TRUE(first->superseded());
  EXPECT_FALSE(second->superseded());
  EXPECT_TRUE(consumer->epoch_changed());
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);  // it was published before
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
}

// What it publishes nobody reads. It is another thread's, which may be publishing meanwhile.
TEST_F(RingTest, ASupersededHandlePublishesOneRecordAtMostAndIsTold) {
  const char byte = 'x';
  const std::vector<Record> batch(100, Record{.wal_seq = 7, .payload = &byte, .size = 1});
  size_t published = 0;
  const auto fill_one = [&](void*, size_t) { return Producer::Written{7, 0, 1}; };
  for (const int way : {0, 1, 2, 3}) {
    auto first = MakeProducer();
    ASSERT_EQ(PublishText(*first, 1, "x"), PublishResult::kOk);  // and has looked for room
    auto second = MakeProducer();
    switch (way) {
      case 0:
        EXPECT_EQ(PublishText(*first, 2, "x"), PublishResult::kOk);
        EXPECT_EQ(PublishText(*first, 3, "x"), PublishResult::kClosed);
        break;
      case 1:
        EXPECT_EQ(first->PublishBatch(batch, 0, &published), PublishResult::kClosed);
        EXPECT_EQ(published, 32u);  // with one store of head
        break;
      case 2:
        EXPECT_EQ(first->Fill(100, fill_one, 0, &published), PublishResult::kClosed);
        EXPECT_EQ(published, 32u);
        break;
      default:
        EXPECT_NE(first->TryReserve(), nullptr);
        EXPECT_EQ(first->Commit(1, 1, 0), PublishResult::kOk);
        EXPECT_EQ(first->TryReserve(), nullptr);
    }
    EXPECT_EQ(PublishText(*second, 1, "x"), PublishResult::kOk);
  }
}

TEST_F(RingTest, TryCopyOutTakesWhatIsInSequenceAndLeavesTheRestToPoll) {
  auto producer = MakeProducer({.capacity = 16});
  auto consumer = MakeConsumer();
  std::byte copy[256];
  Record record;
  EXPECT_FALSE(consumer->TryCopyOut<512>(copy, &record));  // nothing there
  uint64_t next = 1;
  int copied = 0;
  for (int round = 0; round < 50; ++round) {  // through RunAhead and around the ring
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(PublishText(*producer, next + static_cast<uint64_t>(i), "x"), PublishResult::kOk);
    }
    for (int i = 0; i < 5; ++i, ++next) {
      if (consumer->TryCopyOut<512>(copy, &record)) {
        EXPECT_EQ(record.payload, copy);
        ++copied;
      } else {
        ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
      }
      ASSERT_EQ(record.wal_seq, next);
      EXPECT_EQ(TextOf(record), "x");
      EXPECT_TRUE(consumer->valid());
      consumer->Release();
    }
  }
  EXPECT_GT(copied, 50);
  ASSERT_EQ(PublishText(*producer, next + 1, "y"), PublishResult::kOk);
  EXPECT_FALSE(consumer->TryCopyOut<512>(copy, &record));  // a gap
  EXPECT_EQ(consumer->Poll(&record), PollResult::kGap);
  ASSERT_EQ(PublishText(*producer, next + 2, "z"), PublishResult::kOk);
  auto successor = MakeProducer({.capacity = 16});
  EXPECT_FALSE(consumer->TryCopyOut<512>(copy, &record));  // an epoch that polls have not told of
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
}

TEST_F(RingTest, TryCopyOutGivesRoomBackAtOnce) {
  auto producer = MakeProducer({.capacity = 4});
  auto consumer = MakeConsumer();
  std::byte copy[256];
  Record record;
  for (uint64_t seq = 0; seq < 100; ++seq) {  // the producer never finds a tail that is late
    for (uint64_t i = 0; producer->head() - consumer->tail() < 4; ++i) {
      ASSERT_EQ(PublishText(*producer, producer->head(), "x"), PublishResult::kOk) << seq << i;
    }
    if (consumer->TryCopyOut<512>(copy, &record)) continue;
    ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
    consumer->Release();
  }
}

TEST_F(RingTest, TryCopyOutLeavesWhatIsLongerThanAskedForToPoll) {
  auto producer = MakeProducer({.capacity = 16});
  auto consumer = MakeConsumer();
  std::byte copy[256];
  Record record;
  ASSERT_EQ(PublishText(*producer, 1, "x"), PublishResult::kOk);
  ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
  ASSERT_EQ(PublishText(*producer, 2, std::string(41, 'x')), PublishResult::kOk);
  EXPECT_FALSE(consumer->TryCopyOut<40>(copy, &record));
  ASSERT_TRUE(consumer->TryCopyOut<41>(copy, &record));
  EXPECT_EQ(TextOf(record), std::string(41, 'x'));
}

TEST_F(RingTest, WhatIsHeldBackIsLeftToPoll) {
  auto producer = MakeProducer({.capacity = 16});
  auto consumer = MakeConsumer();
  std::byte copy[256];
  Record record;
  for (uint64_t seq = 1; seq <= 8; ++seq) {
    ASSERT_EQ(PublishText(*producer, seq, "x"), PublishResult::kOk);
  }
  ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
  ASSERT_TRUE(consumer->TryCopyOut<512>(copy, &record));
  consumer->HoldBack();
  EXPECT_FALSE(consumer->TryCopyOut<512>(copy, &record));
  ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.wal_seq, 3u);
  EXPECT_TRUE(consumer->TryCopyOut<512>(copy, &record));
}

TEST_F(RingTest, TryCopyOutLeavesAnEvictionToPoll) {
  auto producer = MakeProducer({.capacity = 4, .staleness_ns = 1});
  auto consumer = MakeConsumer();
  for (uint64_t seq = 0; seq < 20; ++seq) {
    ASSERT_EQ(producer->Publish({.wal_seq = seq, .payload = "x", .size = 1}), PublishResult::kOk);
  }
  std::byte copy[256];
  Record record;
  EXPECT_FALSE(consumer->TryCopyOut<512>(copy, &record));
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEvicted);
  EXPECT_EQ(producer->evictions(), 1u);
}

TEST_F(RingTest, TryPublishShortPublishesWhatFitsALineAndLeavesTheRestToTryPublish) {
  auto producer = MakeProducer({.capacity = 4});
  const std::string text(41, 'x');
  EXPECT_FALSE(producer->TryPublishShort(1, 7, text.data(), 40)) << "nobody looked for room yet";
  auto consumer = MakeConsumer();
  ASSERT_EQ(PublishText(*producer, 1, "x"), PublishResult::kOk);
  Record record;
  ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
  consumer->Release();
  EXPECT_FALSE(producer->TryPublishShort(2, 7, text.data(), 41));
  for (const uint16_t size : {0, 8, 40}) {
    ASSERT_TRUE(producer->TryPublishShort(size + 2u, 7, text.data(), size));
    ASSERT_TRUE(IsRecord(consumer->Poll(&record)));
    EXPECT_EQ(record.wal_seq, size + 2u);
    EXPECT_EQ(record.type, 7);
    EXPECT_EQ(TextOf(record), text.substr(0, size));
  }
  EXPECT_FALSE(producer->TryPublishShort(99, 7, text.data(), 8)) << "full, as far as it knows";
}

TEST_F(RingTest, ReordersAreReportedOnlyToThoseWhoAsk) {
  auto producer = MakeProducer();
  auto tolerant = MakeConsumer();
  auto strict = MakeConsumer({.reject_reorder = true});
  for (const uint64_t seq : {1, 2, 1, 3}) (void)PublishText(*producer, seq, "");
  Record record;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(tolerant->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(strict->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(strict->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(strict->Poll(&record), PollResult::kReorder);
  EXPECT_EQ(record.flags, kRecordReorder);
  EXPECT_EQ(strict->Poll(&record), PollResult::kRecord) << "a late record makes no gap";
}

TEST_F(RingTest, AClosedStreamIsDrainedBeforeItsEndIsTold) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  (void)PublishText(*producer, 1, "last");
  producer->Close();
  EXPECT_EQ(PublishText(*producer, 2, "late"), PublishResult::kClosed);
  EXPECT_EQ(producer->TryReserve(), nullptr);
  EXPECT_EQ(producer->WaitForRoom(0), PublishResult::kClosed);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
}

TEST_F(RingTest, ATakeoverInTheSameProcessGivesANewObjectAndTellsReadersOnce) {
  auto old = MakeProducer();
  auto consumer = MakeConsumer();
  (void)PublishText(*old, 1, "before");
  auto producer = MakeProducer();
  (void)PublishText(*old, 2, "by the old handle, afterwards");
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
  EXPECT_TRUE(consumer->replaced());
  EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
  auto again = MakeConsumer();
  old.reset();
  EXPECT_EQ(PublishText(*producer, 3, "new"), PublishResult::kOk);
  ASSERT_EQ(again->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(TextOf(record), "new");
  EXPECT_FALSE(again->replaced());
}

TEST_F(RingTest, AStreamIsReplacedOnceItsNameLeadsToAnotherObjectAndNotWhereItLeadsNowhere) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  EXPECT_FALSE(consumer->replaced());
  shm_unlink(name_.str().c_str());
  EXPECT_FALSE(consumer->replaced());
  const RawObject another(name_.str(), 1);
  EXPECT_TRUE(consumer->replaced());
}

TEST_F(RingTest, AClosedStreamThatKeptItsNameIsResumedInPlace) {
  auto producer = MakeProducer({.unlink_on_close = false});
  auto consumer = MakeConsumer();
  (void)PublishText(*producer, 1, "one");
  const uint64_t epoch = producer->epoch();
  producer.reset();
  producer = MakeProducer();
  EXPECT_NE(producer->epoch(), epoch);
  EXPECT_EQ(producer->head(), 1u);
  (void)PublishText(*producer, 2, "two");
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(TextOf(record), "two");
  EXPECT_EQ(consumer->epoch(), producer->epoch());
}

TEST_F(RingTest, SequencesMayBeginAnewWithAnotherProducer) {
  auto producer = MakeProducer({.unlink_on_close = false});
  auto consumer = MakeConsumer({.reject_reorder = true});
  (void)PublishText(*producer, 10, "ten");
  producer.reset();
  producer = MakeProducer();
  for (const uint64_t wal_seq : {1, 2, 4}) (void)PublishText(*producer, wal_seq, "anew");
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord) << "neither a gap nor a reorder";
  EXPECT_EQ(record.wal_seq, 1u);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kGap);
  EXPECT_EQ(consumer->expected_wal_seq(), 3u);
}

TEST_F(RingTest, AConsumerStartsWithTheEpochsFirstRecordIfAllAreThere) {
  auto producer = MakeProducer({.capacity = 8});
  const ConsumerOptions from_start = {.start = ConsumerStart::kEpochStart};
  for (uint64_t seq = 1; seq <= 7; ++seq) (void)PublishText(*producer, seq, "early");
  {
    auto consumer = MakeConsumer(from_start);
    EXPECT_EQ(consumer->missed_records(), 0u);
    // It holds the producer back: one free slot, and no more.
    EXPECT_EQ(PublishText(*producer, 8, "fits"), PublishResult::kOk);
    EXPECT_EQ(PublishText(*producer, 9, "would overwrite"), PublishResult::kFull);
    Record record;
    for (uint64_t seq = 1; seq <= 8; ++seq) {
      ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
      ASSERT_EQ(record.wal_seq, seq);
    }
    EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
  }
  auto late = MakeConsumer(from_start);
  EXPECT_EQ(late->missed_records(), 8u);
  Record record;
  EXPECT_EQ(late->Poll(&record), PollResult::kEmpty);
}

TEST_F(RingTest, AConsumerStartsWithTheEpochOfASuccessor) {
  auto producer = MakeProducer({.capacity = 8, .unlink_on_close = false});
  for (uint64_t seq = 1; seq <= 20; ++seq) (void)PublishText(*producer, seq, "former");
  producer.reset();
  producer = MakeProducer({.capacity = 8});
  for (uint64_t seq = 1; seq <= 5; ++seq) (void)PublishText(*producer, seq, "new");
  auto consumer = MakeConsumer({.start = ConsumerStart::kEpochStart});
  Record record;
  for (uint64_t seq = 1; seq <= 5; ++seq) {
    ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
    ASSERT_EQ(TextOf(record), "new");
  }
}

TEST_F(RingTest, LinesAreClaimedByIndexOrAnyFreeOne) {
  auto producer = MakeProducer({.max_consumers = 3});
  auto second = MakeConsumer({.consumer_index = 1});
  EXPECT_EQ(MakeConsumer()->index(), 0u);
  auto a = MakeConsumer(), b = MakeConsumer();
  EXPECT_EQ(a->index(), 0u);
  EXPECT_EQ(b->index(), 2u);
  const auto taken = Consumer::Open({.name = name_.str(), .consumer_index = 1});
  EXPECT_EQ(taken.status().code(), StatusCode::kAlreadyExists);
  EXPECT_NE(taken.status().message().find(std::to_string(getpid())), std::string::npos);
  EXPECT_EQ(Consumer::Open({.name = name_.str()}).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Consumer::Open({.name = name_.str(), .consumer_index = 3}).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(RingTest, TheBackpressureCallbackIsToldHeadAndMinTailOncePerWait) {
  struct Seen {
    int calls = 0;
    uint64_t head = 0, min_tail = 0;
  } seen;
  ProducerOptions options = {.capacity = 4};
  options.backpressure = [](uint64_t head, uint64_t min_tail, void* context) {
    auto* told = static_cast<Seen*>(context);
    *told = {.calls = told->calls + 1, .head = head, .min_tail = min_tail};
  };
  options.backpressure_context = &seen;
  auto producer = MakeProducer(options);
  auto consumer = MakeConsumer();
  for (uint64_t i = 0; i < 4; ++i) ASSERT_EQ(producer->Publish({.wal_seq = i}), PublishResult::kOk);
  EXPECT_EQ(seen.calls, 0);
  EXPECT_EQ(producer->Publish({}, 20'000'000), PublishResult::kTimedOut);
  EXPECT_EQ(producer->WaitForRoom(20'000'000), PublishResult::kTimedOut);
  EXPECT_EQ(seen.calls, 2);
  EXPECT_EQ(seen.head, 4u);
  EXPECT_EQ(seen.min_tail, 0u);
  const auto snapshot = ReadRingSnapshot(name_.str());
  EXPECT_EQ(snapshot->stalls, 2u);
  EXPECT_GE(snapshot->stalled_ns, 40'000'000u);
}

TEST_F(RingTest, StatisticsTellBatchSizesAndTheMostUnreadRecords) {
  auto producer = MakeProducer({.capacity = 8});
  auto consumer = MakeConsumer();
  const Record records[5] = {};
  ASSERT_EQ(producer->TryPublishBatch(std::span(records, 1), nullptr), PublishResult::kOk);
  ASSERT_EQ(producer->TryPublishBatch(std::span(records, 5), nullptr), PublishResult::kOk);
  ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk);
  ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk);
  size_t published = 0;
  EXPECT_EQ(producer->TryPublishBatch(records, &published), PublishResult::kFull);
  EXPECT_EQ(published, 0u);
  EXPECT_EQ(producer->TryPublish({}), PublishResult::kFull);
  EXPECT_EQ(producer->TryReserve(), nullptr);
  const auto snapshot = ReadRingSnapshot(name_.str());
  EXPECT_EQ(snapshot->stalls, 3u);
  EXPECT_EQ(snapshot->batches[0], 1u);
  EXPECT_EQ(snapshot->batches[1], 0u);
  EXPECT_EQ(snapshot->batches[2], 1u);
  EXPECT_EQ(snapshot->occupancy_max, 8u);
}

TEST_F(RingTest, WaitTellsWhetherThereIsSomethingToPoll) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  EXPECT_FALSE(consumer->Wait(100'000));
  EXPECT_FALSE(consumer->Wait(0));
  (void)PublishText(*producer, 1, "x");
  EXPECT_TRUE(consumer->Wait(0));
  EXPECT_FALSE(consumer->ArmWake());
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_TRUE(consumer->ArmWake());
  consumer->DisarmWake();
  producer->Close();
  EXPECT_TRUE(consumer->Wait(0));
}

TEST_F(RingTest, ASnapshotShowsHeadTailsAndWhoLives) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer({.consumer_index = 2});
  for (uint64_t i = 1; i <= 5; ++i) (void)PublishText(*producer, i * 10, "x");
  auto snapshot = ReadRingSnapshot(name_.str());
  ASSERT_TRUE(snapshot.ok()) << snapshot.status().message();
  EXPECT_EQ(snapshot->head, 5u);
  EXPECT_EQ(snapshot->last_wal_seq, 50u);
  EXPECT_TRUE(snapshot->producer_alive);
  EXPECT_EQ(snapshot->epoch, producer->epoch());
  EXPECT_EQ(snapshot->total_bytes, 4'198'912u);
  ASSERT_EQ(snapshot->consumers.size(), 1u);
  EXPECT_EQ(snapshot->consumers[0].index, 2u);
  EXPECT_EQ(snapshot->consumers[0].lag_records, 5u);
  EXPECT_TRUE(snapshot->consumers[0].owner_alive);
  EXPECT_EQ(snapshot->consumers[0].state, LineState::kLive);
}

}  // namespace
}  // namespace ombus

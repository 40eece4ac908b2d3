// Damaged and hostile objects, and callers' mistakes: each ends in a clear message or in a result,
// never in a crash, an endless wait, or a read out of bounds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ombus/ring_snapshot.h"
#include "tests/ring/child_process.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

using testing::HasSubstr;

class RingHostileTest : public RingFixture {
 protected:
  Status OpenStatus() { return Consumer::Open({.name = name_.str()}).status(); }
};

TEST_F(RingHostileTest, ImpossibleOptionsAreRefusedByName) {
  const auto status = [&](ProducerOptions options) {
    if (options.name.empty()) options.name = name_.str();
    return Producer::Create(options).status();
  };
  EXPECT_THAT(status({.capacity = 100}).message(), HasSubstr("capacity 100"));
  EXPECT_THAT(status({.capacity = 1u << 31}).message(), HasSubstr("capacity 2147483648"));
  EXPECT_THAT(status({.capacity = 3}).message(), HasSubstr("power of two"));
  EXPECT_THAT(status({.slot_size = 16}).message(), HasSubstr("slot_size 16"));
  EXPECT_THAT(status({.slot_size = 100}).message(), HasSubstr("multiple of 8"));
  EXPECT_THAT(status({.slot_size = 1u << 20}).message(), HasSubstr("slot_size"));
  EXPECT_THAT(status({.max_consumers = 0}).message(), HasSubstr("max_consumers 0"));
  EXPECT_THAT(status({.max_consumers = 1025}).message(), HasSubstr("max_consumers"));
  EXPECT_THAT(status({.permissions = 010777}).message(), HasSubstr("permissions"));
  for (const std::string& name :
       {std::string("orders"), std::string("/"), std::string("/a//b"), std::string("/a/../b"),
        std::string("/a/"), std::string("/a/."), std::string("/.."), std::string("/."),
        "/" + std::string(255, 'x'), std::string("/a\0b", 4)}) {
    EXPECT_EQ(status({.name = name}).code(), StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(Consumer::Open({.name = name}).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(ReadRingSnapshot(name).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(OpenStatus().code(), StatusCode::kNotFound) << "nothing was created";
}

TEST_F(RingHostileTest, TheLongestNameAndTheLargestSlotWork) {
  ProducerOptions options = {.capacity = 2, .slot_size = kSlotBytesMax};
  options.name = name_.str() + std::string(255 - name_.str().size(), 'n');
  auto producer = Producer::Create(options);
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  EXPECT_EQ((*producer)->payload_max(), 65535u);
  auto consumer = Consumer::Open({.name = options.name});
  const std::string payload(65535, 'p');
  ASSERT_EQ((*producer)->TryPublish({.payload = payload.data(), .size = 65535}),
            PublishResult::kOk);
  Record record;
  ASSERT_EQ((*consumer)->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(std::memcmp(record.payload, payload.data(), payload.size()), 0);
}

TEST_F(RingHostileTest, AStreamThatDoesNotExistIsNotFound) {
  const Status status = OpenStatus();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("ENOENT"));
  EXPECT_THAT(status.message(), HasSubstr(name_.str()));
  EXPECT_EQ(ReadRingSnapshot(name_.str()).status().code(), StatusCode::kNotFound);
}

TEST_F(RingHostileTest, AnObjectBeingCreatedIsUnavailable) {
  { RawObject empty(name_.str()); }
  EXPECT_EQ(OpenStatus().code(), StatusCode::kUnavailable);
  for (const size_t size : {size_t{8}, size_t{100'000}}) {
    RawObject without_magic(name_.str(), size);
    ASSERT_EQ(fchmod(without_magic.fd(), 0600 | S_ISVTX), 0);
    EXPECT_EQ(OpenStatus().code(), StatusCode::kUnavailable) << size;
  }
  auto producer = MakeProducer();  // their creator is dead
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(RingHostileTest, AnObjectOfSomebodyElseThatBeginsWithZerosIsLeftAlone) {
  for (const size_t size : {size_t{3}, size_t{100'000}}) {
    RawObject foreign(name_.str(), size);
    foreign.memory()[size - 1] = std::byte{1};
    EXPECT_EQ(OpenStatus().code(), StatusCode::kCorrupt);
    EXPECT_EQ(Producer::Create({.name = name_.str()}).status().code(), StatusCode::kAlreadyExists);
    EXPECT_EQ(foreign.memory()[size - 1], std::byte{1});
    EXPECT_EQ(RawObject(name_.str()).size(), size);
  }
}

TEST_F(RingHostileTest, WhatIsNoFileUnderTheNameIsAnErrorAndNotAWait) {
  const std::string path = "/dev/shm" + name_.str();
  const auto expect_refusal = [&] {
    for (const Status& status : {OpenStatus(), ReadRingSnapshot(name_.str()).status(),
                                 Producer::Create({.name = name_.str()}).status()}) {
      EXPECT_EQ(status.code(), StatusCode::kCorrupt) << status.message();
      EXPECT_THAT(status.message(), HasSubstr("remove it, or choose another name"));
    }
  };
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  expect_refusal();
  ASSERT_EQ(unlink(path.c_str()), 0);
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  expect_refusal();
  ASSERT_EQ(rmdir(path.c_str()), 0);
  ASSERT_EQ(symlink("/dev/null", path.c_str()), 0);
  expect_refusal();
  ASSERT_EQ(unlink(path.c_str()), 0);
}

TEST_F(RingHostileTest, AnObjectThatIsNoRingIsCorruptToReadersAndAProducerLeavesItAlone) {
  for (const size_t size : {3, 8192}) {
    RawObject foreign(name_.str(), size);
    std::memset(foreign.memory(), 0xA5, foreign.size());
    EXPECT_EQ(OpenStatus().code(), StatusCode::kCorrupt);
    EXPECT_EQ(ReadRingSnapshot(name_.str()).status().code(), StatusCode::kCorrupt);
    const Status refused = Producer::Create({.name = name_.str()}).status();
    EXPECT_EQ(refused.code(), StatusCode::kAlreadyExists);
    EXPECT_THAT(refused.message(), HasSubstr("no ring"));
    EXPECT_THAT(refused.message(), HasSubstr("remove /dev/shm" + name_.str()));
    EXPECT_EQ(static_cast<uint8_t>(foreign.memory()[size - 1]), 0xA5);
  }
}

TEST_F(RingHostileTest, TruncatedAndHalfCreatedRingsAreCorruptAndAProducerReplacesThem) {
  MakeProducer({.unlink_on_close = false});
  EXPECT_TRUE(OpenStatus().ok());
  { RawObject truncated(name_.str(), 500'000); }
  EXPECT_EQ(OpenStatus().code(), StatusCode::kCorrupt);
  EXPECT_THAT(OpenStatus().message(), HasSubstr("truncated to 500000"));
  { RawObject truncated(name_.str(), 100); }
  EXPECT_EQ(OpenStatus().code(), StatusCode::kCorrupt);
  auto producer = MakeProducer();
  EXPECT_TRUE(OpenStatus().ok());
}

// Touching what has no memory behind it takes some, and where there is none left, it is SIGBUS.
TEST_F(RingHostileTest, ARingWithHolesIsCorruptAndAProducerReplacesIt) {
  const auto expect_corrupt = [&](off_t hole, const char* why) {
    const RawObject raw(name_.str());
    const uint64_t whole = raw.allocated_bytes();
    ASSERT_TRUE(raw.Punch(hole, 4096));
    for (const Status& status : {OpenStatus(), ReadRingSnapshot(name_.str()).status()}) {
      EXPECT_EQ(status.code(), StatusCode::kCorrupt);
      EXPECT_THAT(status.message(), HasSubstr(why));
    }
    EXPECT_EQ(raw.allocated_bytes() + 4096, whole) << "looking took memory";
  };
  MakeProducer({.unlink_on_close = false});
  ASSERT_TRUE(OpenStatus().ok());
  expect_corrupt(8 * 4096, "has holes");
  MakeProducer({.unlink_on_close = false});
  ASSERT_TRUE(OpenStatus().ok());
  expect_corrupt(0, "wrong magic");
}

TEST_F(RingHostileTest, AnotherVersionIsSaidToBeOneWithBothNumbersAndLeftAlone) {
  MakeProducer({.unlink_on_close = false});
  for (const uint32_t version : {kRingVersion - 1, uint32_t{1}, kRingVersion + 1}) {
    RawObject(name_.str()).header().version = version;
    // To a producer, too: that of the other version may be alive, and hold no lock that we know of.
    for (const Status& refused : {OpenStatus(), ReadRingSnapshot(name_.str()).status(),
                                  Producer::Create({.name = name_.str()}).status()}) {
      EXPECT_EQ(refused.code(), StatusCode::kVersionMismatch);
      EXPECT_THAT(refused.message(), HasSubstr("version " + std::to_string(version)));
      EXPECT_THAT(refused.message(),
                  HasSubstr("this program speaks version " + std::to_string(kRingVersion)));
    }
    EXPECT_EQ(RawObject(name_.str()).header().version, version);
  }
}

TEST_F(RingHostileTest, GeometryThatDoesNotFitTheFileIsCorrupt) {
  MakeProducer({.unlink_on_close = false});
  RawObject raw(name_.str());
  const auto damaged = [&](auto RingHeader::*field, auto value) {
    auto& place = raw.header().*field;
    const auto before = place;
    place = value;
    const StatusCode code = OpenStatus().code();
    place = before;
    return code;
  };
  EXPECT_EQ(damaged(&RingHeader::capacity, 8192u), StatusCode::kCorrupt);
  EXPECT_EQ(damaged(&RingHeader::capacity, 0u), StatusCode::kCorrupt);
  EXPECT_EQ(damaged(&RingHeader::slot_size, 0xFFFFFFFFu), StatusCode::kCorrupt);
  EXPECT_EQ(damaged(&RingHeader::max_consumers, 0u), StatusCode::kCorrupt);
  EXPECT_EQ(damaged(&RingHeader::flags, 0x80u), StatusCode::kCorrupt);
  EXPECT_EQ(damaged(&RingHeader::slots_offset, uint64_t{1} << 60), StatusCode::kCorrupt);
  EXPECT_EQ(damaged(&RingHeader::total_bytes, uint64_t{0}), StatusCode::kCorrupt);
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(RingHostileTest, AnotherGeometryTakesTheNameAndOldReadersAreTold) {
  MakeProducer({.unlink_on_close = false});
  auto consumer = MakeConsumer();
  auto producer = MakeProducer({.capacity = 16});
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
  EXPECT_TRUE(consumer->replaced());
  EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
}

TEST_F(RingHostileTest, AnObjectThatLosesItsNameTakesNoMoreReaders) {
  auto producer = MakeProducer();
  RawObject(name_.str()).header().state.store(static_cast<uint32_t>(RingState::kReplaced));
  EXPECT_EQ(OpenStatus().code(), StatusCode::kUnavailable);
  producer.reset();
  auto successor = MakeProducer({.capacity = 16});
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(RingHostileTest, MoreMemoryThanThereIsIsAnErrorThatSaysHowMuch) {
  const auto refused =
      Producer::Create({.name = name_.str(), .capacity = 1u << 30, .slot_size = kSlotBytesMax});
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(),
              HasSubstr(std::to_string((uint64_t{1} << 30) * 65560 + 4096 + 8 * 64)));
  EXPECT_THAT(refused.status().message(), HasSubstr("/dev/shm"));
  EXPECT_EQ(OpenStatus().code(), StatusCode::kNotFound) << "nothing is left behind";
}

TEST_F(RingHostileTest, AFileSizeLimitIsAnErrorAndNotASignal) {
  ChildProcess child([&](ChildProcess::Parent&) {
    const struct rlimit limit = {.rlim_cur = 100'000, .rlim_max = 100'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto refused = Producer::Create({.name = name_.str()});
    return refused.status().code() == StatusCode::kResourceExhausted ? 0 : 1;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(OpenStatus().code(), StatusCode::kNotFound);
}

TEST_F(RingHostileTest, ALengthBeyondTheSlotIsSkippedAsCorrupt) {
  auto producer = MakeProducer({.slot_size = 64});
  auto consumer = MakeConsumer();
  for (uint64_t i = 0; i < 3; ++i) (void)producer->TryPublish({.wal_seq = i});
  RawObject(name_.str()).slot(1).length = 41;
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kCorrupt);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kGap) << "what was skipped is missing";
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
}

TEST_F(RingHostileTest, ABrokenSealIsCorruptAndEndsABatchBeforeIt) {
  auto producer = MakeProducer({.crc32c = true});
  auto consumer = MakeConsumer();
  const uint64_t payload = 42;
  for (uint64_t i = 0; i < 10; ++i) {
    (void)producer->TryPublish({.wal_seq = i, .payload = &payload, .size = 8});
  }
  RawObject raw(name_.str());
  *reinterpret_cast<std::byte*>(&raw.slot(6) + 1) ^= std::byte{1};
  Record out[16];
  BatchResult batch = consumer->PollBatch(out);
  EXPECT_EQ(batch.count, 6u);
  EXPECT_EQ(batch.end, PollResult::kRecord) << "there is more to say";
  batch = consumer->PollBatch(out);
  EXPECT_EQ(batch.count, 0u);
  EXPECT_EQ(batch.end, PollResult::kCorrupt);
  batch = consumer->PollBatch(out);
  EXPECT_EQ(batch.count, 3u);
  EXPECT_EQ(out[0].flags, kRecordGap);
}

TEST_F(RingHostileTest, APublishedRecordWhoseSeqWasErasedIsFoundOut) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  for (uint64_t i = 0; i < 3; ++i) (void)producer->TryPublish({.wal_seq = i});
  RawObject(name_.str()).slot(0).seq = 0;
  EXPECT_TRUE(consumer->Wait(0));
  Record record;
  PollResult result = PollResult::kEmpty;
  for (int i = 0; i < 100 && result == PollResult::kEmpty; ++i) result = consumer->Poll(&record);
  EXPECT_EQ(result, PollResult::kCorrupt);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.wal_seq, 1u);
}

TEST_F(RingHostileTest, TheEndIsNotToldBeforeADamagedRecord) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  for (uint64_t i = 0; i < 2; ++i) (void)producer->TryPublish({.wal_seq = i});
  RawObject(name_.str()).slot(0).seq = 0;
  producer->Close();
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kCorrupt);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
}

TEST_F(RingHostileTest, AReaderThatWasLappedUnnoticedGoesOnAtTheHead) {
  auto producer = MakeProducer({.capacity = 8});
  auto consumer = MakeConsumer();
  RawObject raw(name_.str());
  const uint64_t control = raw.line(0).control;
  raw.line(0).control = 0;  // somebody freed our line under us …
  for (uint64_t i = 0; i < 100; ++i) ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk);
  raw.line(0).control = control;  // … and put it back
  EXPECT_TRUE(consumer->Wait(0)) << "it does not sleep";
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEvicted);
  EXPECT_EQ(consumer->lost_records(), 100u);
  ASSERT_EQ(producer->TryPublish({.wal_seq = 9}), PublishResult::kOk);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
}

// It holds the producer back from before it knows where it will read: what is published meanwhile
// may not be for it.
TEST_F(RingHostileTest, WhoHasNotJoinedYetIsNotCounted) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer({.consumer_index = 0});
  RawObject raw(name_.str());
  EXPECT_EQ(raw.line(0).pid, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(producer->live_consumers(), 1u);
  raw.line(0).pid = 0;
  EXPECT_EQ(producer->live_consumers(), 0u);
}

TEST_F(RingHostileTest, ForgedTailsNeitherStopNorLapTheProducerForGood) {
  auto producer = MakeProducer({.capacity = 8});
  RawObject raw(name_.str());
  // Nobody holds the line's lock, so it is a dead consumer's.
  for (const uint64_t tail : {uint64_t{0}, uint64_t{1} << 40, ~uint64_t{0}, uint64_t{1} << 63}) {
    raw.line(3).tail = tail;
    raw.line(3).control = 5u << 2 | 1;
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(producer->Publish({}, 10'000'000'000), PublishResult::kOk);
    }
    EXPECT_LE(producer->head() - raw.header().min_tail, 8u);
  }
}

TEST_F(RingHostileTest, ATailBeyondHeadHoldsNothingBack) {
  auto producer = MakeProducer({.capacity = 8});
  auto consumer = MakeConsumer({.consumer_index = 0});
  RawObject(name_.str()).line(0).tail = 1000;
  for (int i = 0; i < 100; ++i) ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk) << i;
  EXPECT_EQ(producer->min_tail(), producer->head());
}

TEST_F(RingHostileTest, WhatWasPublishedBeforeItsHeadWasStoredEndsASleep) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk);
  RawObject(name_.str()).header().head = 0;
  EXPECT_TRUE(consumer->Wait(0));
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
}

TEST_F(RingHostileTest, AReplacedObjectSaysSoThoughWhoReplacedItDiedBeforeTheEpoch) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  RawObject(name_.str()).header().state = static_cast<uint32_t>(RingState::kReplaced);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
  EXPECT_TRUE(consumer->replaced());
  EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
}

TEST_F(RingHostileTest, AHeadFarBeyondTheRecordsIsNoBound) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  for (int i = 0; i < 2; ++i) ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk);
  RawObject(name_.str()).header().head = uint64_t{1} << 40;
  Record record;
  EXPECT_TRUE(IsRecord(consumer->Poll(&record)));
  EXPECT_TRUE(IsRecord(consumer->Poll(&record)));
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
}

TEST_F(RingHostileTest, NothingIsMissedOfAnEpochThatBeginsBeyondHead) {
  auto producer = MakeProducer();
  RawObject(name_.str()).header().epoch_position = 5;
  EXPECT_EQ(MakeConsumer({.start = ConsumerStart::kEpochStart})->missed_records(), 0u);
}

TEST_F(RingHostileTest, WhoWasSupersededThoughItHasTheLockEndsNothing) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  RawObject(name_.str()).header().epoch = 77;
  producer->Close();
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty) << "and not the end";
}

TEST_F(RingHostileTest, PositionsCrossTheEndOfTheirRange) {
  MakeProducer({.capacity = 8, .unlink_on_close = false});
  const uint64_t near_end = std::numeric_limits<uint64_t>::max() - 20;
  RawObject(name_.str()).header().head = near_end;
  auto producer = MakeProducer({.capacity = 8});
  ASSERT_EQ(producer->head(), near_end);
  auto consumer = MakeConsumer();
  uint64_t next = 0;
  for (uint64_t sent = 0; sent < 100;) {
    while (producer->TryPublish({.wal_seq = sent}) == PublishResult::kOk) ++sent;
    (void)consumer->Drain(8, [&](const Record& record) { EXPECT_EQ(record.wal_seq, next++); });
    (void)consumer->Drain(8, [&](const Record&) { ADD_FAILURE(); });
  }
  EXPECT_GE(next, 100u);
}

// Random bytes anywhere in the object while both sides work: everything must stay bounded.
TEST_F(RingHostileTest, RandomScribblingCrashesAndHangsNobody) {
  for (const bool crc : {false, true}) {
    std::mt19937_64 random(crc ? 2 : 1);
    const ProducerOptions options = {
        .capacity = 8, .slot_size = 64, .max_consumers = 2, .crc32c = crc};
    auto producer = MakeProducer(options);
    auto consumer = MakeConsumer();
    auto raw = std::make_unique<RawObject>(name_.str());
    const uint64_t payload = 1;
    uint64_t sum = 0;
    for (int round = 0; round < 20'000; ++round) {
      if (round % 3 == 0) {
        const size_t words = raw->size() / 8;  // header, lines and slots alike
        const size_t hot = random() % 2 == 0 ? random() % words : (128 + random() % 576) / 8;
        const uint64_t value = random() % 3 == 0 ? random() : random() % 64;
        reinterpret_cast<std::atomic<uint64_t>*>(raw->memory())[hot] = value;
      }
      (void)producer->Publish({.wal_seq = 1, .payload = &payload, .size = 8}, 1000);
      Record record;
      const PollResult result = consumer->Poll(&record);
      if (IsRecord(result)) {
        for (uint32_t i = 0; i < record.size; ++i) {
          sum += static_cast<const unsigned char*>(record.payload)[i];
        }
      }
      Record out[4];
      const BatchResult batch = consumer->PollBatch(out);
      ASSERT_LE(batch.count, 4u);
      (void)consumer->Drain(4, [&](const Record& drained) { sum += drained.size; });
      if (round % 100 == 0) (void)consumer->Wait(1000, 0);
      if (round % 500 == 499) {  // by now state or geometry are hit too: see that, and start anew
        (void)ReadRingSnapshot(name_.str());
        (void)Consumer::Open({.name = name_.str()});
        producer.reset();
        producer = MakeProducer(options);
        consumer = MakeConsumer();
        raw = std::make_unique<RawObject>(name_.str());
      }
    }
    EXPECT_GT(sum, 0u);
  }
}

}  // namespace
}  // namespace ombus

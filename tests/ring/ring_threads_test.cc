// Producer and consumers as threads of one process, so that ThreadSanitizer sees both sides.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ring/shared_mapping.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_test_name.h"

namespace ombus {
namespace {

constexpr uint64_t kPatienceNs = 60'000'000'000;

class RingThreads : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    mappings_are_shared = true;  // nobody is evicted here
#endif
  }
};

// One owns the stream in the end, and the other, if it got a handle at all, is told.
TEST_F(RingThreads, OfTwoThatCreateOneNameAtOnceOneIsLive) {
  for (int round = 0; round < 200; ++round) {
    RingTestName name;
    const ProducerOptions options = {.name = name.str(), .capacity = 64};
    const Status not_yet(StatusCode::kInternal, "not yet");
    Result<std::unique_ptr<Producer>> made[2] = {not_yet, not_yet};
    std::atomic<int> ready{0};
    const auto create = [&](int i) {
      for (++ready; ready != 2;) continue;
      made[i] = Producer::Create(options);
    };
    std::thread other(create, 1);
    create(0);
    other.join();
    int live = 0;
    for (const auto& producer : made) {
      if (!producer.ok()) {
        EXPECT_TRUE(producer.status().code() == StatusCode::kUnavailable ||
                    producer.status().code() == StatusCode::kAlreadyExists)
            << producer.status().message();
        continue;
      }
      PublishResult result = PublishResult::kOk;
      for (int i = 0; i < 100 && result == PublishResult::kOk; ++i) {
        result = (*producer)->TryPublish({.wal_seq = 1});
      }
      live += result == PublishResult::kOk ? 1 : 0;
    }
    EXPECT_EQ(live, 1) << round;
  }
}

TEST_F(RingThreads, TwoReadersGetEverythingInOrder) {
  constexpr uint64_t kCount = 30'000;
  RingTestName name;
  auto producer = Producer::Create({.name = name.str(), .capacity = 32, .slot_size = 128});
  ASSERT_TRUE(producer.ok());
  std::vector<std::thread> readers;
  std::atomic<uint64_t> sound{0};
  for (int i = 0; i < 2; ++i) {
    auto opened = Consumer::Open({.name = name.str()});
    ASSERT_TRUE(opened.ok());
    readers.emplace_back([&sound, consumer = std::move(*opened)] {
      uint64_t next = 0;
      Record record;
      for (;;) {
        const PollResult result = consumer->Poll(&record);
        if (result == PollResult::kClosed) break;
        if (result == PollResult::kEmpty) (void)consumer->Wait(1'000'000'000, 1000);
        if (result != PollResult::kRecord) continue;
        uint64_t words[12];
        std::memcpy(words, record.payload, record.size);
        if (record.wal_seq != next || words[next % 12] != next) break;
        ++next;
      }
      if (next == kCount) ++sound;
    });
  }
  uint64_t words[12];
  for (uint64_t seq = 0; seq < kCount; ++seq) {
    for (uint64_t& word : words) word = seq;
    ASSERT_EQ(
        (*producer)->Publish({.wal_seq = seq, .payload = words, .size = sizeof words}, kPatienceNs),
        PublishResult::kOk);
  }
  (*producer)->Close();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(sound, 2u);
}

TEST_F(RingThreads, ReadersThatComeAndGoNeitherMissNorStopAnything) {
  RingTestName name;
  auto producer = Producer::Create({.name = name.str(), .capacity = 16, .max_consumers = 3});
  ASSERT_TRUE(producer.ok());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> gaps{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      for (int visit = 0; visit < 200; ++visit) {
        auto consumer = Consumer::Open({.name = name.str()});
        if (!consumer.ok()) {
          ++gaps;
          break;
        }
        Record record;
        for (int records = 0; records < 30;) {
          const PollResult result = (*consumer)->Poll(&record);
          if (result == PollResult::kRecord)
            ++records;
          else if (result == PollResult::kEmpty)
            std::this_thread::yield();
          else
            ++gaps;
          uint64_t payload = 0;
          if (result == PollResult::kRecord) {
            std::memcpy(&payload, record.payload, sizeof payload);
            if (payload != record.wal_seq) ++gaps;
          }
        }
      }
    });
  }
  std::thread writer([&] {
    for (uint64_t seq = 0; !stop; ++seq) {
      (void)(*producer)->Publish({.wal_seq = seq, .payload = &seq, .size = 8}, kPatienceNs);
    }
  });
  for (std::thread& reader : readers) reader.join();
  stop = true;
  writer.join();
  EXPECT_EQ(gaps, 0u);
  EXPECT_EQ((*producer)->live_consumers(), 0u);
}

TEST_F(RingThreads, WhoIsSupersededWhileItWaitsForRoomIsTold) {
  RingTestName name;
  auto first = Producer::Create({.name = name.str(), .capacity = 2});
  ASSERT_TRUE(first.ok());
  auto consumer = Consumer::Open({.name = name.str()});
  ASSERT_TRUE(consumer.ok());
  for (int i = 0; i < 2; ++i) ASSERT_EQ((*first)->TryPublish({}), PublishResult::kOk);
  RawObject raw(name.str());
  std::thread other([&] {
    while (raw.header().stalls == 0) std::this_thread::yield();
    EXPECT_TRUE(Producer::Create({.name = name.str()}).ok());
  });
  EXPECT_EQ((*first)->Publish({}, kPatienceNs), PublishResult::kClosed);
  other.join();
}

}  // namespace
}  // namespace ombus

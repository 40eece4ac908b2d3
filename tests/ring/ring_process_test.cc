// What holds between processes, also when one of them is killed.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ombus/ring_snapshot.h"
#include "tests/ring/child_process.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kPatienceNs = 60 * kSecondNs;

class RingProcessTest : public RingFixture {
 protected:
  // A process that has joined and does nothing more, until it is killed: by the destructor, too.
  std::unique_ptr<ChildProcess> StartIdleReader() {
    auto child = std::make_unique<ChildProcess>([this](ChildProcess::Parent& parent) {
      auto consumer = MakeConsumer();
      parent.Tell();
      pause();
      return 0;
    });
    EXPECT_TRUE(child->Await());
    return child;
  }
};

// A record's content follows from its sequence, so that every reader can check every byte.
constexpr size_t kContentBytesMax = 232;
uint16_t ContentOf(uint64_t wal_seq, unsigned char* to) {
  const auto size = static_cast<uint16_t>(wal_seq * 2654435761u % (kContentBytesMax + 1));
  for (uint16_t i = 0; i < size; ++i) to[i] = static_cast<unsigned char>(wal_seq + i * 31);
  return size;
}

bool ContentHolds(const Record& record) {
  unsigned char expected[kContentBytesMax];
  const uint16_t size = ContentOf(record.wal_seq, expected);
  return record.size == size && std::memcmp(record.payload, expected, size) == 0;
}

enum class Reading { kSingle, kBatch, kDrain };

// Reads until the stream ends. 0: all records up to count, each once, in order, unchanged.
int ReadAll(Consumer& consumer, uint64_t count, Reading reading) {
  uint64_t next = 1;
  bool sound = true;
  const auto take = [&](const Record& record) {
    sound = sound && record.wal_seq == next && ContentHolds(record);
    ++next;
  };
  std::vector<Record> batch(32);
  for (;;) {
    BatchResult got;
    if (reading == Reading::kSingle) {
      got.end = consumer.Poll(batch.data());
      if (got.end == PollResult::kRecord) take(batch[0]);
    } else if (reading == Reading::kBatch) {
      got = consumer.PollBatch(batch);
      for (size_t i = 0; i < got.count; ++i) take(batch[i]);
    } else {
      got = consumer.Drain(100, take);
    }
    if (got.end == PollResult::kEmpty) (void)consumer.Wait(kSecondNs, 0);
    if (got.end == PollResult::kClosed) break;
    if (got.end != PollResult::kEmpty && got.end != PollResult::kRecord) return 3;
  }
  if (!sound) return 1;
  return next == count + 1 ? 0 : 2;
}

TEST_F(RingProcessTest, EveryReaderGetsEveryRecordInOrderThoughTheRingIsFullMostOfTheTime) {
  constexpr uint64_t kCount = 60'000;
  auto producer = MakeProducer({.capacity = 64, .crc32c = true});
  const auto reader = [&](Reading reading) {
    return [this, reading](ChildProcess::Parent& parent) {
      auto consumer = MakeConsumer();
      parent.Tell();
      return ReadAll(*consumer, kCount, reading);
    };
  };
  ChildProcess single(reader(Reading::kSingle)), batch(reader(Reading::kBatch)),
      drain(reader(Reading::kDrain));
  ASSERT_TRUE(single.Await() && batch.Await() && drain.Await());
  std::vector<unsigned char> bytes(50 * kContentBytesMax);
  std::vector<Record> records(50);
  for (uint64_t sent = 0; sent < kCount;) {
    if (sent / 1000 % 2 == 0) {
      const uint16_t size = ContentOf(sent + 1, bytes.data());
      ASSERT_EQ(producer->Publish({.wal_seq = sent + 1, .payload = bytes.data(), .size = size},
                                  kPatienceNs),
                PublishResult::kOk);
      ++sent;
      continue;
    }
    for (size_t i = 0; i < records.size(); ++i) {
      unsigned char* to = bytes.data() + i * kContentBytesMax;
      const uint16_t size = ContentOf(sent + 1 + i, to);
      records[i] = {.wal_seq = sent + 1 + i, .payload = to, .size = size};
    }
    ASSERT_EQ(producer->PublishBatch(records, kPatienceNs), PublishResult::kOk);
    sent += records.size();
  }
  producer->Close();
  EXPECT_EQ(single.Wait(), 0);
  EXPECT_EQ(batch.Wait(), 0);
  EXPECT_EQ(drain.Wait(), 0);
}

TEST_F(RingProcessTest, AKilledConsumerReleasesTheProducer) {
  auto producer = MakeProducer({.capacity = 8});
  const auto reader = StartIdleReader();
  for (int i = 0; i < 8; ++i) ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk);
  ASSERT_EQ(producer->TryPublish({}), PublishResult::kFull);
  reader->Kill();
  EXPECT_EQ(producer->Publish({}, kPatienceNs), PublishResult::kOk);
  EXPECT_EQ(producer->live_consumers(), 0u);
  EXPECT_EQ(ReadRingSnapshot(name_.str())->reclaimed, 1u);
}

TEST_F(RingProcessTest, AKilledConsumerIsNotCountedWhoeverElseReads) {
  auto producer = MakeProducer();
  auto other = MakeConsumer();
  const auto reader = StartIdleReader();
  EXPECT_EQ(producer->live_consumers(), 2u);
  EXPECT_EQ(reader->Kill(), -1 - SIGKILL);
  EXPECT_EQ(producer->live_consumers(), 1u);
}

TEST_F(RingProcessTest, ASuccessorFreesTheLinesOfReadersThatDiedBeforeIt) {
  auto first = MakeProducer({.unlink_on_close = false});
  StartIdleReader()->Kill();
  first = nullptr;
  EXPECT_EQ(ReadRingSnapshot(name_.str())->reclaimed, 0u);
  auto second = MakeProducer();
  EXPECT_EQ(ReadRingSnapshot(name_.str())->reclaimed, 1u);
}

TEST_F(RingProcessTest, TheTimeOfAStallIsToldWhileItLasts) {
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto producer = MakeProducer({.capacity = 8});
    parent.Tell(), parent.Await();
    for (int i = 0; i < 8; ++i) {
      if (producer->TryPublish({}) != PublishResult::kOk) return 1;
    }
    return producer->Publish({}) == PublishResult::kOk ? 0 : 2;  // for as long as it takes
  });
  ASSERT_TRUE(child.Await());
  auto consumer = MakeConsumer();
  child.Tell();
  uint64_t stalled_ns = 0;
  for (int looks = 0; looks < 20'000 && stalled_ns < 5'000'000; ++looks) {
    stalled_ns = ReadRingSnapshot(name_.str())->stalled_ns;
    poll(nullptr, 0, 1);
  }
  EXPECT_GE(stalled_ns, 5'000'000u);
  EXPECT_EQ(ReadRingSnapshot(name_.str())->stalls, 1u);
  Record record;
  while (consumer->Poll(&record) == PollResult::kRecord) consumer->Release();
  EXPECT_EQ(child.Wait(), 0);
}

TEST_F(RingProcessTest, TheLineOfAKilledConsumerCanBeClaimedAgain) {
  auto producer = MakeProducer({.capacity = 8, .max_consumers = 1});
  const auto reader = StartIdleReader();
  EXPECT_EQ(Consumer::Open({.name = name_.str()}).status().code(), StatusCode::kResourceExhausted);
  for (int i = 0; i < 8; ++i) ASSERT_EQ(producer->TryPublish({}), PublishResult::kOk);
  reader->Kill();
  auto consumer = MakeConsumer();
  ASSERT_NE(consumer, nullptr);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
  ASSERT_EQ(producer->Publish({.wal_seq = 77}, kPatienceNs), PublishResult::kOk);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.wal_seq, 77u);
}

TEST_F(RingProcessTest, AKilledProducerIsTakenOverAndReadersLoseNothing) {
  auto first = MakeProducer({.capacity = 1024, .unlink_on_close = false});
  auto consumer = MakeConsumer();
  first.reset();  // the name and our line stay
  uint64_t next = 1, epochs = 0;
  const auto read = [&] {
    for (Record record;;) {
      const PollResult result = consumer->Poll(&record);
      if (result == PollResult::kEpochChanged) {
        ++epochs;
      } else if (result == PollResult::kRecord) {
        ASSERT_EQ(record.wal_seq, next++);
        ASSERT_TRUE(ContentHolds(record));
      } else {
        break;
      }
    }
    consumer->Release();
  };
  for (int round = 1; round <= 5; ++round) {
    ChildProcess child([&](ChildProcess::Parent& parent) -> int {
      auto producer = MakeProducer({.capacity = 1024});
      unsigned char bytes[kContentBytesMax];
      for (uint64_t seq = producer->head() + 1;; ++seq) {
        const uint16_t size = ContentOf(seq, bytes);
        (void)producer->Publish({.wal_seq = seq, .payload = bytes, .size = size});
        if (seq % 500 == 0) parent.Tell();
      }
    });
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(child.Await());
      read();
    }
    child.Kill();
    const auto dead = ReadRingSnapshot(name_.str());
    EXPECT_FALSE(dead->producer_alive);
    EXPECT_EQ(dead->state, RingState::kActive);
    read();
  }
  auto last = MakeProducer({.capacity = 1024});
  EXPECT_GE(last->head() + 1, next);
  read();
  EXPECT_EQ(last->head() + 1, next) << "whatever was published before the kill was read";
  EXPECT_EQ(epochs, 6u);
}

// Not inlined: g++ 12 finds false overflows.
[[gnu::noinline]] void ClaimForUs(RingHeader& header) {
  header.producer_pid = static_cast<uint32_t>(getpid());
}

TEST_F(RingProcessTest, ALiveProducerOfAnotherProcessIsLeftAlone) {
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto producer = MakeProducer();
    (void)producer->TryPublish({.wal_seq = 1});
    parent.Tell();
    parent.Await();
    return producer->TryPublish({.wal_seq = 2}) == PublishResult::kOk ? 0 : 1;
  });
  ASSERT_TRUE(child.Await());
  auto consumer = MakeConsumer();
  for (const uint32_t capacity : {4096u, 64u}) {
    const auto refused = Producer::Create({.name = name_.str(), .capacity = capacity});
    ASSERT_EQ(refused.status().code(), StatusCode::kAlreadyExists);
    EXPECT_NE(refused.status().message().find(std::to_string(child.pid())), std::string::npos)
        << refused.status().message();
  }
  // In containers everybody may be process 1, and its predecessor's is there for a moment.
  ClaimForUs(RawObject(name_.str()).header());
  EXPECT_EQ(Producer::Create({.name = name_.str()}).status().code(), StatusCode::kAlreadyExists);
  child.Tell();
  EXPECT_EQ(child.Wait(), 0);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.wal_seq, 2u);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
}

TEST_F(RingProcessTest, AForkedChildThatDropsItsCopiesHarmsNobody) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  ChildProcess child([&](ChildProcess::Parent&) {
    producer->Close();
    const bool closed = producer->TryPublish({.wal_seq = 4}) == PublishResult::kClosed;
    producer.reset();
    consumer.reset();
    return closed ? 0 : 1;
  });
  EXPECT_EQ(child.Wait(), 0);
  ASSERT_EQ(producer->TryPublish({.wal_seq = 5}), PublishResult::kOk);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
  EXPECT_TRUE(ReadRingSnapshot(name_.str()).ok());
  EXPECT_TRUE(ReadRingSnapshot(name_.str())->consumers[0].owner_alive);
}

TEST_F(RingProcessTest, AConsumerThatStandsStillIsEvictedAndToldWhatItLost) {
  auto producer = MakeProducer({.capacity = 8, .staleness_ns = 20'000'000});
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto consumer = MakeConsumer();
    parent.Tell();
    parent.Await();  // eight records are there
    Record record;
    if (consumer->Poll(&record) != PollResult::kRecord || record.wal_seq != 0) return 1;
    if (!consumer->valid()) return 2;
    parent.Tell();
    parent.Await();  // evicted, while we held the view
    if (consumer->valid()) return 3;
    if (consumer->Poll(&record) != PollResult::kEvicted) return 4;
    if (consumer->lost_records() != 11) return 5;  // 12 published, one of them read
    if (consumer->Poll(&record) != PollResult::kEmpty) return 6;
    parent.Tell();
    parent.Await();
    if (consumer->Poll(&record) != PollResult::kGap) return 7;
    if (record.wal_seq != 12 || consumer->expected_wal_seq() != 1) return 8;
    return consumer->valid() ? 0 : 9;
  });
  ASSERT_TRUE(child.Await());
  for (uint64_t i = 0; i < 8; ++i) {
    ASSERT_EQ(producer->TryPublish({.wal_seq = i}), PublishResult::kOk);
  }
  child.Tell();
  ASSERT_TRUE(child.Await());
  for (uint64_t i = 8; i < 12; ++i) {
    ASSERT_EQ(producer->Publish({.wal_seq = i}, kPatienceNs), PublishResult::kOk);
  }
  EXPECT_EQ(ReadRingSnapshot(name_.str())->evictions, 1u);
  EXPECT_EQ(producer->live_consumers(), 0u);
  child.Tell();
  ASSERT_TRUE(child.Await()) << child.Wait();
  ASSERT_EQ(producer->Publish({.wal_seq = 12}, kPatienceNs), PublishResult::kOk);
  child.Tell();
  EXPECT_EQ(child.Wait(), 0);
}

TEST_F(RingProcessTest, AConsumerThatIsSlowButMovesIsNotEvicted) {
  // Each of its records takes a twentieth of the staleness, and tails are stored every 64 only: it
  // lives because it answers when the producer asks for its tail.
  constexpr uint64_t kStalenessNs = 2'000'000'000;
  constexpr uint64_t kCount = 300;
  auto producer = MakeProducer({.capacity = 256, .staleness_ns = kStalenessNs});
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto consumer = MakeConsumer();
    parent.Tell();
    for (uint64_t next = 0; next < kCount;) {
      Record record;
      const PollResult result = consumer->Poll(&record);
      if (result == PollResult::kEmpty) continue;
      if (result != PollResult::kRecord || record.wal_seq != next++) return 1;
      if (next < 26) poll(nullptr, 0, kStalenessNs / 1'000'000 / 20);
    }
    return 0;
  });
  ASSERT_TRUE(child.Await());
  for (uint64_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(producer->Publish({.wal_seq = i}, kPatienceNs), PublishResult::kOk);
  }
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(ReadRingSnapshot(name_.str())->evictions, 0u);
}

TEST_F(RingProcessTest, ASleeperOnTheFutexIsWoken) {
  constexpr int kRounds = 200;
  auto producer = MakeProducer();
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto consumer = MakeConsumer();
    for (int i = 0; i < kRounds; ++i) {
      parent.Tell();
      if (!consumer->Wait(kPatienceNs, 0)) return 1;
      Record record;
      if (consumer->Poll(&record) != PollResult::kRecord) return 2;
    }
    parent.Tell();
    return 0;
  });
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(child.Await());
    (void)producer->TryPublish({});
  }
  EXPECT_EQ(child.Wait(), 0);
}

TEST_F(RingProcessTest, ASleeperInPollIsWokenThroughItsDescriptor) {
  constexpr int kRounds = 50;
  auto producer = MakeProducer();
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto consumer = MakeConsumer();
    const Result<int> fd = consumer->WakeDescriptor();
    if (!fd.ok()) return 1;
    for (int i = 0; i < kRounds; ++i) {
      const bool asleep = consumer->ArmWake();
      if (!asleep) return 2;  // nothing is published before we tell
      parent.Tell();
      struct pollfd wait = {.fd = *fd, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, static_cast<int>(kPatienceNs / 1'000'000)) != 1) return 3;
      consumer->DisarmWake();
      Record record;
      if (consumer->Poll(&record) != PollResult::kRecord) return 4;
    }
    return 0;
  });
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(child.Await()) << child.Wait();
    (void)producer->TryPublish({});
  }
  EXPECT_EQ(child.Wait(), 0);
}

// Nothing in the object says so: it was removed, and its producer may be dead.
TEST_F(RingProcessTest, WhoHasNothingToPollIsToldThatTheNameLeadsToAnotherObject) {
  enum class Idle { kWait, kDescriptor, kCheckName };
  for (const Idle idle : {Idle::kWait, Idle::kDescriptor, Idle::kCheckName}) {
    auto first = MakeProducer();
    auto consumer = MakeConsumer();
    ASSERT_EQ(shm_unlink(name_.str().c_str()), 0);
    auto second = MakeProducer();
    ASSERT_EQ(second->TryPublish({.wal_seq = 7}), PublishResult::kOk);
    switch (idle) {
      case Idle::kWait:
        EXPECT_TRUE(consumer->Wait(kPatienceNs));
        break;
      case Idle::kDescriptor:
        ASSERT_TRUE(consumer->WakeDescriptor().ok());
        EXPECT_FALSE(consumer->ArmWake());
        break;
      case Idle::kCheckName:
        for (int i = 0; i < 64; ++i) consumer->CheckName();
    }
    ASSERT_EQ(first->TryPublish({.wal_seq = 1}), PublishResult::kOk);
    Record record;
    EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord) << "what is there comes first";
    EXPECT_EQ(consumer->Poll(&record), PollResult::kEpochChanged);
    EXPECT_TRUE(consumer->replaced());
    EXPECT_EQ(consumer->Poll(&record), PollResult::kClosed);
    EXPECT_TRUE(consumer->Wait(0)) << "as at every end";
    consumer = MakeConsumer({.start = ConsumerStart::kEpochStart});
    EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
    EXPECT_EQ(record.wal_seq, 7u);
    EXPECT_FALSE(consumer->Wait(0));
  }
}

TEST_F(RingProcessTest, CloseWakesSleepers) {
  auto producer = MakeProducer();
  ChildProcess child([&](ChildProcess::Parent& parent) {
    auto consumer = MakeConsumer();
    parent.Tell();
    if (!consumer->Wait(kPatienceNs)) return 1;
    Record record;
    return consumer->Poll(&record) == PollResult::kClosed ? 0 : 2;
  });
  ASSERT_TRUE(child.Await());
  producer.reset();
  EXPECT_EQ(child.Wait(), 0);
}

TEST_F(RingProcessTest, AHostWithItsStandardDescriptorsClosedPrintsIntoNoRing) {
  ChildProcess child([&](ChildProcess::Parent parent) {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(fd);
    auto producer = Producer::Create({.name = name_.str()});
    auto consumer = Consumer::Open({.name = name_.str()});
    if (!producer.ok() || !consumer.ok()) return 2;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      if (write(fd, "what a program prints", 21) >= 0) return 3;
    }
    parent.Tell();
    parent.Await();
    return 0;
  });
  ASSERT_TRUE(child.Await()) << child.Wait();
  EXPECT_TRUE(Consumer::Open({.name = name_.str()}).ok());
  child.Tell();
  EXPECT_EQ(child.Wait(), 0);
}

}  // namespace
}  // namespace ombus

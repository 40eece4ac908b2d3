// An object that is cut short while it is mapped. No check helps against that, so what happens is
// what docs/memory-format.md says: who touches the lost part gets SIGBUS, and nobody else notices.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csetjmp>
#include <csignal>
#include <functional>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ombus/ring_snapshot.h"
#include "tests/ring/child_process.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

class RingTruncatedTest : public RingFixture {
 protected:
  // Cuts the object short while a process is attached, then lets that one go on. How it ended.
  int EndOf(const std::function<std::function<void()>()>& attach) {
    ChildProcess child([&](ChildProcess::Parent& parent) {
      std::signal(SIGBUS, SIG_DFL);  // a sanitizer's handler would turn it into an exit code
      const std::function<void()> go_on = attach();
      parent.Tell();
      parent.Await();
      go_on();
      return 0;
    });
    EXPECT_TRUE(child.Await());
    EXPECT_EQ(ftruncate(RawObject(name_.str()).fd(), kHeaderPageBytes), 0);
    child.Tell();
    return child.Wait();
  }

  static constexpr ProducerOptions kSmall = {
      .capacity = 64, .slot_size = 256, .unlink_on_close = false};
};

TEST_F(RingTruncatedTest, AReaderThatTouchesTheLostPartGetsTheSignal) {
  MakeProducer(kSmall);
  EXPECT_EQ(EndOf([&] {
              std::shared_ptr<Consumer> consumer = MakeConsumer();
              return [consumer] {
                Record record;
                (void)consumer->Poll(&record);
              };
            }),
            -1 - SIGBUS);
}

TEST_F(RingTruncatedTest, AProducerThatTouchesTheLostPartGetsTheSignal) {
  EXPECT_EQ(EndOf([&] {
              std::shared_ptr<Producer> producer = MakeProducer(kSmall);
              return [producer] { (void)producer->TryPublish({}); };
            }),
            -1 - SIGBUS);
}

std::jmp_buf after_the_signal;

// The library takes no signals, hence a host program may deal with this one as it likes.
TEST_F(RingTruncatedTest, AHostProgramMayCatchTheSignalAndGoOnWithoutTheStream) {
  MakeProducer(kSmall);
  EXPECT_EQ(EndOf([&] {
              std::shared_ptr<Consumer> consumer = MakeConsumer();
              return [consumer] {
                std::signal(SIGBUS, [](int) { std::longjmp(after_the_signal, 1); });
                Record record;
                if (setjmp(after_the_signal) == 0) {
                  (void)consumer->Poll(&record);
                  _exit(1);
                }
                _exit(0);  // the handle cannot be destroyed: its line is gone, too
              };
            }),
            0);
}

TEST_F(RingTruncatedTest, NobodyAttachesToWhatIsLeftAndAProducerStartsAnew) {
  MakeProducer(kSmall);
  ASSERT_EQ(ftruncate(RawObject(name_.str()).fd(), kHeaderPageBytes), 0);
  EXPECT_EQ(Consumer::Open({.name = name_.str()}).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(ReadRingSnapshot(name_.str()).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(ReadPayloadHistogram(name_.str()).status().code(), StatusCode::kCorrupt);
  auto producer = MakeProducer(kSmall);
  auto consumer = MakeConsumer();
  ASSERT_EQ(producer->TryPublish({.wal_seq = 1}), PublishResult::kOk);
  Record record;
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
}

// Cut and made as long as before: what was there is zeroes now, which is damage like any other.
TEST_F(RingTruncatedTest, AnObjectThatHasItsLengthBackIsDamagedAndNoMore) {
  auto producer = MakeProducer(kSmall);
  auto consumer = MakeConsumer();
  ASSERT_EQ(producer->TryPublish({.wal_seq = 1}), PublishResult::kOk);
  RawObject raw(name_.str());
  ASSERT_EQ(ftruncate(raw.fd(), kHeaderPageBytes), 0);
  ASSERT_EQ(ftruncate(raw.fd(), static_cast<off_t>(raw.size())), 0);
  Record record;
  bool told = false;
  for (int i = 0; i < 200; ++i) {
    const PollResult result = consumer->Poll(&record);
    EXPECT_FALSE(IsRecord(result));
    told = told || result == PollResult::kEvicted || result == PollResult::kCorrupt;
  }
  EXPECT_TRUE(told);
  ASSERT_EQ(producer->TryPublish({.wal_seq = 2}), PublishResult::kOk);
  EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
}

}  // namespace
}  // namespace ombus

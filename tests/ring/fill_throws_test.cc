// A callback of Fill that throws. Compiled with exceptions, which the rest of ombus does without.
#include <stdexcept>

#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

using FillThrowsTest = RingFixture;

TEST_F(FillThrowsTest, WhatWasWrittenBeforeACallbackThrewIsPublished) {
  auto producer = MakeProducer();
  auto consumer = MakeConsumer();
  const auto write = [](void*, size_t i) {
    if (i == 3) throw std::runtime_error("no fourth");
    return Producer::Written{i, 0, 1};
  };
  size_t published = 0;
  EXPECT_THROW((void)producer->Fill(10, write, kWaitForever, &published), std::runtime_error);
  EXPECT_EQ(published, 3u);
  EXPECT_EQ(producer->head(), 3u);
  ASSERT_EQ(producer->TryPublish({.wal_seq = 3}), PublishResult::kOk);
  Record record;
  for (uint64_t i = 0; i < 4; ++i) {
    ASSERT_EQ(consumer->Poll(&record), PollResult::kRecord);
    EXPECT_EQ(record.wal_seq, i);
  }
  EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
}

}  // namespace
}  // namespace ombus

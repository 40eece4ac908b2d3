#include "tools/ring_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace ombus::tools {
namespace {

template <typename Options>
Options Parse(RingFlags::Side side, const std::vector<std::string_view>& args) {
  RingFlags ring;
  FlagTable flags;
  ring.AddTo(&flags, side);
  const Status status = ParseFlags(flags, args);
  EXPECT_TRUE(status.ok()) << status.message();
  Options options;
  ring.Set(&options);
  return options;
}

TEST(RingFlags, GivenNoneAreTheLibrarysDefaults) {
  const auto producer = Parse<ProducerOptions>(RingFlags::Side::kProducer, {});
  EXPECT_EQ(producer.profile, ProducerOptions().profile);
  EXPECT_EQ(producer.prefetch_ahead_slots, kByProfile);
  EXPECT_FALSE(producer.memory.huge_pages || producer.memory.lock);
  EXPECT_EQ(producer.memory.numa_node, -1);
  const auto consumer = Parse<ConsumerOptions>(RingFlags::Side::kConsumer, {});
  EXPECT_EQ(consumer.profile, ConsumerOptions().profile);
  EXPECT_FALSE(consumer.memory.huge_pages || consumer.memory.lock);
}

TEST(RingFlags, EachReachesItsOption) {
  const auto producer = Parse<ProducerOptions>(
      RingFlags::Side::kProducer, {"--profile", "latency", "--huge-pages", "--lock", "--numa-node",
                                   "3", "--prefetch-ahead", "5"});
  EXPECT_EQ(producer.profile, RingProfile::kLatency);
  EXPECT_EQ(producer.prefetch_ahead_slots, 5u);
  EXPECT_TRUE(producer.memory.huge_pages && producer.memory.lock);
  EXPECT_EQ(producer.memory.numa_node, 3);
  const auto consumer = Parse<ConsumerOptions>(RingFlags::Side::kConsumer,
                                               {"--profile", "latency", "--huge-pages", "--lock"});
  EXPECT_EQ(consumer.profile, RingProfile::kLatency);
  EXPECT_TRUE(consumer.memory.huge_pages && consumer.memory.lock);
}

TEST(RingFlags, WhatIsMissingIsToldWithItsCause) {
  testing::internal::CaptureStderr();
  MemoryReport got;
  got.mapped_bytes = 4 << 20;
  got.warnings = {"lock: 0 of 4194304 bytes; because"};
  TellMemory("pub", {.lock = true}, got);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, testing::HasSubstr("ombus pub: warning: lock: 0 of 4194304 bytes; because\n"));
  EXPECT_THAT(text, testing::HasSubstr("4,194,304 bytes: 0 in huge pages, 0 locked"));
  testing::internal::CaptureStderr();
  TellMemory("pub", {}, {});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace ombus::tools

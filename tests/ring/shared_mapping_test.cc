#include "ring/shared_mapping.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/ring/ring_test_name.h"

namespace ombus {
namespace {

constexpr MappedObject kOne = {1, 2, 4096};

TEST(SharedMapping, IsHandedOutUntilItsLastUserLeaves) {
  std::byte memory[1];
  EXPECT_EQ(JoinMapping(kOne), nullptr);
  OfferMapping(kOne, memory);
  EXPECT_EQ(JoinMapping(kOne), memory);
  EXPECT_FALSE(LeaveMapping(memory));
  EXPECT_TRUE(LeaveMapping(memory));
  EXPECT_EQ(JoinMapping(kOne), nullptr);
}

TEST(SharedMapping, IsOfOneObjectAndSizeOnly) {
  std::byte memory[1];
  OfferMapping(kOne, memory);
  EXPECT_EQ(JoinMapping({2, 2, 4096}), nullptr);
  EXPECT_EQ(JoinMapping({1, 3, 4096}), nullptr);
  EXPECT_EQ(JoinMapping({1, 2, 8192}), nullptr);
  EXPECT_TRUE(LeaveMapping(memory));
}

TEST(SharedMapping, OfTwoOffersTheFirstCountsAndTheOtherStaysItsOwners) {
  std::byte first[1], second[1];
  OfferMapping(kOne, first);
  OfferMapping(kOne, second);
  EXPECT_EQ(JoinMapping(kOne), first);
  EXPECT_TRUE(LeaveMapping(second));
  EXPECT_FALSE(LeaveMapping(first));
  EXPECT_TRUE(LeaveMapping(first));
}

TEST(SharedMapping, BeyondTheTableEachHasItsOwn) {
  std::vector<std::byte> memory(kSharedMappingsMax + 1);
  for (size_t i = 0; i <= kSharedMappingsMax; ++i) OfferMapping({7, i, 4096}, &memory[i]);
  EXPECT_EQ(JoinMapping({7, kSharedMappingsMax, 4096}), nullptr);
  for (const std::byte& one : memory) EXPECT_TRUE(LeaveMapping(&one));
}

TEST(SharedMapping, CountsUsersOfManyThreads) {
  std::byte memory[1];
  OfferMapping(kOne, memory);
  std::atomic<int> last = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        if (JoinMapping(kOne) != memory || LeaveMapping(memory)) ++last;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(last, 0);
  EXPECT_TRUE(LeaveMapping(memory));
}

// Its parent is in the table all the time, most likely also when it forks.
TEST(SharedMapping, AChildOfForkIsNotHeldUpByAThreadThatItDoesNotHave) {
  std::byte memory[1];
  OfferMapping(kOne, memory);
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop) {
      if (JoinMapping(kOne) == memory) (void)!LeaveMapping(memory);
    }
  });
  for (int i = 0; i < 50; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(JoinMapping(kOne) == memory ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  busy.join();
  EXPECT_TRUE(LeaveMapping(memory));
}

TEST(SharedMapping, ProducerAndConsumersOfOneProcessHaveOne) {
#if defined(__SANITIZE_THREAD__)
  mappings_are_shared = true;
#endif
  RingTestName name;
  auto producer = Producer::Create({.name = name.str(), .capacity = 8});
  auto consumer = Consumer::Open({.name = name.str()});
  ASSERT_TRUE(producer.ok() && consumer.ok());
  void* const room = (*producer)->TryReserve();
  ASSERT_EQ((*producer)->Commit(1, 1, 8), PublishResult::kOk);
  Record record;
  ASSERT_EQ((*consumer)->Poll(&record), PollResult::kRecord);
  EXPECT_EQ(record.payload, room);
  // Whoever goes first, the other keeps the memory.
  producer->reset();
  EXPECT_EQ((*consumer)->Poll(&record), PollResult::kClosed);
}

}  // namespace
}  // namespace ombus

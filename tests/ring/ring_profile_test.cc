// What RingProfile and prefetch_ahead_slots change. A prefetch leaves no trace and a wait only
// time: so the former's address is noted, in place of the prefetch, by the inline halves compiled
// here; and of the latter shows what a reader does after waits in vain.
#include "ombus/slot_access.h"

namespace ombus::slot_access {
void NotePrefetch(const void* address);
}  // namespace ombus::slot_access

#define PrefetchForWrite NotePrefetch  // in what is included from here on
#include "ombus/producer.h"
#undef PrefetchForWrite

#include <utility>
#include <vector>

#include "ombus/ring_snapshot.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

std::vector<const std::byte*> prefetched;

class RingProfileTest : public RingFixture {
 protected:
  // How many slots ahead of the record's a publish of a stream with these options prefetches.
  std::ptrdiff_t SlotsAhead(const ProducerOptions& options) {
    auto producer = MakeProducer(options);
    EXPECT_EQ(producer->TryPublish({}), PublishResult::kOk);  // finds room: a slow half, once
    prefetched.clear();
    EXPECT_EQ(producer->TryPublish({.payload = "", .size = 1}), PublishResult::kOk);
    EXPECT_EQ(prefetched.size(), 1u);
    if (prefetched.size() != 1) return -1;
    const std::byte* next = static_cast<std::byte*>(producer->TryReserve()) - kSlotHeaderBytes;
    return (prefetched[0] - next) / std::ptrdiff_t{kDefaultSlotBytes} + 1;
  }

  // Records that come one by one, then thirty of which the twentieth's slot is damaged: what a poll
  // says of that.
  PollResult OfDamageAfterSingleRecords(RingProfile profile) {
    auto producer = MakeProducer();
    auto consumer = MakeConsumer({.profile = profile});
    Record record;
    constexpr uint64_t kSingle = 500;
    for (uint64_t i = 0; i < kSingle; ++i) {
      EXPECT_EQ(producer->TryPublish({.wal_seq = i}), PublishResult::kOk);
      EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
    }
    EXPECT_EQ(consumer->Poll(&record), PollResult::kEmpty);
    for (uint64_t i = 0; i < 30; ++i) {
      EXPECT_EQ(producer->TryPublish({.wal_seq = kSingle + i}), PublishResult::kOk);
    }
    RawObject(name_.str()).slot(kSingle + 19).seq = 0;
    for (int i = 0; i < 19; ++i) EXPECT_EQ(consumer->Poll(&record), PollResult::kRecord);
    return consumer->Poll(&record);
  }
};

TEST_F(RingProfileTest, APublishPrefetchesAsFarAheadAsTheProfileSays) {
  EXPECT_EQ(SlotsAhead({.profile = RingProfile::kThroughput}), 8);
  EXPECT_EQ(SlotsAhead({.profile = RingProfile::kLatency}), 2);
}

TEST_F(RingProfileTest, PrefetchAheadSlotsCountsMoreThanTheProfile) {
  for (const RingProfile profile : {RingProfile::kThroughput, RingProfile::kLatency}) {
    for (const uint32_t slots : {0u, 1u, 5u, kPrefetchAheadSlotsMax}) {
      EXPECT_EQ(SlotsAhead({.profile = profile, .prefetch_ahead_slots = slots}), slots);
    }
  }
}

TEST_F(RingProfileTest, APublishPrefetchesNoFurtherAheadThanAnEighthOfTheRing) {
  EXPECT_EQ(SlotsAhead({.capacity = 64, .prefetch_ahead_slots = 9}), 8);
  EXPECT_EQ(SlotsAhead({.capacity = 32}), 4);
  EXPECT_EQ(SlotsAhead({.capacity = 4}), 0);
}

TEST_F(RingProfileTest, WithoutAWishARingTakesThePowerOfTwoThatFourMebibytesHold) {
  const std::pair<uint32_t, uint32_t> expected[] = {{24, 131'072}, {64, 65'536}, {256, 16'384},
                                                    {320, 8192},   {1024, 4096}, {4096, 4096}};
  for (const auto& [slot_size, capacity] : expected) {
    auto producer = MakeProducer({.slot_size = slot_size});
    const auto ring = ReadRingSnapshot(name_.str());
    ASSERT_TRUE(ring.ok()) << ring.status().message();
    EXPECT_EQ(ring->capacity, capacity) << slot_size;
    EXPECT_EQ(producer->capacity(), capacity);
  }
}

// It is within what it knows from head to be published, that a reader sees damage at once.
TEST_F(RingProfileTest, AReaderForLatencyLooksAtHeadSoonHoweverOftenItFoundNothingMoreThere) {
  EXPECT_EQ(OfDamageAfterSingleRecords(RingProfile::kLatency), PollResult::kCorrupt);
}

TEST_F(RingProfileTest, AReaderForThroughputLooksAtHeadEverMoreSeldomAfterItWaitedThereInVain) {
  EXPECT_EQ(OfDamageAfterSingleRecords(RingProfile::kThroughput), PollResult::kEmpty);
}

}  // namespace

void slot_access::NotePrefetch(const void* address) {
  prefetched.push_back(static_cast<const std::byte*>(address));
}

}  // namespace ombus

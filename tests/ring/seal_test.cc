// Sealed streams: what is in the slots however it was published, and that a reader looks at each
// byte. The sums by themselves are in crc32c_test.cc.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "ombus/seal_short.h"
#include "ring/crc32c.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

constexpr uint32_t kCapacity = 16, kSlotSize = 1032;
// Both ways to sum, and what is too long for either to be done while it is copied.
constexpr uint32_t kSizesEnd = 601;

class SealTest : public RingFixture {
 protected:
  SealTest()
      : producer_(MakeProducer({.capacity = kCapacity, .slot_size = kSlotSize, .crc32c = true})),
        consumer_(MakeConsumer()) {}

  SlotHeader& SlotAt(uint64_t position) { return raw().slot(position % kCapacity); }

  // What the format says of the record at that position.
  uint32_t SealByTheFormat(uint64_t position) {
    SlotHeader& slot = SlotAt(position);
    uint64_t words[2] = {slot.wal_seq, 0};
    std::memcpy(&words[1], &slot.type, 4);
    return Crc32cByTable(Crc32cByTable(0, words, sizeof words), &slot + 1, slot.length);
  }

  RawObject& raw() {
    if (!raw_) raw_ = std::make_unique<RawObject>(name_.str());
    return *raw_;
  }

  std::unique_ptr<Producer> producer_;
  std::unique_ptr<Consumer> consumer_;
  std::unique_ptr<RawObject> raw_;
};

// Of its size and not a byte more: AddressSanitizer sees who reads on.
std::vector<unsigned char> PayloadOf(uint32_t size) {
  std::vector<unsigned char> payload(size);
  for (uint32_t i = 0; i < size; ++i) payload[i] = static_cast<unsigned char>(i * 7 + size);
  return payload;
}

#if defined(__SANITIZE_ADDRESS__) && defined(__x86_64__)
TEST(SealDeathTest, OfMoreThanAPayloadHasIsSeenByTheSanitizer) {
  const std::vector<unsigned char> payload = PayloadOf(48);
  EXPECT_DEATH(std::fprintf(stderr, "%u", seal_short::Seal(1, 2, payload.data(), 56)),
               "heap-buffer-overflow");
}
#endif

Record RecordOf(uint64_t wal_seq, const std::vector<unsigned char>& payload, uint8_t type) {
  return {wal_seq, payload.data(), static_cast<uint16_t>(payload.size()), type, 0};
}

TEST_F(SealTest, EverySizeIsSealedAsTheFormatSaysHoweverItIsPublished) {
  uint64_t next = 0;
  for (uint32_t size = 0; size < kSizesEnd; ++size) {
    const std::vector<unsigned char> payload = PayloadOf(size);
    const uint8_t type = size % 2 == 0 ? 0xFF : 0;
    const uint64_t first = producer_->head();
    ASSERT_EQ(producer_->TryPublish(RecordOf(next, payload, type)), PublishResult::kOk);
    ASSERT_EQ(producer_->Publish(RecordOf(next + 1, payload, type), 0), PublishResult::kOk);
    const Record batched = RecordOf(next + 2, payload, type);
    ASSERT_EQ(producer_->TryPublishBatch(std::span(&batched, 1), nullptr), PublishResult::kOk);
    std::copy(payload.begin(), payload.end(), static_cast<unsigned char*>(producer_->TryReserve()));
    ASSERT_EQ(producer_->Commit(next + 3, type, static_cast<uint16_t>(size)), PublishResult::kOk);
    for (uint64_t way = 0; way < 4; ++way) {
      Record record;
      ASSERT_EQ(consumer_->Poll(&record), PollResult::kRecord) << size << ", way " << way;
      ASSERT_EQ(record.wal_seq, next++) << size;
      ASSERT_EQ(record.size, size) << way;
      ASSERT_EQ(record.type, type) << size << ", way " << way;
      const auto* got = static_cast<const unsigned char*>(record.payload);
      ASSERT_TRUE(std::equal(payload.begin(), payload.end(), got)) << size << ", way " << way;
      ASSERT_EQ(SlotAt(first + way).crc32c, SealByTheFormat(first + way)) << size << ", " << way;
    }
    consumer_->Release();
  }
}

TEST_F(SealTest, NothingBehindThePayloadIsWritten) {
  for (uint32_t size = 0; size < kSizesEnd; ++size) {
    const std::vector<unsigned char> payload = PayloadOf(size);
    auto* room = reinterpret_cast<unsigned char*>(&SlotAt(size) + 1);
    std::memset(room, 0xEE, producer_->payload_max());
    ASSERT_EQ(producer_->TryPublish(RecordOf(size, payload, 1)), PublishResult::kOk);
    Record record;
    ASSERT_EQ(consumer_->Poll(&record), PollResult::kRecord);
    for (uint32_t at = size; at < producer_->payload_max(); ++at) ASSERT_EQ(room[at], 0xEE) << size;
    consumer_->Release();
  }
}

TEST_F(SealTest, ADamagedByteIsCorruptWhereverItIs) {
  uint64_t next = 0;
  for (uint32_t size = 1; size < kSizesEnd; ++size) {
    const std::vector<unsigned char> payload = PayloadOf(size);
    for (const uint32_t at : {0u, size / 3, size * 7 / 11, size - 1}) {
      const uint64_t position = producer_->head();
      ASSERT_EQ(producer_->TryPublish(RecordOf(next++, payload, 1)), PublishResult::kOk);
      reinterpret_cast<unsigned char*>(&SlotAt(position) + 1)[at] ^= 0x10;
      Record record;
      ASSERT_EQ(consumer_->Poll(&record), PollResult::kCorrupt) << size << ", byte " << at;
    }
    ASSERT_EQ(producer_->TryPublish(RecordOf(next++, payload, 1)), PublishResult::kOk);
    Record record;
    ASSERT_TRUE(IsRecord(consumer_->Poll(&record))) << "only the damaged ones";
    consumer_->Release();
  }
}

TEST_F(SealTest, ADamagedHeaderIsCorruptAlsoWithALengthThatLeadsOutOfTheObject) {
  const std::vector<unsigned char> payload = PayloadOf(64);
  for (uint32_t length = 0; length <= 0xFFFF; length += length < kSizesEnd ? 1 : 977) {
    const uint64_t position = producer_->head();
    ASSERT_EQ(producer_->TryPublish(RecordOf(position, payload, 1)), PublishResult::kOk);
    SlotHeader& slot = SlotAt(position);
    slot.length = static_cast<uint16_t>(length);
    if (length == 64) slot.type = 2;
    Record record;
    ASSERT_EQ(consumer_->Poll(&record), PollResult::kCorrupt) << length;
    consumer_->Release();
  }
}

}  // namespace
}  // namespace ombus

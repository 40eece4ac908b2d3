// A record that is lost while an endpoint copies it: the endpoint's last sequence, and the cursor
// that is saved of it, are those of the record before, and move on with the next.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <vector>

#include "ombus/om_bus.h"
#include "ombus/producer.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr uint32_t kSlotBytes = 16384;

void* guarded_page = nullptr;
ConsumerLine* guarded_line = nullptr;

// The copy has come to the page: the producer goes on without us at this moment.
void Evict(int) {
  mprotect(guarded_page, kPageBytes, PROT_READ | PROT_WRITE);
  guarded_line->control =
      (guarded_line->control & ~kLineStateMask) | static_cast<uint64_t>(LineState::kEvicted);
}

class DroppedRecordTest : public RingFixture {
 protected:
  void Publish(uint64_t wal_seq, uint16_t size) {
    ASSERT_EQ(producer_->TryPublish(
                  {.wal_seq = wal_seq, .payload = content_.data(), .size = size, .type = 1}),
              PublishResult::kOk);
  }
  OmBusEndpoint* Open() {
    OmBusEndpointConfig config = {};
    config.stream_name = name_.str().c_str();
    OmBusEndpoint* endpoint = nullptr;
    EXPECT_EQ(om_bus_endpoint_open(&endpoint, &config), 0);
    return endpoint;
  }

  std::unique_ptr<Producer> producer_ = MakeProducer({.capacity = 4, .slot_size = kSlotBytes});
  std::vector<char> content_ = std::vector<char>(12'000, 'x');
  OmBusRecord record_ = {};
};

TEST_F(DroppedRecordTest, IsNotTheLastOneReadAndTheNextOneIs) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "with ThreadSanitizer, each handle has a mapping of its own to guard";
#endif
  OmBusEndpoint* const endpoint = Open();
  Publish(6, 100);
  ASSERT_EQ(om_bus_endpoint_poll(endpoint, &record_), 1);
  // Both ends of a process share one mapping. The room is that of the next record.
  auto* const room = static_cast<std::byte*>(producer_->TryReserve());
  ASSERT_NE(room, nullptr);
  Publish(7, 12'000);
  RawObject raw(name_.str());
  guarded_line = &raw.line(0);
  const auto middle = reinterpret_cast<uintptr_t>(room) + kSlotBytes / 2;
  guarded_page = reinterpret_cast<void*>(middle & ~(kPageBytes - 1));
  struct sigaction evict = {}, before = {};
  evict.sa_handler = Evict;
  sigaction(SIGSEGV, &evict, &before);
  ASSERT_EQ(mprotect(guarded_page, kPageBytes, PROT_NONE), 0);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record_), OM_ERR_BUS_CONSUMER_STALE);
  sigaction(SIGSEGV, &before, nullptr);
  EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), 6u);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record_), 0);
  EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), 6u);
  for (uint64_t wal_seq = 8; wal_seq <= 10; ++wal_seq) {
    Publish(wal_seq, 8);
    EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record_), 1);
    EXPECT_EQ(record_.wal_seq, wal_seq);
    EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), wal_seq);
  }
  om_bus_endpoint_close(endpoint);
}

}  // namespace
}  // namespace ombus

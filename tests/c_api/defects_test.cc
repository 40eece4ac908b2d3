// The eleven known defects of libombus. Each test shows one on a ring (or a client) built the old
// way, in old_way/, and that ombus has it not.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "ombus/consumer.h"
#include "ombus/om_bus.h"
#include "ombus/om_bus_tcp.h"
#include "ombus/producer.h"
#include "tests/c_api/old_way/old_ring.h"
#include "tests/ring/child_process.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_test_name.h"

namespace ombus {
namespace {

using old_way::OldRecord;
using old_way::OldRing;

class DefectsTest : public testing::Test {
 protected:
  ~DefectsTest() override {
    for (OmBusEndpoint* endpoint : endpoints_) om_bus_endpoint_close(endpoint);
    for (OmBusStream* stream : streams_) om_bus_stream_destroy(stream);
    shm_unlink(old_name_.c_str());
  }

  OldRing MakeOld(uint64_t clock_ns = 1) { return OldRing::Create(old_name_, clock_ns); }
  int TryCreate(OmBusStream** stream, uint64_t staleness_ns = 0) {
    OmBusStreamConfig config = {};
    config.stream_name = name_.str().c_str();
    config.capacity = OldRing::kCapacity;
    config.max_consumers = OldRing::kConsumers;
    config.slot_size = OldRing::kSlotBytes;
    config.staleness_ns = staleness_ns;
    return om_bus_stream_create(stream, &config);
  }
  OmBusStream* Make(uint64_t staleness_ns = 0) {
    OmBusStream* stream = nullptr;
    EXPECT_EQ(TryCreate(&stream, staleness_ns), 0);
    streams_.push_back(stream);
    return stream;
  }
  OmBusEndpoint* Open(bool zero_copy = false) {
    OmBusEndpointConfig config = {};
    config.stream_name = name_.str().c_str();
    config.zero_copy = zero_copy;
    OmBusEndpoint* endpoint = nullptr;
    EXPECT_EQ(om_bus_endpoint_open(&endpoint, &config), 0);
    endpoints_.push_back(endpoint);
    return endpoint;
  }
  void Publish(OmBusStream* stream, uint64_t first, uint64_t last) {
    for (uint64_t i = first; i <= last; ++i) {
      EXPECT_EQ(om_bus_stream_publish(stream, i, 1, "payload", 7), 0);
    }
  }

  RingTestName name_;
  std::string old_name_ = name_.str() + "-old";
  std::vector<OmBusStream*> streams_;
  std::vector<OmBusEndpoint*> endpoints_;
};

TEST_F(DefectsTest, OneASecondProducerWipesALiveStream) {
  OldRing first = MakeOld();
  ASSERT_TRUE(first.TryPublish(1, "theirs"));
  OldRing second = MakeOld();
  EXPECT_EQ(first.memory().head, 0u);  // wiped

  ChildProcess child([this](ChildProcess::Parent& parent) {
    OmBusStream* stream = nullptr;
    if (TryCreate(&stream) != 0) return 1;
    if (om_bus_stream_publish(stream, 1, 1, "theirs", 6) != 0) return 2;
    parent.Tell();
    parent.Await();
    return om_bus_stream_publish(stream, 2, 1, "again", 5) == 0 ? 0 : 3;
  });
  ASSERT_TRUE(child.Await());
  OmBusStream* stream = nullptr;
  EXPECT_EQ(TryCreate(&stream), OM_ERR_BUS_SHM_CREATE);
  {
    RawObject object(name_.str());
    EXPECT_EQ(std::memcmp(&object.slot(0) + 1, "theirs", 6), 0);
  }
  child.Tell();
  EXPECT_EQ(child.Wait(), 0);
}

TEST_F(DefectsTest, TwoMemoryIsNotReserved) {
  OldRing old = MakeOld();
  struct stat info = {};
  ASSERT_EQ(fstat(old.fd(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, info.st_size);  // the rest comes later, or SIGBUS does

  Make();
  RawObject object(name_.str());
  ASSERT_EQ(fstat(object.fd(), &info), 0);
  EXPECT_GE(info.st_blocks * 512, info.st_size);
}

TEST_F(DefectsTest, ThreeAProducerWaitsForNobody) {
  OldRing old = MakeOld();
  old.MarkStale(0);
  old.MarkStale(1);
  for (uint64_t i = 1; i <= OldRing::kCapacity; ++i) ASSERT_TRUE(old.TryPublish(i, "x"));
  EXPECT_FALSE(old.TryPublish(5, "x"));  // whoever should make room?

  OmBusStream* nobody = Make();
  Publish(nobody, 1, 100);
  OmBusStream* stream = Make(1'000'000);
  Open();
  Publish(stream, 1, 100);  // the one consumer is stale
}

TEST_F(DefectsTest, FourLinesThatNobodyUsesHoldBack) {
  OldRing old = MakeOld();
  OldRecord record;
  for (uint64_t i = 1; i <= OldRing::kCapacity; ++i) {
    ASSERT_TRUE(old.TryPublish(i, "x"));
    ASSERT_TRUE(old.Poll(0, &record));
  }
  EXPECT_FALSE(old.TryPublish(5, "x"));  // line 1 was never opened

  OmBusStream* stream = Make();
  OmBusEndpoint* endpoint = Open();
  Publish(stream, 1, OldRing::kCapacity);
  om_bus_endpoint_close(endpoint);
  endpoints_.clear();
  Publish(stream, 5, 100);
}

TEST_F(DefectsTest, FiveALappedConsumerPollsEmptyForEver) {
  OldRing old = MakeOld();
  OldRecord record;
  old.MarkStale(0);
  for (uint64_t i = 1; i <= 2 * OldRing::kCapacity; ++i) {
    ASSERT_TRUE(old.TryPublish(i, "x"));
    ASSERT_TRUE(old.Poll(1, &record));
  }
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(old.Poll(0, &record));

  OmBusStream* stream = Make(1'000'000);
  OmBusEndpoint* endpoint = Open();
  Publish(stream, 1, 100);
  OmBusRecord got;
  const int told = om_bus_endpoint_poll(endpoint, &got);
  EXPECT_TRUE(told == OM_ERR_BUS_CONSUMER_STALE || told == OM_ERR_BUS_GAP_DETECTED) << told;
}

TEST_F(DefectsTest, SixAPayloadIsOverwrittenWhileItIsRead) {
  OldRing old = MakeOld();
  old.MarkStale(1);
  OldRecord record;
  for (uint64_t i = 1; i <= OldRing::kCapacity; ++i) ASSERT_TRUE(old.TryPublish(i, "before"));
  ASSERT_TRUE(old.Poll(0, &record));
  ASSERT_TRUE(old.TryPublish(5, "behind"));
  EXPECT_EQ(std::string(record.payload, record.size), "behind");  // what was polled was "before"

  OmBusStream* stream = Make();
  OmBusEndpoint* endpoint = Open(true);
  Publish(stream, 1, OldRing::kCapacity);
  OmBusRecord got;
  ASSERT_EQ(om_bus_endpoint_poll(endpoint, &got), 1);
  ASSERT_EQ(om_bus_stream_publish(stream, 5, 1, "behind!", 7), 0);
  EXPECT_EQ(std::string(static_cast<const char*>(got.payload), got.payload_len), "payload");
}

TEST_F(DefectsTest, SevenADamagedLengthIsTrusted) {
  OldRing old = MakeOld();
  old.MarkStale(1);
  OldRecord record;
  ASSERT_TRUE(old.TryPublish(1, "x"));
  old.memory().slots[0].size = 0xFFFF;
  ASSERT_TRUE(old.Poll(0, &record));
  EXPECT_GT(record.size, OldRing::kSlotBytes);  // whoever reads so much, reads beyond the slot

  OmBusStream* stream = Make();
  OmBusEndpoint* endpoint = Open();
  Publish(stream, 1, 1);
  RawObject object(name_.str());
  object.slot(0).length = 0xFFFF;
  OmBusRecord got;
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &got), OM_ERR_BUS_CRC_MISMATCH);
}

TEST_F(DefectsTest, EightACrashWhileSavingLosesTheCursor) {
  const auto read = [](const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  // A write that fails stands for a crash just before it.
  const auto save_and_fail = [](auto save) {
    ChildProcess child([&](ChildProcess::Parent&) {
      const struct rlimit none = {0, RLIM_INFINITY};
      signal(SIGXFSZ, SIG_IGN);
      return setrlimit(RLIMIT_FSIZE, &none) == 0 && !save() ? 0 : 1;
    });
    EXPECT_EQ(child.Wait(), 0);
  };
  const std::string path = testing::TempDir() + "ombus-defects-" + std::to_string(getpid());
  ASSERT_TRUE(old_way::OldSaveCursor(path, 7));
  save_and_fail([&] { return old_way::OldSaveCursor(path, 8); });
  EXPECT_EQ(read(path), "");  // neither 7 nor 8

  OmBusStream* stream = Make();
  OmBusEndpoint* endpoint = Open();
  Publish(stream, 7, 7);
  OmBusRecord record;
  ASSERT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  ASSERT_EQ(om_bus_endpoint_save_cursor(endpoint, path.c_str()), 0);
  save_and_fail([&] { return om_bus_endpoint_save_cursor(endpoint, path.c_str()) == 0; });
  uint64_t wal_seq = 0;
  EXPECT_EQ(om_bus_endpoint_load_cursor(path.c_str(), &wal_seq), 0);
  EXPECT_EQ(wal_seq, 7u);
  unlink(path.c_str());
}

TEST_F(DefectsTest, NineAnEpochComesBackAfterAReboot) {
  const uint64_t before_reboot = MakeOld(123456789).memory().epoch;
  EXPECT_EQ(MakeOld(123456789).memory().epoch, before_reboot);

  std::set<uint64_t> epochs;
  uint64_t high_bits = 0;
  for (int i = 0; i < 32; ++i) {
    Make();
    RawObject object(name_.str());
    uint64_t epoch = 0;
    std::memcpy(&epoch, object.memory() + offsetof(RingHeader, epoch), sizeof epoch);
    EXPECT_TRUE(epochs.insert(epoch).second);
    high_bits |= epoch >> 61;
  }
  EXPECT_NE(high_bits, 0u);  // a clock would take 73 years to get there
}

TEST_F(DefectsTest, TenAReconnectHidesWhatWasLost) {
  old_way::OldReconnectingClient old;
  old.OnConnected();
  EXPECT_FALSE(old.SeesGap(1));
  old.OnConnected();
  EXPECT_FALSE(old.SeesGap(5));  // 2 to 4 are lost, and nobody knows

  OmBusTcpServerConfig config = {};
  config.bind_addr = "127.0.0.1";
  OmBusTcpServer* server = nullptr;
  ASSERT_EQ(om_bus_tcp_server_create(&server, &config), 0);
  config.port = om_bus_tcp_server_port(server);
  OmBusTcpAutoClientConfig reader = {};
  reader.base.host = "127.0.0.1";
  reader.base.port = config.port;
  reader.retry_base_ms = 1;
  OmBusTcpAutoClient* client = nullptr;
  ASSERT_EQ(om_bus_tcp_auto_client_create(&client, &reader), 0);
  OmBusRecord record;
  const auto broadcast_and_poll = [&](uint64_t wal_seq) {
    while (om_bus_tcp_server_client_count(server) == 0) {
      EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
      EXPECT_EQ(om_bus_tcp_auto_client_poll(client, &record), 0);
    }
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, wal_seq, 1, "x", 1), 0);
    int result = 0;
    while (result == 0) {
      EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
      result = om_bus_tcp_auto_client_poll(client, &record);
    }
    return result;
  };
  EXPECT_EQ(broadcast_and_poll(1), 1);
  om_bus_tcp_server_destroy(server);
  ASSERT_EQ(om_bus_tcp_server_create(&server, &config), 0);
  EXPECT_EQ(broadcast_and_poll(5), OM_ERR_BUS_GAP_DETECTED);
  EXPECT_EQ(record.wal_seq, 5u);
  om_bus_tcp_auto_client_close(client);
  om_bus_tcp_server_destroy(server);
}

TEST_F(DefectsTest, ElevenGapsInABatchGoUnreported) {
  OldRing old = MakeOld();
  std::array<OldRecord, 4> old_records;
  for (const uint64_t wal_seq : {1, 5, 4}) ASSERT_TRUE(old.TryPublish(wal_seq, "x"));
  EXPECT_EQ(old.PollBatch(0, old_records.data(), 4), 3u);  // and that is all it says

  // The C call keeps returning a count; the C++ one says so record by record.
  OmBusStream* stream = Make();
  auto consumer = Consumer::Open({.name = name_.str()});
  ASSERT_TRUE(consumer.ok()) << consumer.status().message();
  for (const uint64_t wal_seq : {1, 5, 4}) Publish(stream, wal_seq, wal_seq);
  std::array<Record, 4> records;
  ASSERT_EQ((*consumer)->PollBatch(records).count, 3u);
  EXPECT_EQ(records[0].flags, 0);
  EXPECT_EQ(records[1].flags, kRecordGap);
  EXPECT_EQ(records[2].flags, kRecordReorder);
}

}  // namespace
}  // namespace ombus

// Memory runs out in each call of both C APIs: one allocation after the other is refused, alone and
// with all that follow. No call may end the program, and nothing may be left behind: no memory, no
// descriptor, no name, no line of a ring that holds its producer back.
#include "engine/memory_guard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "ombus/om_bus.h"
#include "ombus/om_bus_relay.h"
#include "ombus/om_bus_tcp.h"
#include "ombus/ombus.h"
#include "tests/engine/refusing_memory.h"

namespace ombus {
namespace {

constexpr int64_t kNone = INT64_MAX;
int64_t granted_before_refusal = kNone;  // allocations; one thread alone runs here
bool refuse_all_after = false;

}  // namespace

bool IsRefused() {
  if (granted_before_refusal == kNone || granted_before_refusal-- > 0) return false;
  if (!refuse_all_after) granted_before_refusal = kNone;
  return true;
}

}  // namespace ombus

namespace ombus::engine {
namespace {

std::string Name() { return "/ombus-no-memory-" + std::to_string(getpid()); }

int OpenDescriptors() { return EntriesOf("/proc/self/fd"); }

// Runs scene() with its first allocation refused, then with its second, until none is left; then
// the same with all that follow refused as well. Returns how many there were.
uint64_t RefuseEachIn(const std::function<void()>& scene) {
  scene();  // what is allocated once and kept
  const int64_t blocks_before = blocks;
  const int descriptors_before = OpenDescriptors();
  uint64_t tried = 0;
  for (const bool all : {false, true}) {
    for (int64_t granted = 0;; ++granted) {
      const uint64_t refusals_before = refusals;
      refuse_all_after = all;
      granted_before_refusal = granted;
      scene();
      granted_before_refusal = kNone;
      if (refusals == refusals_before) break;
      ++tried;
      EXPECT_EQ(blocks, blocks_before) << "after allocation " << granted << (all ? "…" : "");
      EXPECT_EQ(OpenDescriptors(), descriptors_before) << "after allocation " << granted;
      if (testing::Test::HasFailure()) return tried;
    }
  }
  return tried;
}

// A call that makes something: it succeeds, or says that memory ran out.
template <typename Handle>
void ExpectMadeOrNoMemory(const Handle* made, const ombus_error& error) {
  if (made != nullptr) return;
  EXPECT_EQ(error.code, OMBUS_RESOURCE_EXHAUSTED);
  EXPECT_NE(std::strstr(error.message, "ENOMEM"), nullptr) << error.message;
}

// Where memory is refused in them, tests use no more of it themselves.
class NoMemory : public testing::Test {
 protected:
  ombus_producer* CreateProducer() {
    ombus_producer_options options;
    ombus_producer_options_init(&options, sizeof options);
    options.name = name_.c_str();
    options.capacity = 8;
    ombus_error error = {};
    ombus_producer* producer = ombus_producer_create(&options, &error);
    ExpectMadeOrNoMemory(producer, error);
    return producer;
  }
  ombus_consumer* OpenConsumer() {
    ombus_consumer_options options;
    ombus_consumer_options_init(&options, sizeof options);
    options.name = name_.c_str();
    ombus_error error = {};
    ombus_consumer* consumer = ombus_consumer_open(&options, &error);
    ExpectMadeOrNoMemory(consumer, error);
    return consumer;
  }

  const std::string name_ = Name();
};

class NoMemoryOn : public NoMemory, public testing::WithParamInterface<uint32_t> {
 protected:
  ombus_server_options ServerOptions() {
    ombus_server_options options;
    ombus_server_options_init(&options, sizeof options);
    options.backend = GetParam();
    options.log_bytes = 256 << 10;
    options.client_lag_bytes_max = 64 << 10;
    options.drain_ms = 1;
    return options;
  }
  ombus_server* CreateServer() {
    const ombus_server_options options = ServerOptions();
    ombus_error error = {};
    ombus_server* server = ombus_server_create(&options, &error);
    ExpectMadeOrNoMemory(server, error);
    return server;
  }
  ombus_client* Connect(uint16_t port, uint32_t reconnect) {
    ombus_client_options options;
    ombus_client_options_init(&options, sizeof options);
    options.port = port;
    options.backend = GetParam();
    options.reconnect = reconnect;
    options.retry_base_ms = 1;
    options.retry_max_ms = 1;
    options.receive_buffer_bytes = 128 << 10;
    ombus_error error = {};
    ombus_client* client = ombus_client_connect(&options, &error);
    if (!reconnect) ExpectMadeOrNoMemory(client, error);
    return client;
  }
  static ombus_status Turn(ombus_server* server) {
    ombus_error error = {};
    return ombus_server_poll_io(server, 0, &error);
  }
};

ombus_publish_result Publish(ombus_producer* producer, uint64_t seq) {
  const ombus_record record = {seq, &seq, sizeof seq, 1, 0, 0};
  return ombus_producer_try_publish(producer, &record);
}

TEST_F(NoMemory, InProducerAndConsumerLosesNeitherNameNorLine) {
  const uint64_t tried = RefuseEachIn([this] {
    ombus_producer* producer = CreateProducer();
    if (producer == nullptr) return;
    ombus_consumer* consumer = OpenConsumer();
    if (consumer == nullptr) {
      EXPECT_EQ(ombus_producer_live_consumers(producer), 0u);
    } else {
      ombus_error error = {};
      ombus_record record;
      EXPECT_EQ(Publish(producer, 1), OMBUS_PUBLISH_OK);
      EXPECT_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
      if (ombus_consumer_wake_descriptor(consumer, &error) < 0) {
        EXPECT_EQ(error.code, OMBUS_RESOURCE_EXHAUSTED);
      }
      ombus_producer_end(producer);
      EXPECT_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_CLOSED);
      (void)ombus_consumer_replaced(consumer);
    }
    ombus_consumer_close(consumer);
    ombus_producer_close(producer);
  });
  EXPECT_GT(tried, 10u);
}

TEST_F(NoMemory, InSnapshotSlotAdviceAndCursorFileIsAnError) {
  ombus_producer* producer = CreateProducer();
  ombus_consumer* consumer = OpenConsumer();
  const std::string path = "/tmp" + name_;
  const std::string missing = path + "/cursor/that/is/not/there";
  const uint64_t tried = RefuseEachIn([&] {
    ombus_error error = {};
    ombus_snapshot* snapshot = ombus_snapshot_read(name_.c_str(), &error);
    ExpectMadeOrNoMemory(snapshot, error);
    ombus_snapshot_free(snapshot);
    ombus_producer_options options;
    ombus_producer_options_init(&options, sizeof options);
    const uint32_t sizes[] = {8, 100};
    const ombus_status fit = ombus_producer_options_fit(&options, sizes, nullptr, 2, &error);
    EXPECT_TRUE(fit == OMBUS_RESOURCE_EXHAUSTED || (fit == OMBUS_OK && options.slot_size == 128));
    const ombus_status saved = ombus_cursor_save(path.c_str(), 42, &error);
    EXPECT_TRUE(saved == OMBUS_OK || saved == OMBUS_RESOURCE_EXHAUSTED);
    uint64_t seq = 0;
    const ombus_status loaded = ombus_cursor_load(path.c_str(), &seq, &error);
    EXPECT_TRUE(loaded == OMBUS_RESOURCE_EXHAUSTED || (loaded == OMBUS_OK && seq == 42));
    EXPECT_NE(ombus_cursor_save(missing.c_str(), 1, &error), OMBUS_OK);
    EXPECT_NE(ombus_cursor_load(missing.c_str(), &seq, &error), OMBUS_OK);
  });
  EXPECT_GT(tried, 10u);
  unlink(path.c_str());
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

// Some bounded turns of a server and its clients: joining, HELLO, records, one that is cut.
TEST_P(NoMemoryOn, InServerAndClientsIsAnError) {
  static unsigned char payload[32 << 10];
  uint64_t cut = 0;
  const uint64_t tried = RefuseEachIn([&] {
    ombus_server* server = CreateServer();
    if (server == nullptr) return;
    ombus_client* reading = Connect(ombus_server_port(server), 1);
    ombus_client* lagging = Connect(ombus_server_port(server), 0);
    ombus_record record;
    for (uint64_t seq = 1; seq <= 12; ++seq) {
      if (seq < 8) (void)Turn(server);  // with the last ones, more than a client may lag
      const ombus_record sent = {seq, payload, sizeof payload, 1, 0, 0};
      EXPECT_NE(ombus_server_broadcast(server, &sent), OMBUS_BROADCAST_INVALID);
      if (reading != nullptr) {
        EXPECT_NE(ombus_client_poll(reading, &record, 0), OMBUS_CLIENT_INVALID);
      }
      (void)ombus_server_take_events(
          server, [](ombus_event_kind, const char*, void*) {}, nullptr);
    }
    if (reading != nullptr) {
      ombus_error error = {};
      ombus_client_result end;
      ombus_record batch[4];
      (void)ombus_client_poll_batch(reading, batch, 4, 0, &end);
      (void)ombus_client_send_heartbeat(reading);
      (void)ombus_client_status(reading, &error);
    }
    ombus_server_stats stats = {};
    stats.size = sizeof stats;
    if (ombus_server_get_stats(server, &stats) == OMBUS_OK) cut += stats.slow_client_drops;
    ombus_client_close(lagging);
    (void)Turn(server);
    (void)ombus_server_flush(server, 0);
    ombus_server_shutdown(server, 0, OMBUS_SHUTDOWN_END_OF_STREAM);
    ombus_server_destroy(server);
    for (int i = 0; reading != nullptr && i < 20; ++i) {
      EXPECT_NE(ombus_client_poll(reading, &record, 0), OMBUS_CLIENT_INVALID);
    }
    ombus_client_close(reading);
  });
  EXPECT_GT(cut, 0u);
  EXPECT_GT(tried, 20u);
}

TEST_P(NoMemoryOn, InARelayIsAnError) {
  for (const uint32_t threads : {0, 2}) {
    SCOPED_TRACE(std::to_string(threads) + " egress threads");
    const uint64_t tried = RefuseEachIn([&] {
      const ombus_server_options server = ServerOptions();
      ombus_relay_options options;
      ombus_relay_options_init(&options, sizeof options);
      options.stream = name_.c_str();
      options.server = &server;
      options.on_end = OMBUS_STREAM_END_EXIT;
      options.stream_wait_ms = 0;
      options.flush_ms = 1;
      options.egress_threads = threads;
      ombus_error error = {};
      ombus_relay* relay = ombus_relay_create(&options, &error);
      ExpectMadeOrNoMemory(relay, error);
      if (relay == nullptr) return;
      // There is no such stream. Not with threads beside this one: what is counted here is not for
      // several.
      if (threads == 0) (void)ombus_relay_run(relay, &error);
      EXPECT_EQ(error.code == OMBUS_OK, threads != 0);
      ombus_relay_destroy(relay);
    });
    EXPECT_GT(tried, 10u);
  }
}

TEST_F(NoMemory, InLibombusStreamAndEndpointIsACode) {
  const std::string path = "/tmp" + name_;
  const uint64_t tried = RefuseEachIn([&] {
    OmBusStreamConfig config = {};
    config.stream_name = name_.c_str();
    config.capacity = 8;
    OmBusStream *stream = nullptr, *successor = nullptr;
    if (om_bus_stream_create(&stream, &config) != 0) {
      EXPECT_EQ(stream, nullptr);
      return;
    }
    OmBusEndpointConfig reader = {};
    reader.stream_name = name_.c_str();
    OmBusEndpoint* endpoint = nullptr;
    if (om_bus_endpoint_open(&endpoint, &reader) == 0) {
      OmBusRecord records[8];
      EXPECT_EQ(om_bus_stream_publish(stream, 1, 1, "eight by", 8), 0);
      EXPECT_EQ(om_bus_endpoint_poll(endpoint, records), 1);
      EXPECT_EQ(om_bus_stream_publish(stream, 2, 1, "eight by", 8), 0);
      EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 8), 1);
      (void)om_bus_endpoint_save_cursor(endpoint, path.c_str());
      uint64_t seq = 0;
      (void)om_bus_endpoint_load_cursor(path.c_str(), &seq);
      const int code = om_bus_stream_create(&successor, &config);
      EXPECT_EQ(code == 0, successor != nullptr);
      if (code == 0) {
        EXPECT_EQ(om_bus_endpoint_poll(endpoint, records), OM_ERR_BUS_EPOCH_CHANGED);
      }
    } else {
      EXPECT_EQ(endpoint, nullptr);
    }
    om_bus_stream_destroy(stream);
    om_bus_stream_destroy(successor);
    if (endpoint != nullptr) {
      OmBusRecord record;
      EXPECT_LE(om_bus_endpoint_poll(endpoint, &record), 0);
    }
    om_bus_endpoint_close(endpoint);
  });
  EXPECT_GT(tried, 10u);
  unlink(path.c_str());
}

TEST_P(NoMemoryOn, InLibombusServerAndClientsIsACode) {
  setenv("OMBUS_BACKEND", GetParam() == OMBUS_BACKEND_EPOLL ? "epoll" : "uring", 1);
  static unsigned char payload[32 << 10];
  uint64_t cut = 0;
  const uint64_t tried = RefuseEachIn([&] {
    OmBusTcpServerConfig config = {};
    config.bind_addr = "127.0.0.1";
    config.send_buf_size = 64 << 10;
    OmBusTcpServer* server = nullptr;
    if (om_bus_tcp_server_create(&server, &config) != 0) {
      EXPECT_EQ(server, nullptr);
      return;
    }
    OmBusTcpClientConfig client_config = {};
    client_config.host = "127.0.0.1";
    client_config.port = om_bus_tcp_server_port(server);
    OmBusTcpAutoClientConfig auto_config = {};
    auto_config.base = client_config;
    auto_config.retry_base_ms = auto_config.retry_max_ms = 1;
    OmBusTcpClient* client = nullptr;
    OmBusTcpAutoClient* auto_client = nullptr;
    (void)om_bus_tcp_client_connect(&client, &client_config);
    (void)om_bus_tcp_auto_client_create(&auto_client, &auto_config);
    OmBusRecord record;
    for (uint64_t seq = 1; seq <= 12; ++seq) {
      if (seq < 8) (void)om_bus_tcp_server_poll_io(server);
      (void)om_bus_tcp_server_broadcast(server, seq, 1, payload, sizeof payload);
      if (auto_client != nullptr) (void)om_bus_tcp_auto_client_poll(auto_client, &record);
    }
    for (int i = 0; i < 20; ++i) {
      if (client != nullptr) (void)om_bus_tcp_client_poll(client, &record);
    }
    om_bus_tcp_client_close(client);
    om_bus_tcp_auto_client_close(auto_client);
    OmBusTcpServerStats stats = {};
    om_bus_tcp_server_stats(server, &stats);
    cut += stats.slow_client_drops;
    om_bus_tcp_server_destroy(server);
  });
  EXPECT_GT(cut, 0u);
  EXPECT_GT(tried, 20u);
}

std::vector<uint32_t> Backends() {
  std::vector<uint32_t> backends = {OMBUS_BACKEND_EPOLL};
  ombus_server_options options;
  ombus_server_options_init(&options, sizeof options);
  options.backend = OMBUS_BACKEND_URING;
  ombus_server* probe = ombus_server_create(&options, nullptr);
  if (probe != nullptr) backends.push_back(OMBUS_BACKEND_URING);
  ombus_server_destroy(probe);
  return backends;
}

INSTANTIATE_TEST_SUITE_P(Each, NoMemoryOn, testing::ValuesIn(Backends()), [](const auto& info) {
  return std::string(info.param == OMBUS_BACKEND_EPOLL ? "Epoll" : "Uring");
});

TEST(MemoryFailStop, RunsNothingOnceMemoryRanOut) {
  int ran = 0;
  MemoryFailStop guard;
  EXPECT_TRUE(guard.Run([&] { ++ran; }));
  EXPECT_FALSE(guard.Run([] { throw std::bad_alloc(); }));
  EXPECT_FALSE(guard.Run([&] { ++ran; }));
  EXPECT_EQ(ran, 1);
}

TEST(MemoryGuard, LetsWorkRunAndTellsWhenMemoryRanOut) {
  int ran = 0;
  EXPECT_TRUE(RunGuarded([&] { ++ran; }));
  EXPECT_FALSE(RunGuarded([&] {
    ++ran;
    throw std::bad_alloc();
  }));
  EXPECT_EQ(ran, 2);
}

}  // namespace
}  // namespace ombus::engine

// Who holds a producer back, and for how long.
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

static OmBusStream* make_impatient(uint32_t capacity, uint64_t staleness_ns) {
  new_name();
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name_now();
  config.capacity = capacity;
  config.staleness_ns = staleness_ns;
  OmBusStream* stream = NULL;
  EXPECT_EQ(om_bus_stream_create(&stream, &config), 0);
  return stream;
}

static void nobody_ever_opened(void) {
  OmBusStream* stream = make_impatient(8, 0);
  for (uint64_t i = 1; i <= 100; ++i) publish_text(stream, i, "x");
  om_bus_stream_destroy(stream);
}

static void closed_endpoint(void) {
  OmBusStream* stream = make_impatient(8, 0);
  OmBusEndpoint* endpoint = open_endpoint(2, false);
  for (uint64_t i = 1; i <= 8; ++i) publish_text(stream, i, "x");
  om_bus_endpoint_close(endpoint);
  for (uint64_t i = 9; i <= 100; ++i) publish_text(stream, i, "x");
  om_bus_stream_destroy(stream);
}

static int open_and_wait(int tell_fd) {
  OmBusEndpoint* endpoint = open_endpoint(1, false);
  if (endpoint == NULL || write(tell_fd, "", 1) != 1) return 1;
  pause();
  return 0;
}

static void killed_consumer(void) {
  OmBusStream* stream = make_impatient(8, 0);
  int fd;
  const int pid = start_child(open_and_wait, &fd);
  EXPECT(await_child(fd));
  for (uint64_t i = 1; i <= 8; ++i) publish_text(stream, i, "x");
  end_child(pid, fd, true);
  for (uint64_t i = 9; i <= 100; ++i) publish_text(stream, i, "x");
  om_bus_stream_destroy(stream);
}

static void all_stale(void) {
  OmBusStream* stream = make_impatient(8, 20000000);
  OmBusEndpoint* one = open_endpoint(0, false);
  OmBusEndpoint* two = open_endpoint(1, true);
  for (uint64_t i = 1; i <= 100; ++i) publish_text(stream, i, "x");  // waits for neither for ever
  OmBusRecord records[4];
  const int told = om_bus_endpoint_poll(one, records);
  EXPECT(told == OM_ERR_BUS_CONSUMER_STALE || told == OM_ERR_BUS_GAP_DETECTED);
  const int also = om_bus_endpoint_poll_batch(two, records, 4);
  EXPECT(also == OM_ERR_BUS_CONSUMER_STALE || also == OM_ERR_BUS_GAP_DETECTED);
  // And they go on.
  publish_text(stream, 101, "again");
  int next = om_bus_endpoint_poll(one, records);
  for (int i = 0; i < 10 && next != 0 && records[0].wal_seq != 101; ++i) {
    next = om_bus_endpoint_poll(one, records);
  }
  EXPECT(next == 1 || next == OM_ERR_BUS_GAP_DETECTED);
  EXPECT_EQ(records[0].wal_seq, 101);
  EXPECT(holds_text(&records[0], "again"));
  om_bus_endpoint_close(one);
  om_bus_endpoint_close(two);
  om_bus_stream_destroy(stream);
}

static void one_stale(void) {
  OmBusStream* stream = make_impatient(8, 20000000);
  OmBusEndpoint* stale = open_endpoint(0, false);
  OmBusEndpoint* lively = open_endpoint(1, false);
  OmBusRecord record;
  for (uint64_t i = 1; i <= 100; ++i) {
    publish_text(stream, i, "x");
    EXPECT_EQ(om_bus_endpoint_poll(lively, &record), 1);
    EXPECT_EQ(record.wal_seq, i);
  }
  EXPECT(om_bus_endpoint_poll(stale, &record) < 0);
  om_bus_endpoint_close(stale);
  om_bus_endpoint_close(lively);
  om_bus_stream_destroy(stream);
}

static void idle_but_not_overtaken(void) {
  OmBusStream* stream = make_impatient(8, 1000000);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord record;
  for (uint64_t i = 1; i <= 8; ++i) publish_text(stream, i, "kept");
  const uint64_t until = now_ms() + 20;  // twenty times as long as staleness
  while (!over(until)) {
  }
  for (uint64_t i = 1; i <= 8; ++i) {
    EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
    EXPECT_EQ(record.wal_seq, i);
    EXPECT(holds_text(&record, "kept"));
  }
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

enum { kFlood = 20000 };

typedef struct Flood {
  OmBusStream* stream;
  bool done;
} Flood;

static void* publish_flood(void* argument) {
  Flood* flood = (Flood*)argument;
  unsigned char payload[200];
  for (uint64_t i = 2; i <= kFlood; ++i) {
    memset(payload, (int)(i & 0xFF), sizeof payload);
    if (om_bus_stream_publish(flood->stream, i, 1, payload, sizeof payload) != 0) break;
  }
  __atomic_store_n(&flood->done, true, __ATOMIC_RELEASE);
  return NULL;
}

static uint64_t wrong_bytes(const OmBusRecord* record) {
  const unsigned char* bytes = (const unsigned char*)record->payload;
  uint64_t wrong = 0;
  for (uint16_t i = 0; i < record->payload_len; ++i) {
    wrong += bytes[i] != (unsigned char)(record->wal_seq & 0xFF);
  }
  return wrong;
}

// A reader that stands still now and then is overtaken; what it gets is whole all the same, and
// each jump is told.
static void overtaken_reads_are_whole(void) {
  Flood thread = {make_impatient(8, 2000000), false};
  OmBusEndpoint* endpoint = open_endpoint(0, true);
  // The first one before the flood: all of that may be over before this thread runs again.
  unsigned char first[200];
  memset(first, 1, sizeof first);
  OmBusRecord record;
  REQUIRE_EQ(om_bus_stream_publish(thread.stream, 1, 1, first, sizeof first), 0);
  REQUIRE_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  uint64_t last = record.wal_seq, wrong = wrong_bytes(&record), silent = 0, stale = 0;
  bool told = true;
  pthread_t id;
  REQUIRE_EQ(pthread_create(&id, NULL, publish_flood, &thread), 0);
  for (const uint64_t deadline = soon(); !over(deadline);) {
    const bool done = __atomic_load_n(&thread.done, __ATOMIC_ACQUIRE);
    const int result = om_bus_endpoint_poll(endpoint, &record);
    if (result == 0 && done) break;
    if (result == OM_ERR_BUS_CONSUMER_STALE) {
      told = true;
      ++stale;
    }
    if (result != 1 && result != OM_ERR_BUS_GAP_DETECTED) continue;
    if (record.wal_seq != last + 1 && result == 1 && !told) ++silent;
    told = false;
    last = record.wal_seq;
    wrong += wrong_bytes(&record);
    if (last % 2000 == 0) usleep(10000);
  }
  om_bus_endpoint_close(endpoint);
  pthread_join(id, NULL);
  EXPECT(stale > 0);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(silent, 0);
  om_bus_stream_destroy(thread.stream);
}

const Check kLivenessChecks[] = {
    {"a stream that nobody ever opened never blocks", nobody_ever_opened},
    {"a closed endpoint holds nothing back, staleness off", closed_endpoint},
    {"a killed consumer holds nothing back, staleness off", killed_consumer},
    {"when every consumer is stale the producer goes on, and they are told", all_stale},
    {"a stale consumer is passed over, a lively one loses nothing", one_stale},
    {"a consumer idle for longer than staleness, but not overtaken, loses nothing",
     idle_but_not_overtaken},
    {"an overtaken reader gets whole records and is told of each jump", overtaken_reads_are_whole},
    {NULL, NULL}};

// The producer's side of shared memory.
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ombus/ombus_producer.h"
#include "suite.h"

static int create(OmBusStream** stream, uint32_t capacity, uint32_t slot_size, uint32_t consumers) {
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name_now();
  config.capacity = capacity;
  config.slot_size = slot_size;
  config.max_consumers = consumers;
  return om_bus_stream_create(stream, &config);
}

static size_t object_bytes(void) {
  size_t bytes = 0;
  unsigned char* memory = map_object(name_now(), &bytes);
  if (memory != NULL) unmap_object(memory, bytes);
  return bytes;
}

static void zeros_are_defaults(void) {
  new_name();
  OmBusStream* stream = NULL;
  REQUIRE_EQ(create(&stream, 0, 0, 0), 0);
  EXPECT_EQ(object_bytes(), 4096 + 8 * 64 + 4096 * 256);
  om_bus_stream_destroy(stream);
}

static void memory_is_exact(void) {
  const uint32_t shapes[][3] = {
      {1, 64, 1}, {2, 32, 3}, {64, 128, 16}, {1024, 72, 5}, {8, 65536, 2}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
    new_name();
    OmBusStream* stream = NULL;
    REQUIRE_EQ(create(&stream, shapes[i][0], shapes[i][1], shapes[i][2]), 0);
    EXPECT_EQ(object_bytes(), 4096 + shapes[i][2] * 64 + shapes[i][0] * shapes[i][1]);
    om_bus_stream_destroy(stream);
  }
}

static void magic_and_payload_offset(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  publish_text(stream, 1, "first");
  publish_text(stream, 2, "second");
  size_t bytes = 0;
  unsigned char* memory = map_object(name_now(), &bytes);
  REQUIRE(memory != NULL);
  uint32_t magic;
  memcpy(&magic, memory, sizeof magic);
  EXPECT_EQ(magic, OM_BUS_SHM_MAGIC);
  const unsigned char* slots = memory + OM_BUS_HEADER_PAGE + 8 * 64;
  EXPECT_EQ(memcmp(slots + OM_BUS_SLOT_HEADER_SIZE, "first", 5), 0);
  EXPECT_EQ(memcmp(slots + 256 + OM_BUS_SLOT_HEADER_SIZE, "second", 6), 0);
  unmap_object(memory, bytes);
  om_bus_stream_destroy(stream);
}

static void bad_configurations(void) {
  new_name();
  OmBusStream* stream = NULL;
  const uint32_t odd[] = {3, 100, 4095};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(create(&stream, odd[i], 0, 0), OM_ERR_BUS_NOT_POW2);
    EXPECT(stream == NULL);
  }
  EXPECT_EQ(create(&stream, 4, 100, 0), OM_ERR_BUS_INIT);  // slots would not be aligned
  EXPECT_EQ(create(&stream, 4, 16, 0), OM_ERR_BUS_INIT);
  EXPECT_EQ(create(&stream, 4, 0, 5000), OM_ERR_BUS_INIT);
  EXPECT_EQ(om_bus_stream_create(&stream, NULL), OM_ERR_BUS_INIT);
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  EXPECT_EQ(om_bus_stream_create(&stream, &config), OM_ERR_BUS_INIT);  // no name
  config.stream_name = name_now();
  config.flags = 0x80;
  EXPECT_EQ(om_bus_stream_create(&stream, &config), OM_ERR_BUS_INIT);
  EXPECT(!object_exists(name_now()));
}

static void cannot_create(void) {
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = "/no/such/folder";
  OmBusStream* stream = NULL;
  EXPECT(om_bus_stream_create(&stream, &config) < 0);
  // More than any /dev/shm has: refused now, not a signal later.
  new_name();
  EXPECT_EQ(create(&stream, 1u << 30, 65536, 0), OM_ERR_BUS_SHM_CREATE);
  EXPECT(!object_exists(name_now()));
}

static void too_large(void) {
  new_name();
  static const char payload[256] = "x";
  OmBusStream* stream = make_stream(4, 0);
  EXPECT_EQ(om_bus_stream_publish(stream, 1, 1, payload, 256 - 24), 0);
  EXPECT_EQ(om_bus_stream_publish(stream, 2, 1, payload, 256 - 23), OM_ERR_BUS_RECORD_TOO_LARGE);
  EXPECT_EQ(om_bus_stream_publish(stream, 2, 1, NULL, 1), OM_ERR_BUS_INIT);
  EXPECT_EQ(om_bus_stream_publish(stream, 2, 1, NULL, 0), 0);
  OmBusStreamStats stats;
  om_bus_stream_stats(stream, &stats);
  EXPECT_EQ(stats.records_published, 2);
  om_bus_stream_destroy(stream);
}

static void batch(void) {
  new_name();
  OmBusStream* stream = make_stream(256, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord out[100], in[100];
  unsigned char bytes[100];
  for (int i = 0; i < 100; ++i) {
    bytes[i] = (unsigned char)i;
    out[i].wal_seq = 10 + (uint64_t)i;
    out[i].wal_type = (uint8_t)(i * 3);
    out[i].payload_len = (uint16_t)(i % 2);
    out[i].payload = &bytes[i];
  }
  REQUIRE_EQ(om_bus_stream_publish_batch(stream, out, 100), 0);
  REQUIRE_EQ(om_bus_endpoint_poll_batch(endpoint, in, 100), 100);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(in[i].wal_seq, out[i].wal_seq);
    EXPECT_EQ(in[i].wal_type, out[i].wal_type);
    REQUIRE_EQ(in[i].payload_len, out[i].payload_len);
    EXPECT_EQ(memcmp(in[i].payload, out[i].payload, in[i].payload_len), 0);
  }
  EXPECT_EQ(om_bus_stream_publish_batch(stream, out, 0), 0);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void batch_is_checked_first(void) {
  new_name();
  static const char payload[300] = "x";
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord records[3];
  for (int i = 0; i < 3; ++i) {
    records[i].wal_seq = (uint64_t)i;
    records[i].wal_type = 1;
    records[i].payload = payload;
    records[i].payload_len = i == 2 ? 300 : 8;
  }
  EXPECT_EQ(om_bus_stream_publish_batch(stream, records, 3), OM_ERR_BUS_RECORD_TOO_LARGE);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &records[0]), 0);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void statistics(void) {
  new_name();
  OmBusStream* stream = make_stream(8, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusStreamStats stats;
  OmBusRecord record;
  om_bus_stream_stats(stream, &stats);
  EXPECT_EQ(stats.records_published, 0);
  EXPECT_EQ(stats.head, stats.min_tail);
  const uint64_t first = stats.head;
  for (uint64_t i = 1; i <= 40; ++i) {
    publish_text(stream, i, "x");
    om_bus_stream_stats(stream, &stats);
    EXPECT_EQ(stats.records_published, i);
    EXPECT_EQ(stats.head, first + i);
    EXPECT(stats.head - stats.min_tail <= 8);
    if (i >= 5) EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
    om_bus_stream_stats(stream, &stats);
    EXPECT_EQ(stats.head - stats.min_tail, i < 5 ? i : 4);
  }
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void destroy_unlinks(void) {
  new_name();
  OmBusStream* stream = make_stream(0, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  publish_text(stream, 1, "last words");
  EXPECT(object_exists(name_now()));
  om_bus_stream_destroy(stream);
  EXPECT(!object_exists(name_now()));
  OmBusRecord record;
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  EXPECT(holds_text(&record, "last words"));
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 0);
  // Come back and gone again in between: there is nothing to open.
  om_bus_stream_destroy(make_stream(0, 0));
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 0);
  // Should the name come back, that is another epoch.
  stream = make_stream(0, 0);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), OM_ERR_BUS_EPOCH_CHANGED);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void same_process_takes_over(void) {
  new_name();
  OmBusStream* first = make_stream(64, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusEndpoint* other = open_endpoint(1, true);
  OmBusRecord record;
  publish_text(first, 1, "old");
  EXPECT_EQ(om_bus_endpoint_poll(other, &record), 1);
  OmBusStream* second = make_stream(64, 0);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), OM_ERR_BUS_EPOCH_CHANGED);  // unread or not
  om_bus_stream_destroy(first);
  EXPECT_EQ(om_bus_endpoint_poll_batch(other, &record, 1), OM_ERR_BUS_EPOCH_CHANGED);
  EXPECT(object_exists(name_now()));  // which is the second's
  OmBusEndpoint* fresh = open_endpoint(0, false);
  publish_text(second, 1, "new");
  EXPECT_EQ(om_bus_endpoint_poll(fresh, &record), 1);
  EXPECT(holds_text(&record, "new"));
  om_bus_endpoint_close(endpoint);
  om_bus_endpoint_close(other);
  om_bus_endpoint_close(fresh);
  om_bus_stream_destroy(second);
}

static void a_superseded_handle_says_so(void) {
  new_name();
  OmBusStream* first = make_stream(64, 0);
  publish_text(first, 1, "x");
  OmBusStream* second = make_stream(64, 0);
  OmBusRecord record;
  memset(&record, 0, sizeof record);
  EXPECT_EQ(om_bus_stream_publish(first, 2, 1, "x", 1), OM_ERR_BUS_EPOCH_CHANGED);
  EXPECT_EQ(om_bus_stream_publish_batch(first, &record, 1), OM_ERR_BUS_EPOCH_CHANGED);
  om_bus_stream_destroy(second);
  om_bus_stream_destroy(first);
}

// The C++ Producer and ombus_producer_create are one call.
static void a_handle_superseded_by_an_ombus_producer_says_so(void) {
  new_name();
  OmBusStream* first = make_stream(64, 0);
  publish_text(first, 1, "x");
  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  options.name = name_now();
  options.capacity = 64;
  ombus_producer* second = ombus_producer_create(&options, NULL);
  REQUIRE(second != NULL);
  OmBusRecord record;
  memset(&record, 0, sizeof record);
  EXPECT_EQ(om_bus_stream_publish(first, 2, 1, "x", 1), OM_ERR_BUS_EPOCH_CHANGED);
  EXPECT_EQ(om_bus_stream_publish_batch(first, &record, 1), OM_ERR_BUS_EPOCH_CHANGED);
  OmBusStreamStats stats;
  om_bus_stream_stats(first, &stats);
  EXPECT_EQ(stats.records_published, 1);
  ombus_producer_close(second);
  om_bus_stream_destroy(first);
}

static int publish_and_wait(int tell_fd) {
  OmBusStream* stream = make_stream(64, 0);
  if (stream == NULL) return 1;
  OmBusEndpoint* own = open_endpoint(7, false);
  if (own == NULL) return 2;
  publish_text(stream, 1, "theirs");
  if (write(tell_fd, "", 1) != 1) return 3;
  pause();
  return 0;
}

static void live_name_is_refused(void) {
  new_name();
  int fd;
  const int pid = start_child(publish_and_wait, &fd);
  EXPECT(await_child(fd));
  OmBusStream* stream = NULL;
  EXPECT_EQ(create(&stream, 64, 0, 0), OM_ERR_BUS_SHM_CREATE);
  EXPECT(stream == NULL);
  size_t bytes = 0;
  unsigned char* memory = map_object(name_now(), &bytes);
  if (EXPECT(memory != NULL)) {  // and its ring is as it was
    EXPECT_EQ(memcmp(memory + 4096 + 8 * 64 + 24, "theirs", 6), 0);
    unmap_object(memory, bytes);
  }
  end_child(pid, fd, true);
  shm_unlink(name_now());
}

static void dead_name_is_taken_over(void) {
  new_name();
  int fd;
  const int pid = start_child(publish_and_wait, &fd);
  EXPECT(await_child(fd));
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  end_child(pid, fd, true);
  OmBusStream* stream = make_stream(64, 0);
  OmBusRecord record;
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), OM_ERR_BUS_EPOCH_CHANGED);
  publish_text(stream, 2, "ours");
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  EXPECT(holds_text(&record, "ours"));
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 0);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

typedef struct Pressure {
  uint64_t head, min_tail;
  int calls;
  volatile bool called;
} Pressure;

static void on_pressure(uint64_t head, uint64_t min_tail, void* ctx) {
  Pressure* pressure = (Pressure*)ctx;
  pressure->head = head;
  pressure->min_tail = min_tail;
  ++pressure->calls;
  __atomic_store_n(&pressure->called, true, __ATOMIC_RELEASE);
}

typedef struct Reader {
  OmBusEndpoint* endpoint;
  Pressure* pressure;
  bool read;
} Reader;

// Makes room only once the producer has complained.
static void* read_when_pressed(void* argument) {
  Reader* reader = (Reader*)argument;
  for (const uint64_t deadline = soon(); !over(deadline);) {
    if (__atomic_load_n(&reader->pressure->called, __ATOMIC_ACQUIRE)) break;
  }
  OmBusRecord record;
  reader->read = om_bus_endpoint_poll(reader->endpoint, &record) == 1;
  return NULL;
}

static void backpressure(void) {
  new_name();
  Pressure pressure;
  memset(&pressure, 0, sizeof pressure);
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name_now();
  config.capacity = 4;
  config.backpressure_cb = on_pressure;
  config.backpressure_ctx = &pressure;
  OmBusStream* stream = NULL;
  REQUIRE_EQ(om_bus_stream_create(&stream, &config), 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  for (uint64_t i = 1; i <= 4; ++i) publish_text(stream, i, "x");
  EXPECT_EQ(pressure.calls, 0);
  Reader reader = {endpoint, &pressure, false};
  pthread_t thread;
  REQUIRE_EQ(pthread_create(&thread, NULL, read_when_pressed, &reader), 0);
  publish_text(stream, 5, "x");  // waits
  pthread_join(thread, NULL);
  EXPECT(reader.read);
  EXPECT_EQ(pressure.calls, 1);
  EXPECT_EQ(pressure.head - pressure.min_tail, 4);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void names_without_a_slash(void) {
  new_name();
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name_now() + 1;
  OmBusStream* stream = NULL;
  REQUIRE_EQ(om_bus_stream_create(&stream, &config), 0);
  EXPECT(object_exists(name_now()));
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

const Check kStreamChecks[] = {
    {"zeros in the configuration are 4096 slots of 256 bytes, 8 consumers", zeros_are_defaults},
    {"memory is header page, lines and slots, to the byte", memory_is_exact},
    {"magic comes first and payloads begin 24 bytes into their slots", magic_and_payload_offset},
    {"capacities that are no power of two and other bad values are refused", bad_configurations},
    {"a name or a size that cannot be is an error at create", cannot_create},
    {"a payload longer than slot_size - 24 is too large", too_large},
    {"a batch arrives in order, with types and payloads", batch},
    {"a batch with one record too large writes none", batch_is_checked_first},
    {"statistics count, and head is never a ring ahead of min_tail", statistics},
    {"destroy unlinks; what was published can still be polled", destroy_unlinks},
    {"the same process takes a name over, and old endpoints are told", same_process_takes_over},
    {"a handle that was taken over refuses to publish", a_superseded_handle_says_so},
    {"so does one taken over through the other API",
     a_handle_superseded_by_an_ombus_producer_says_so},
    {"a live producer's name is refused and its ring left alone", live_name_is_refused},
    {"a killed producer's name is taken over in place", dead_name_is_taken_over},
    {"the backpressure callback is called once in a long wait", backpressure},
    {"a name without its slash is the same name", names_without_a_slash},
    {NULL, NULL}};

// The consumer's side of shared memory.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

static int try_open(const char* name, uint32_t index) {
  OmBusEndpointConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name;
  config.consumer_index = index;
  OmBusEndpoint* endpoint = NULL;
  const int result = om_bus_endpoint_open(&endpoint, &config);
  EXPECT_EQ(endpoint != NULL, result == 0);
  om_bus_endpoint_close(endpoint);
  return result;
}

static void visible_at_once(void) {
  for (int zero_copy = 0; zero_copy < 2; ++zero_copy) {
    new_name();
    OmBusStream* stream = make_stream(16, 0);
    OmBusEndpoint* endpoint = open_endpoint(0, zero_copy != 0);
    OmBusRecord record;
    for (uint64_t i = 1; i <= 100; ++i) {
      EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 0);
      EXPECT_EQ(om_bus_stream_publish(stream, i, (uint8_t)i, &i, sizeof i), 0);
      REQUIRE_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
      EXPECT_EQ(record.wal_seq, i);
      EXPECT_EQ(record.wal_type, (uint8_t)i);
      REQUIRE_EQ(record.payload_len, sizeof i);
      EXPECT_EQ(memcmp(record.payload, &i, sizeof i), 0);
      EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), i);
    }
    om_bus_endpoint_close(endpoint);
    om_bus_stream_destroy(stream);
  }
}

static void starts_at_live_head(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  for (uint64_t i = 1; i <= 5; ++i) publish_text(stream, i, "before");
  OmBusEndpoint* endpoint = open_endpoint(3, false);
  OmBusRecord record;
  EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), 0);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 0);
  publish_text(stream, 6, "after");
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);  // the first one: no gap
  EXPECT(holds_text(&record, "after"));
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void open_errors(void) {
  new_name();
  EXPECT_EQ(try_open(name_now(), 0), OM_ERR_BUS_SHM_OPEN);
  EXPECT_EQ(try_open(NULL, 0), OM_ERR_BUS_INIT);
  OmBusStream* stream = make_stream(16, 0);
  EXPECT_EQ(try_open(name_now(), 0), 0);
  EXPECT_EQ(try_open(name_now(), 7), 0);
  EXPECT_EQ(try_open(name_now(), 8), OM_ERR_BUS_CONSUMER_ID);
  EXPECT_EQ(try_open(name_now(), UINT32_MAX), OM_ERR_BUS_CONSUMER_ID);
  OmBusEndpoint* endpoint = open_endpoint(2, false);
  EXPECT_EQ(try_open(name_now(), 2), OM_ERR_BUS_CONSUMER_ID);  // somebody has it
  om_bus_endpoint_close(endpoint);
  EXPECT_EQ(try_open(name_now(), 2), 0);  // and left
  om_bus_stream_destroy(stream);
}

static void foreign_objects(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  size_t bytes = 0;
  unsigned char* memory = map_object(name_now(), &bytes);
  REQUIRE(memory != NULL);
  uint32_t version;
  memcpy(&version, memory + 4, sizeof version);
  const uint32_t another = version + 1;
  memcpy(memory + 4, &another, sizeof another);
  EXPECT_EQ(try_open(name_now(), 0), OM_ERR_BUS_VERSION_MISMATCH);
  memcpy(memory + 4, &version, sizeof version);
  memory[0] ^= 1;
  EXPECT_EQ(try_open(name_now(), 0), OM_ERR_BUS_MAGIC_MISMATCH);
  memset(memory, 0, 4);
  EXPECT_EQ(try_open(name_now(), 0), OM_ERR_BUS_MAGIC_MISMATCH);
  unmap_object(memory, bytes);
  om_bus_stream_destroy(stream);
}

static void damaged_geometry(void) {
  // Whatever the header's words say, opening and polling neither crashes nor hangs.
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  for (uint64_t i = 1; i <= 8; ++i) publish_text(stream, i, "x");
  size_t bytes = 0;
  unsigned char* memory = map_object(name_now(), &bytes);
  REQUIRE(memory != NULL);
  for (size_t at = 8; at < 48; at += 4) {
    uint32_t sound, bad = 0xFFFFFFF0u;
    memcpy(&sound, memory + at, sizeof sound);
    memcpy(memory + at, &bad, sizeof bad);
    EXPECT(try_open(name_now(), 0) < 0);
    memcpy(memory + at, &sound, sizeof sound);
  }
  EXPECT_EQ(try_open(name_now(), 0), 0);
  unmap_object(memory, bytes);
  om_bus_stream_destroy(stream);
  const int fd = shm_open(name_now(), O_CREAT | O_RDWR, 0600);  // cut short
  EXPECT_EQ(ftruncate(fd, 100), 0);
  close(fd);
  EXPECT(try_open(name_now(), 0) < 0);
  shm_unlink(name_now());
}

static void damaged_length(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, true);
  publish_text(stream, 1, "x");
  publish_text(stream, 2, "sound");
  size_t bytes = 0;
  unsigned char* memory = map_object(name_now(), &bytes);
  REQUIRE(memory != NULL);
  memset(memory + 4096 + 8 * 64 + 18, 0xFF, 2);  // the length of the first record
  OmBusRecord record;
  EXPECT(om_bus_endpoint_poll(endpoint, &record) < 0);
  const int next = om_bus_endpoint_poll(endpoint, &record);
  EXPECT(next == 1 || next == OM_ERR_BUS_GAP_DETECTED);
  EXPECT(holds_text(&record, "sound"));
  unmap_object(memory, bytes);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void gap(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord record;
  publish_text(stream, 100, "first");
  publish_text(stream, 101, "next");
  publish_text(stream, 105, "after a gap");
  publish_text(stream, 106, "next again");
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);  // never a gap
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), OM_ERR_BUS_GAP_DETECTED);
  EXPECT_EQ(record.wal_seq, 105);
  EXPECT(holds_text(&record, "after a gap"));
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void gap_and_batch(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord records[8];
  publish_text(stream, 1, "a");
  publish_text(stream, 5, "b");
  publish_text(stream, 9, "c");
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 8), 3);  // a count, gaps or not
  EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), 9);
  publish_text(stream, 10, "d");
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, records), 1);  // as the batch left it
  publish_text(stream, 12, "e");
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, records), OM_ERR_BUS_GAP_DETECTED);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void reorder(void) {
  for (uint32_t flags = 0; flags <= OM_BUS_FLAG_REJECT_REORDER;
       flags += OM_BUS_FLAG_REJECT_REORDER) {
    const int told = flags == 0 ? 1 : OM_ERR_BUS_REORDER_DETECTED;
    new_name();
    OmBusStream* stream = make_stream(16, flags);
    OmBusEndpoint* endpoint = open_endpoint(0, false);
    OmBusRecord record;
    publish_text(stream, 10, "ten");
    publish_text(stream, 9, "nine");
    publish_text(stream, 10, "ten again");
    publish_text(stream, 11, "eleven");
    EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
    EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), told);
    EXPECT_EQ(record.wal_seq, 9);
    EXPECT(holds_text(&record, "nine"));
    EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), told);
    EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);  // what was late is no gap afterwards
    om_bus_endpoint_close(endpoint);
    om_bus_stream_destroy(stream);
  }
}

static void flip_payload(uint64_t position) {
  size_t bytes = 0;
  unsigned char* memory = map_object(name_now(), &bytes);
  REQUIRE(memory != NULL);
  memory[4096 + 8 * 64 + position * 256 + 24] ^= 1;
  unmap_object(memory, bytes);
}

static void crc(void) {
  new_name();
  OmBusStream* stream = make_stream(16, OM_BUS_FLAG_CRC);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord record;
  publish_text(stream, 1, "one");
  publish_text(stream, 2, "two");
  publish_text(stream, 3, "three");
  flip_payload(1);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), OM_ERR_BUS_CRC_MISMATCH);
  EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), 1);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), OM_ERR_BUS_GAP_DETECTED);  // two is missing
  EXPECT(holds_text(&record, "three"));
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void crc_ends_batch(void) {
  new_name();
  OmBusStream* stream = make_stream(16, OM_BUS_FLAG_CRC);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord records[8];
  for (uint64_t i = 1; i <= 4; ++i) publish_text(stream, i, "sealed");
  flip_payload(2);
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 8), 2);
  EXPECT_EQ(om_bus_endpoint_wal_seq(endpoint), 2);
  EXPECT(holds_text(&records[1], "sealed"));
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 8), OM_ERR_BUS_CRC_MISMATCH);
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 8), 1);
  EXPECT_EQ(records[0].wal_seq, 4);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void batch_limits(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord records[16];
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 16), 0);
  for (uint64_t i = 1; i <= 10; ++i) publish_text(stream, i, "x");
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 0), 0);
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 4), 4);
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 16), 6);
  EXPECT_EQ(records[5].wal_seq, 10);
  EXPECT_EQ(om_bus_endpoint_poll_batch(endpoint, records, 16), 0);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void room_and_payload_of_a_poll(void) {
  for (int zero_copy = 0; zero_copy < 2; ++zero_copy) {
    new_name();
    OmBusStream* stream = make_stream(4, 0);
    OmBusEndpoint* endpoint = open_endpoint(0, zero_copy != 0);
    OmBusRecord record;
    for (uint64_t i = 1; i <= 4; ++i) publish_text(stream, i, "payload");
    for (uint64_t i = 5; i <= 20; ++i) {
      REQUIRE_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
      publish_text(stream, i, i % 2 ? "another" : "payload");  // into the room just freed
      EXPECT_EQ(record.wal_seq, i - 4);
      EXPECT(holds_text(&record, i > 8 && i % 2 ? "another" : "payload"));
    }
    om_bus_endpoint_close(endpoint);
    om_bus_stream_destroy(stream);
  }
}

static void room_and_payload_of_a_batch(void) {
  for (int zero_copy = 0; zero_copy < 2; ++zero_copy) {
    new_name();
    OmBusStream* stream = make_stream(8, 0);
    OmBusEndpoint* endpoint = open_endpoint(0, zero_copy != 0);
    OmBusRecord records[8];
    for (uint64_t i = 1; i <= 8; ++i) publish_text(stream, i, "before");
    REQUIRE_EQ(om_bus_endpoint_poll_batch(endpoint, records, 8), 8);
    for (uint64_t i = 9; i <= 16; ++i) publish_text(stream, i, "behind");  // the whole ring again
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(records[i].wal_seq, i + 1);
      EXPECT(holds_text(&records[i], "before"));
    }
    om_bus_endpoint_close(endpoint);
    om_bus_stream_destroy(stream);
  }
}

static void large_batch(void) {
  new_name();
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name_now();
  config.capacity = 64;
  config.slot_size = 65536;
  OmBusStream* stream = NULL;
  REQUIRE_EQ(om_bus_stream_create(&stream, &config), 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  static unsigned char payload[65536 - 24];
  OmBusRecord records[64];
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 64; ++i) {
      memset(payload, i + round, sizeof payload);
      REQUIRE_EQ(om_bus_stream_publish(stream, (uint64_t)(64 * round + i), 1, payload,
                                       (uint16_t)(sizeof payload - (size_t)i)),
                 0);
    }
    REQUIRE_EQ(om_bus_endpoint_poll_batch(endpoint, records, 64), 64);
    for (int i = 0; i < 64; ++i) {
      const unsigned char* bytes = (const unsigned char*)records[i].payload;
      REQUIRE_EQ(records[i].payload_len, sizeof payload - (size_t)i);
      EXPECT_EQ(bytes[0], i + round);
      EXPECT_EQ(bytes[records[i].payload_len - 1], i + round);
    }
  }
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void independent_endpoints(void) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* one = open_endpoint(0, false);
  OmBusEndpoint* two = open_endpoint(1, true);
  OmBusRecord record;
  for (uint64_t i = 1; i <= 6; ++i) publish_text(stream, i, "for both");
  for (uint64_t i = 1; i <= 6; ++i) {
    EXPECT_EQ(om_bus_endpoint_poll(one, &record), 1);
    EXPECT_EQ(record.wal_seq, i);
  }
  for (uint64_t i = 1; i <= 6; ++i) {
    EXPECT_EQ(om_bus_endpoint_poll(two, &record), 1);
    EXPECT_EQ(record.wal_seq, i);
  }
  om_bus_endpoint_close(one);
  om_bus_endpoint_close(two);
  om_bus_stream_destroy(stream);
}

const Check kEndpointChecks[] = {
    {"a publish is visible to a poll at once, in the same thread", visible_at_once},
    {"an endpoint starts at the live head", starts_at_live_head},
    {"open says what is wrong: no object, no such index, taken", open_errors},
    {"objects of another magic or version are refused", foreign_objects},
    {"damaged geometry is an error, not a crash", damaged_geometry},
    {"a damaged length is an error, not a crash", damaged_length},
    {"a gap is reported with its record, never with the first", gap},
    {"single polls keep the expectation of a batch", gap_and_batch},
    {"a reorder is reported only with REJECT_REORDER", reorder},
    {"a bad CRC is reported and passed over", crc},
    {"a bad CRC ends a batch before it", crc_ends_batch},
    {"a batch gives at most what was asked for and is there", batch_limits},
    {"room of a polled record is free at once, its payload stays", room_and_payload_of_a_poll},
    {"room of a batch is free at once, its payloads stay", room_and_payload_of_a_batch},
    {"a batch of the largest slots keeps every payload", large_batch},
    {"endpoints are independent of each other", independent_endpoints},
    {NULL, NULL}};

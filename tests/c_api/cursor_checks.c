// Cursor files.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

static char path[64], second_path[80];

static void new_path(void) {
  snprintf(path, sizeof path, "/tmp/om-bus-suite-%d.cursor", (int)getpid());
  snprintf(second_path, sizeof second_path, "%s.old", path);
  unlink(path);
  unlink(second_path);
}

static void drop_paths(void) {
  unlink(path);
  unlink(second_path);
}

static size_t read_file(const char* file, unsigned char* bytes, size_t room) {
  const int fd = open(file, O_RDONLY);
  const ssize_t got = fd < 0 ? 0 : read(fd, bytes, room);
  if (fd >= 0) close(fd);
  return got < 0 ? 0 : (size_t)got;
}

static void write_file(const unsigned char* bytes, size_t size) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  EXPECT(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
  close(fd);
}

static void save_one(uint64_t wal_seq) {
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusRecord record;
  publish_text(stream, wal_seq, "x");
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  EXPECT_EQ(om_bus_endpoint_save_cursor(endpoint, path), 0);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static uint32_t crc32c(const unsigned char* bytes, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82F63B78u : 0u);
  }
  return ~crc;
}

static void format(void) {
  new_path();
  save_one(0x0102030405060708u);
  unsigned char bytes[32];
  REQUIRE_EQ(read_file(path, bytes, sizeof bytes), 16);
  uint32_t magic, crc;
  uint64_t wal_seq;
  memcpy(&magic, bytes, 4);
  memcpy(&wal_seq, bytes + 4, 8);
  memcpy(&crc, bytes + 12, 4);
  EXPECT_EQ(magic, OM_BUS_CURSOR_MAGIC);
  EXPECT_EQ(wal_seq, 0x0102030405060708u);
  EXPECT_EQ(crc, crc32c(bytes + 4, 8));
  drop_paths();
}

static void round_trip(void) {
  new_path();
  uint64_t wal_seq = 0;
  save_one(5);
  EXPECT_EQ(om_bus_endpoint_load_cursor(path, &wal_seq), 0);
  EXPECT_EQ(wal_seq, 5);
  save_one(UINT64_MAX - 1);
  EXPECT_EQ(om_bus_endpoint_load_cursor(path, &wal_seq), 0);
  EXPECT_EQ(wal_seq, UINT64_MAX - 1);
  drop_paths();
}

static void errors(void) {
  new_path();
  uint64_t wal_seq = 42;
  EXPECT(om_bus_endpoint_load_cursor(path, &wal_seq) < 0);  // none
  save_one(7);
  unsigned char sound[16], bytes[17];
  REQUIRE_EQ(read_file(path, sound, sizeof sound), 16);
  for (int bit = 0; bit < 128; ++bit) {
    memcpy(bytes, sound, 16);
    bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ (1 << bit % 8));
    write_file(bytes, 16);
    EXPECT(om_bus_endpoint_load_cursor(path, &wal_seq) < 0);
  }
  memcpy(bytes, sound, 16);
  bytes[16] = 0;
  for (size_t size = 0; size <= 17; ++size) {
    if (size == 16) continue;
    write_file(bytes, size);
    EXPECT(om_bus_endpoint_load_cursor(path, &wal_seq) < 0);
  }
  EXPECT_EQ(wal_seq, 42);
  drop_paths();
}

// The old file must be whole until the new one is: it is replaced, never written into.
static void never_truncated(void) {
  new_path();
  save_one(1);
  REQUIRE_EQ(link(path, second_path), 0);
  save_one(2);
  unsigned char bytes[32];
  uint64_t wal_seq = 0;
  EXPECT_EQ(read_file(second_path, bytes, sizeof bytes), 16);
  EXPECT_EQ(om_bus_endpoint_load_cursor(second_path, &wal_seq), 0);
  EXPECT_EQ(wal_seq, 1);
  drop_paths();
}

static void nowhere_to_write(void) {
  new_path();
  new_name();
  OmBusStream* stream = make_stream(16, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  EXPECT(om_bus_endpoint_save_cursor(endpoint, "/nonexistent/folder/cursor") < 0);
  EXPECT(om_bus_endpoint_save_cursor(endpoint, NULL) < 0);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

const Check kCursorChecks[] = {
    {"a cursor file is magic, sequence and CRC32C in 16 bytes", format},
    {"a cursor that was saved is loaded", round_trip},
    {"a missing, damaged, short or long cursor file is an error", errors},
    {"saving never writes into the old cursor file", never_truncated},
    {"a cursor that cannot be written is an error", nowhere_to_write},
    {NULL, NULL}};

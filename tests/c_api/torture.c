// Records of 0, 1, 8, 40, 64 and 200 bytes from one process to another through a ring that is full
// most of the time, since its reader lets it fill: single and batch, zero-copy and copy. The order
// and every byte are checked, and how full the ring was.
//
//   libombus_torture [RECORDS]     of each of the four kinds; a million if not said
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ombus/om_bus.h"

enum { kCapacity = 64, kBatch = 24, kSizeMax = 200 };

static const uint16_t kSizes[] = {0, 1, 8, 40, 64, 200};

static char name[64];
static _Atomic uint64_t* published;  // of both processes

// Any record's content follows from its sequence, every byte of it.
static uint16_t fill(uint64_t wal_seq, unsigned char* payload) {
  const uint16_t size = kSizes[(wal_seq * 2654435761u >> 7) % 6];
  for (uint16_t i = 0; i < size; ++i) {
    payload[i] = (unsigned char)((wal_seq * 131 + i * 29) ^ (wal_seq >> 8));
  }
  return size;
}

static int check(const OmBusRecord* record, uint64_t wal_seq) {
  unsigned char wanted[kSizeMax];
  const uint16_t size = fill(wal_seq, wanted);
  return record->wal_seq == wal_seq && record->wal_type == (uint8_t)wal_seq &&
         record->payload_len == size && memcmp(record->payload, wanted, size) == 0;
}

// Whether the ring is full but for one call's records; the last are not waited for. 0: its producer
// is gone.
static int await_full(uint64_t next, uint64_t count, uint64_t at_once) {
  while (1) {
    const uint64_t end = atomic_load(published);
    if (end == count || end + 1 - next >= kCapacity - at_once) return 1;
    if (getppid() == 1) return 0;
    sched_yield();
  }
}

static int consume(uint64_t count, int batch, int zero_copy, int ready_fd) {
  OmBusEndpointConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name;
  config.zero_copy = zero_copy != 0;
  OmBusEndpoint* endpoint = NULL;
  if (om_bus_endpoint_open(&endpoint, &config) != 0 || write(ready_fd, "", 1) != 1) return 2;
  OmBusRecord records[kBatch];
  uint64_t next = 1;
  while (next <= count) {
    // Down to three quarters in one go, or each record would cost a change of processes.
    if (atomic_load(published) + 1 - next < kCapacity * 3 / 4 &&
        !await_full(next, count, batch ? kBatch : 1)) {
      return 5;
    }
    const int got = batch ? om_bus_endpoint_poll_batch(endpoint, records, kBatch)
                          : om_bus_endpoint_poll(endpoint, records);
    if (got < 0) {
      printf("poll: %s at %llu\n", om_bus_error_string(got), (unsigned long long)next);
      return 3;
    }
    for (int i = 0; i < got; ++i, ++next) {
      if (!check(&records[i], next)) {
        printf("record %llu is wrong\n", (unsigned long long)next);
        return 4;
      }
    }
    if (got == 0 && getppid() == 1) return 5;
  }
  om_bus_endpoint_close(endpoint);
  return 0;
}

// How often the ring was over half full when a record was to be published.
static int publish(OmBusStream* stream, uint64_t count, int batch, uint64_t* full) {
  static unsigned char payloads[kBatch][kSizeMax];
  OmBusRecord records[kBatch];
  OmBusStreamStats stats;
  for (uint64_t next = 1; next <= count;) {
    uint32_t n = 0;
    for (; n < (batch ? kBatch : 1) && next <= count; ++n, ++next) {
      records[n].wal_seq = next;
      records[n].wal_type = (uint8_t)next;
      records[n].payload_len = fill(next, payloads[n]);
      records[n].payload = payloads[n];
    }
    if (next % 97 < n) {  // a look now and then
      om_bus_stream_stats(stream, &stats);
      full[0] += stats.head - stats.min_tail + n > kCapacity / 2;
      ++full[1];
    }
    const int code = batch ? om_bus_stream_publish_batch(stream, records, n)
                           : om_bus_stream_publish(stream, records[0].wal_seq, records[0].wal_type,
                                                   records[0].payload, records[0].payload_len);
    if (code != 0) return code;
    atomic_store(published, next - 1);
  }
  return 0;
}

static int run(uint64_t count, int batch, int zero_copy) {
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name;
  config.capacity = kCapacity;
  OmBusStream* stream = NULL;
  int ready[2];
  if (om_bus_stream_create(&stream, &config) != 0 || pipe(ready) != 0) return 1;
  atomic_store(published, 0);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int code = consume(count, batch, zero_copy, ready[1]);
    fflush(stdout);
    _exit(code);
  }
  close(ready[1]);
  char byte;
  uint64_t full[2] = {0, 0};
  int code = read(ready[0], &byte, 1) == 1 ? publish(stream, count, batch, full) : 1;
  int status = 0;
  waitpid(child, &status, 0);
  close(ready[0]);
  om_bus_stream_destroy(stream);
  if (code == 0 && status != 0) code = 1;
  if (full[0] * 10 < full[1] * 9) code = 1;
  printf("%s %llu records, %s, %s; over half full at %.0f %% of the looks\n",
         code == 0 ? "ok" : "not ok", (unsigned long long)count, batch ? "batch" : "single",
         zero_copy ? "zero-copy" : "copy",
         full[1] == 0 ? 0.0 : 100.0 * (double)full[0] / (double)full[1]);
  return code;
}

int main(int argc, char** argv) {
  const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
  void* shared =
      mmap(NULL, sizeof *published, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  published = shared;
  snprintf(name, sizeof name, "/om-bus-torture-%d", (int)getpid());
  int failed = 0;
  for (int batch = 0; batch < 2; ++batch) {
    for (int zero_copy = 0; zero_copy < 2; ++zero_copy) {
      failed += run(count, batch, zero_copy) != 0;
    }
  }
  return failed == 0 ? 0 : 1;
}

// Publishes COUNT records into a ring. Each carries its own number as payload.
//
//   publisher /orders 1000 2     waits for 2 consumers, then publishes 1000 records
//
// cc -std=c11 publisher.c $(pkg-config --cflags --libs ombus) -o publisher
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <ombus/ombus.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "usage: publisher /NAME COUNT CONSUMERS\n"), 2;
  const uint64_t count = strtoull(argv[2], NULL, 10);
  const uint32_t consumers = (uint32_t)strtoul(argv[3], NULL, 10);

  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  options.name = argv[1];
  ombus_error error;
  ombus_producer* producer = ombus_producer_create(&options, &error);
  if (producer == NULL) return fprintf(stderr, "%s\n", error.message), 1;

  while (ombus_producer_live_consumers(producer) < consumers) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  for (uint64_t seq = 1; seq <= count; ++seq) {
    const ombus_record record = {.wal_seq = seq, .payload = &seq, .size = sizeof seq, .type = 1};
    // Waits while the slowest consumer is a whole ring behind.
    if (ombus_producer_publish(producer, &record, OMBUS_WAIT_FOREVER) != OMBUS_PUBLISH_OK) return 1;
  }
  ombus_producer_close(producer);  // consumers drain the ring and are told that it has ended
  printf("published %" PRIu64 " records\n", count);
  return 0;
}

// Reads a stream until its producer ends it, by polling: the lowest latency, a core of its own.
//
//   consumer /orders
//
// cc -std=c11 consumer.c $(pkg-config --cflags --libs ombus) -o consumer
#include <inttypes.h>
#include <ombus/ombus.h>
#include <stdio.h>

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "usage: consumer /NAME\n"), 2;
  ombus_consumer_options options;
  ombus_consumer_options_init(&options, sizeof options);
  options.name = argv[1];
  ombus_error error;
  ombus_consumer* consumer;
  do {  // until the producer is there
    consumer = ombus_consumer_open(&options, &error);
  } while (consumer == NULL && (error.code == OMBUS_NOT_FOUND || error.code == OMBUS_UNAVAILABLE));
  if (consumer == NULL) return fprintf(stderr, "%s\n", error.message), 1;

  uint64_t records = 0, gaps = 0;
  ombus_poll_result end = OMBUS_POLL_EMPTY;
  while (end != OMBUS_POLL_CLOSED) {
    ombus_record batch[32];
    const size_t count = ombus_consumer_poll_batch(consumer, batch, 32, &end);
    for (size_t i = 0; i < count; ++i) {
      // batch[i].payload points into the ring: use it now, or copy it.
      if (batch[i].flags & OMBUS_RECORD_GAP) ++gaps;
    }
    records += count;
    if (end == OMBUS_POLL_EMPTY) ombus_consumer_check_name(consumer);
    if (end == OMBUS_POLL_EVICTED) {
      fprintf(stderr, "too slow: %" PRIu64 " records lost\n",
              ombus_consumer_lost_records(consumer));
    }
  }
  printf("received %" PRIu64 " records, %" PRIu64 " gaps\n", records, gaps);
  ombus_consumer_close(consumer);
  return 0;
}

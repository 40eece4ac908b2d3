// Reads a stream and sleeps while there is nothing: in poll(2), so that the same thread can serve
// sockets too. (Without sockets ombus_consumer_wait is simpler.)
//
//   sleeping_consumer /orders
//
// cc -std=c11 sleeping_consumer.c $(pkg-config --cflags --libs ombus) -o sleeping_consumer
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <ombus/ombus.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

typedef struct totals {
  uint64_t records, gaps, sleeps;
} totals;

static void handle(const ombus_record* record, void* context) {
  totals* sum = context;
  ++sum->records;
  if (record->flags & OMBUS_RECORD_GAP) ++sum->gaps;
}

static ombus_consumer* open_when_there(const char* name, ombus_error* error) {
  ombus_consumer_options options;
  ombus_consumer_options_init(&options, sizeof options);
  options.name = name;
  for (;;) {
    ombus_consumer* consumer = ombus_consumer_open(&options, error);
    if (consumer != NULL) return consumer;
    if (error->code != OMBUS_NOT_FOUND && error->code != OMBUS_UNAVAILABLE) return NULL;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "usage: sleeping_consumer /NAME\n"), 2;
  ombus_error error;
  ombus_consumer* consumer = open_when_there(argv[1], &error);
  if (consumer == NULL) return fprintf(stderr, "%s\n", error.message), 1;
  const int wake = ombus_consumer_wake_descriptor(consumer, &error);
  if (wake < 0) return fprintf(stderr, "%s\n", error.message), 1;

  totals sum = {0};
  ombus_poll_result end = OMBUS_POLL_EMPTY;
  while (end != OMBUS_POLL_CLOSED) {
    ombus_consumer_drain(consumer, 256, handle, &sum, &end);
    if (end != OMBUS_POLL_EMPTY) continue;
    if (!ombus_consumer_arm_wake(consumer)) continue;                // something came meanwhile
    struct pollfd descriptors[] = {{.fd = wake, .events = POLLIN}};  // and your sockets
    // With a timeout: a producer that is killed wakes nobody.
    (void)poll(descriptors, 1, 100);
    ombus_consumer_disarm_wake(consumer);
    ++sum.sleeps;
  }
  printf("received %" PRIu64 " records, %" PRIu64 " gaps\n", sum.records, sum.gaps);
  fprintf(stderr, "slept %" PRIu64 " times\n", sum.sleeps);
  ombus_consumer_close(consumer);
  return 0;
}

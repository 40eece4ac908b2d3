// A producer whose process also runs the relay, in a thread of its own: remote clients receive what
// is published, and no other program is needed on this host.
//
//   relay /orders 1 <file     waits for 1 client, then publishes the lines of standard input
//
// cc -std=c11 relay.c $(pkg-config --cflags --libs ombus) -pthread -o relay
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <ombus/ombus.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void log_event(ombus_event_kind kind, const char* text, void* context) {
  (void)kind;
  (void)context;
  fprintf(stderr, "relay: %s\n", text);
}

static ombus_relay* new_relay(const char* stream, uint32_t clients, ombus_error* error) {
  ombus_server_options server;
  ombus_server_options_init(&server, sizeof server);
  server.slow_client_policy = OMBUS_SLOW_WAIT;  // lossless: the producer waits for slow clients
  ombus_relay_options options;
  ombus_relay_options_init(&options, sizeof options);
  options.stream = stream;
  options.server = &server;
  options.wait_clients = clients;
  options.on_end = OMBUS_STREAM_END_EXIT;
  options.on_event = log_event;
  return ombus_relay_create(&options, error);
}

static void* run_relay(void* relay) {
  ombus_error error;
  if (ombus_relay_run(relay, &error) != OMBUS_OK) fprintf(stderr, "%s\n", error.message);
  return NULL;
}

// Each line of standard input is a record. False if the stream is not ours any more.
static bool publish_lines(ombus_producer* producer, uint64_t* published) {
  char line[1000];
  while (fgets(line, sizeof line, stdin) != NULL) {
    const ombus_record record = {
        .wal_seq = ++*published, .payload = line, .size = (uint16_t)strlen(line), .type = 1};
    // Waits while the slowest reader, here the relay, is a whole ring behind.
    if (ombus_producer_publish(producer, &record, OMBUS_WAIT_FOREVER) != OMBUS_PUBLISH_OK) {
      return false;
    }
  }
  return true;
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: relay /NAME CLIENTS\n"), 2;
  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  options.name = argv[1];
  options.slot_size = 1024;
  ombus_error error;
  ombus_producer* producer = ombus_producer_create(&options, &error);
  if (producer == NULL) return fprintf(stderr, "%s\n", error.message), 1;
  ombus_relay* relay = new_relay(argv[1], (uint32_t)strtoul(argv[2], NULL, 10), &error);
  if (relay == NULL) return fprintf(stderr, "%s\n", error.message), 1;
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_relay, relay) != 0) return 1;
  printf("listening on %u\n", ombus_relay_port(relay));
  fflush(stdout);

  while (ombus_producer_live_consumers(producer) == 0) {  // the relay, once clients are there
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  uint64_t published = 0;
  const bool all = publish_lines(producer, &published);
  ombus_producer_close(producer);  // the relay flushes its clients, tells them, and returns
  pthread_join(thread, NULL);
  ombus_relay_destroy(relay);
  printf("relayed %" PRIu64 " records\n", published);
  return all ? 0 : 1;
}

// A program outside the tree, in C: ten records through a ring, and a server that starts and stops.
// It sees nothing but what is installed.
#include <ombus/ombus.h>
#include <stdio.h>
#include <unistd.h>

static int fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  return 1;
}

static int pass_ten_records(void) {
  char name[64];
  snprintf(name, sizeof name, "/ombus-outside-c-%d", (int)getpid());
  ombus_error error;
  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  options.name = name;
  ombus_producer* producer = ombus_producer_create(&options, &error);
  if (producer == NULL) return fail(error.message);
  ombus_consumer_options reader;
  ombus_consumer_options_init(&reader, sizeof reader);
  reader.name = name;
  ombus_consumer* consumer = ombus_consumer_open(&reader, &error);
  if (consumer == NULL) return fail(error.message);

  for (uint64_t seq = 1; seq <= 10; ++seq) {
    const ombus_record record = {.wal_seq = seq, .payload = &seq, .size = sizeof seq, .type = 1};
    if (ombus_producer_try_publish(producer, &record) != OMBUS_PUBLISH_OK) return fail("publish");
  }
  for (uint64_t seq = 1; seq <= 10; ++seq) {
    ombus_record record;
    if (ombus_consumer_poll(consumer, &record) != OMBUS_POLL_RECORD) return fail("poll");
    if (record.wal_seq != seq || record.size != sizeof seq) return fail("another record came");
  }
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
  return 0;
}

static int start_and_stop_server(void) {
  ombus_error error;
  ombus_server_options options;
  ombus_server_options_init(&options, sizeof options);
  ombus_server* server = ombus_server_create(&options, &error);
  if (server == NULL) return fail(error.message);
  if (ombus_server_port(server) == 0) return fail("no port");
  if (ombus_server_poll_io(server, 0, &error) != OMBUS_OK) return fail(error.message);
  ombus_server_destroy(server);
  return 0;
}

int main(void) {
  const int ring = pass_ten_records();
  return ring != 0 ? ring : start_and_stop_server();
}

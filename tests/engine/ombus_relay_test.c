// The relay's part of the C API: from a producer through ring and relay to a client.
#include <ombus/ombus_relay.h>
#include <pthread.h>

#include "c_net.h"
#include "c_ring.h"

typedef struct running {
  ombus_relay* relay;
  pthread_t thread;
  ombus_status status;
  ombus_error error;
  int events;
} running;

static void count_event(ombus_event_kind kind, const char* text, void* context) {
  (void)kind;
  CHECK(text[0] != '\0');
  ++((running*)context)->events;
}

static ombus_relay_options relay_options(const ombus_server_options* server) {
  ombus_relay_options options;
  ombus_relay_options_init(&options, sizeof options);
  options.stream = test_stream();
  options.server = server;
  options.wait_clients = 1;
  options.on_end = OMBUS_STREAM_END_EXIT;
  return options;
}

static void* run(void* context) {
  running* self = context;
  self->status = ombus_relay_run(self->relay, &self->error);
  return NULL;
}

static void bad_options_are_refused_by_name(void) {
  ombus_error error;
  CHECK(ombus_relay_create(NULL, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  ombus_relay_options options;
  memset(&options, 0, sizeof options);
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "options.size");
  ombus_server_options server = server_options();
  options = relay_options(&server);
  CHECK_EQ(options.cpu, -1);
  options.stream = NULL;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "stream");
  options = relay_options(&server);
  options.idle = 3;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "idle 3");
  options = relay_options(&server);
  options.on_end = 2;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "on_end 2");
  options = relay_options(&server);
  options.burst_min = 0;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  options = relay_options(&server);
  options.cpu = 1 << 30;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  options = relay_options(&server);
  CHECK_EQ(options.egress_threads, 0);
  options.egress_threads = 65;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "egress_threads \"65\"");
  options.egress_threads = 2;
  options.egress_cpu_count = 2;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "egress_cpus: EINVAL; NULL");
  const int32_t cpus[3] = {0, 1 << 30, 0};
  options.egress_cpus = cpus;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "egress_cpus \"1073741824\"");
  options.egress_cpu_count = 3;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "egress_cpu_count 3");
  options.egress_cpu_count = 1;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "egress_cpus of 1");
  options = relay_options(&server);
  server.size = 3;
  CHECK(ombus_relay_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "options.size 3");
}

static void calls_without_a_relay_are_refused(void) {
  ombus_error error;
  ombus_relay_stats stats = {.size = sizeof stats};
  ombus_server_stats server_stats = {.size = sizeof server_stats};
  CHECK_EQ(ombus_relay_run(NULL, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_relay_run(NULL, NULL), OMBUS_INVALID_ARGUMENT);
  ombus_relay_stop(NULL);
  ombus_relay_destroy(NULL);
  CHECK_EQ(ombus_relay_get_stats(NULL, &stats), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_relay_get_server_stats(NULL, &server_stats), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_relay_get_egress_stats(NULL, 0, &server_stats), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_relay_port(NULL), 0);
  CHECK_EQ(ombus_relay_backend_name(NULL)[0], '\0');

  const ombus_relay_options options = relay_options(NULL);
  ombus_relay* relay = ombus_relay_create(&options, &error);
  REQUIRE(relay != NULL);
  CHECK(ombus_relay_port(relay) != 0);
  CHECK(ombus_relay_backend_name(relay)[0] != '\0');
  CHECK_EQ(ombus_relay_get_stats(relay, NULL), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_relay_get_server_stats(relay, NULL), OMBUS_INVALID_ARGUMENT);
  stats.size = 8;
  CHECK_EQ(ombus_relay_get_stats(relay, &stats), OMBUS_INVALID_ARGUMENT);
  stats.size = sizeof stats;
  CHECK_EQ(ombus_relay_get_stats(relay, &stats), OMBUS_OK);
  CHECK_EQ(stats.records_relayed, 0);
  ombus_relay_destroy(relay);
}

static void records_pass_from_producer_to_client(uint32_t egress_threads) {
  ombus_producer_options produce = producer_options();
  produce.capacity = 4096;
  ombus_producer* producer = new_producer(&produce);
  const ombus_server_options serve = server_options();
  running self = {.status = OMBUS_INTERNAL};
  ombus_relay_options options = relay_options(&serve);
  options.on_event = count_event;
  options.event_context = &self;
  options.egress_threads = egress_threads;
  ombus_error error;
  self.relay = ombus_relay_create(&options, &error);
  REQUIRE(self.relay != NULL);
  REQUIRE(pthread_create(&self.thread, NULL, run, &self) == 0);

  const ombus_client_options remote = client_options(ombus_relay_port(self.relay));
  ombus_client* client = new_client(&remote);
  const uint64_t end = clock_ns() + PATIENCE_NS;
  while (ombus_producer_live_consumers(producer) == 0 && clock_ns() < end) usleep(100);
  for (uint64_t seq = 1; seq <= 1000; ++seq) CHECK_EQ(publish(producer, seq), OMBUS_PUBLISH_OK);
  ombus_record record;
  for (uint64_t seq = 1; seq <= 1000; ++seq) {
    CHECK_EQ(next(NULL, client, &record), OMBUS_CLIENT_RECORD);
    CHECK_EQ(payload_of(&record), seq);
  }
  ombus_producer_close(producer);
  CHECK_EQ(next(NULL, client, &record), OMBUS_CLIENT_END_OF_STREAM);
  pthread_join(self.thread, NULL);
  CHECK_EQ(self.status, OMBUS_OK);
  CHECK(self.events > 0);

  ombus_relay_stats stats = {.size = sizeof stats};
  CHECK_EQ(ombus_relay_get_stats(self.relay, &stats), OMBUS_OK);
  CHECK_EQ(stats.records_relayed, 1000);
  CHECK_EQ(stats.gaps + stats.records_lost + stats.corrupt_records, 0);
  CHECK(stats.turn_ns_max >= stats.turn_ns_p50);
  ombus_server_stats server_stats = {.size = sizeof server_stats};
  CHECK_EQ(ombus_relay_get_server_stats(self.relay, &server_stats), OMBUS_OK);
  CHECK_EQ(server_stats.records_broadcast, 1000);
  for (uint32_t i = 0; i < egress_threads; ++i) {
    CHECK_EQ(ombus_relay_get_egress_stats(self.relay, i, &server_stats), OMBUS_OK);
    CHECK_EQ(server_stats.records_broadcast, 1000);
    CHECK_EQ(server_stats.clients_accepted, i == 0 ? 1 : 0);
  }
  CHECK_EQ(ombus_relay_get_egress_stats(self.relay, egress_threads, &server_stats),
           OMBUS_INVALID_ARGUMENT);
  ombus_client_close(client);
  ombus_relay_destroy(self.relay);
}

static void records_pass_from_producer_to_client_and_the_relay_ends_with_them(void) {
  records_pass_from_producer_to_client(0);
}

static void so_they_do_with_egress_threads(void) { records_pass_from_producer_to_client(2); }

static void a_relay_stops_when_asked_to_from_another_thread(void) {
  const ombus_server_options serve = server_options();
  const ombus_relay_options options = relay_options(&serve);
  running self = {.status = OMBUS_INTERNAL};
  ombus_error error;
  self.relay = ombus_relay_create(&options, &error);
  REQUIRE(self.relay != NULL);
  REQUIRE(pthread_create(&self.thread, NULL, run, &self) == 0);
  ombus_relay_stop(self.relay);
  pthread_join(self.thread, NULL);
  CHECK_EQ(self.status, OMBUS_OK);
  CHECK_EQ(self.error.code, OMBUS_OK);
  CHECK_EQ(ombus_relay_run(self.relay, &error), OMBUS_INVALID_ARGUMENT);  // once
  CHECK_SAYS(error.message, "create another");
  ombus_relay_destroy(self.relay);
}

static void a_stream_that_never_comes_is_an_error_with_its_name(void) {
  const ombus_server_options serve = server_options();
  ombus_relay_options options = relay_options(&serve);
  options.wait_clients = 0;
  options.stream_wait_ms = 1;
  ombus_error error;
  ombus_relay* relay = ombus_relay_create(&options, &error);
  REQUIRE(relay != NULL);
  CHECK_EQ(ombus_relay_run(relay, &error), OMBUS_NOT_FOUND);
  CHECK_SAYS(error.message, test_stream());
  ombus_relay_destroy(relay);
}

static void tests(void) {
  RUN(bad_options_are_refused_by_name);
  RUN(calls_without_a_relay_are_refused);
  RUN(records_pass_from_producer_to_client_and_the_relay_ends_with_them);
  RUN(so_they_do_with_egress_threads);
  RUN(a_relay_stops_when_asked_to_from_another_thread);
  RUN(a_stream_that_never_comes_is_an_error_with_its_name);
}

int main(void) {
  on_each_backend(tests);
  return end_of_tests();
}

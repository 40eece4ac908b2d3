// The server's part of the C API.
#include "c_net.h"

static void bad_options_are_refused_by_name(void) {
  ombus_error error;
  CHECK(ombus_server_create(NULL, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  ombus_server_options options;
  memset(&options, 0, sizeof options);
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "options.size");
  options = server_options();
  options.port = 65536;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "port 65536");
  options = server_options();
  options.backend = 3;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "backend 3");
  options = server_options();
  options.slow_client_policy = 77;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "slow_client_policy 77");
  options = server_options();
  options.slow_client_policy = OMBUS_SLOW_CATCH_UP;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "kCatchUp needs a source");
  options = server_options();
  options.soft_lag_bytes = ~0ull;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "soft_lag_bytes");
  options = server_options();
  options.hard_lag_ms = 1;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "hard_lag_bytes");
  options = server_options();
  options.send_mode = 4;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "send_mode 4");
  options = server_options();
  options.congestion_control = "no such control";
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK(error.code != OMBUS_OK);
  options = server_options();
  options.address = "no address";
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "no address");
}

static void count_event(ombus_event_kind kind, const char* text, void* context) {
  CHECK(text[0] != '\0');
  if (kind == OMBUS_EVENT_CLIENT_JOINED) ++*(int*)context;
}

static void calls_without_a_server_or_a_record_are_refused(void) {
  const uint64_t seq = 1;
  ombus_record record = {.wal_seq = 1, .payload = &seq, .size = sizeof seq};
  ombus_error error;
  ombus_server_stats stats = {.size = sizeof stats};
  CHECK_EQ(ombus_server_broadcast(NULL, &record), OMBUS_BROADCAST_INVALID);
  CHECK_EQ(ombus_server_poll_io(NULL, 0, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_server_poll_io(NULL, 0, NULL), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_server_flush(NULL, 0), 0);
  ombus_server_shutdown(NULL, 0, OMBUS_SHUTDOWN_RESTART);
  CHECK_EQ(ombus_server_take_events(NULL, count_event, NULL), 0);
  CHECK_EQ(ombus_server_get_stats(NULL, &stats), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_server_client_count(NULL), 0);
  CHECK_EQ(ombus_server_port(NULL), 0);
  CHECK_EQ(ombus_server_heartbeats_received(NULL), 0);
  CHECK_EQ(ombus_server_backend_name(NULL)[0], '\0');
  ombus_server_begin_epoch(NULL, 1, 1);
  ombus_server_destroy(NULL);

  const ombus_server_options options = server_options();
  ombus_server* server = new_server(&options);
  CHECK_EQ(ombus_server_broadcast(server, NULL), OMBUS_BROADCAST_INVALID);
  record.payload = NULL;
  CHECK_EQ(ombus_server_broadcast(server, &record), OMBUS_BROADCAST_INVALID);
  CHECK_EQ(ombus_server_take_events(server, NULL, NULL), 0);
  CHECK_EQ(ombus_server_get_stats(server, NULL), OMBUS_INVALID_ARGUMENT);
  stats.size = 16;
  CHECK_EQ(ombus_server_get_stats(server, &stats), OMBUS_INVALID_ARGUMENT);
  ombus_server_destroy(server);
}

static void what_is_broadcast_arrives_and_is_counted(void) {
  const ombus_server_options options = server_options();
  ombus_server* server = new_server(&options);
  CHECK(ombus_server_port(server) != 0);
  ombus_client_options remote = client_options(ombus_server_port(server));
  ombus_client* client = new_client(&remote);
  wait_for_clients(server, 1);
  for (uint64_t seq = 1; seq <= 100; ++seq) broadcast(server, seq);
  for (uint64_t seq = 1; seq <= 100; ++seq) {
    ombus_record record;
    CHECK_EQ(next(server, client, &record), OMBUS_CLIENT_RECORD);
    CHECK_EQ(record.wal_seq, seq);
    CHECK(record.size == sizeof seq && memcmp(record.payload, &seq, sizeof seq) == 0);
  }
  CHECK_EQ(ombus_server_flush(server, PATIENCE_NS), 1);
  ombus_server_stats stats = {.size = sizeof stats};
  CHECK_EQ(ombus_server_get_stats(server, &stats), OMBUS_OK);
  CHECK_EQ(stats.size, sizeof stats);
  CHECK_EQ(stats.records_broadcast, 100);
  CHECK_EQ(stats.bytes_broadcast, 800);
  CHECK_EQ(stats.clients_accepted, 1);
  int joined = 0;
  CHECK(ombus_server_take_events(server, count_event, &joined) >= 1);
  CHECK_EQ(joined, 1);
  CHECK_EQ(ombus_server_take_events(server, count_event, &joined), 0);
  ombus_client_close(client);
  wait_for_clients(server, 0);
  ombus_server_destroy(server);
}

// Statistics as a program that was built against a newer ombus asks for them.
static void statistics_that_this_library_does_not_know_are_zero(void) {
  struct {
    ombus_server_stats known;
    uint64_t added;
  } stats;
  memset(&stats, 0xff, sizeof stats);
  stats.known.size = sizeof stats;
  const ombus_server_options options = server_options();
  ombus_server* server = new_server(&options);
  CHECK_EQ(ombus_server_get_stats(server, &stats.known), OMBUS_OK);
  CHECK_EQ(stats.known.size, sizeof stats);
  CHECK_EQ(stats.known.records_broadcast, 0);
  CHECK_EQ(stats.added, 0);
  ombus_server_destroy(server);
}

static void a_server_sends_as_it_is_told_to(void) {
  ombus_server_options options = server_options();
  CHECK_EQ(options.send_mode, OMBUS_SEND_FIXED);
  CHECK_EQ(options.incoming_cpu, -1);
  options.send_mode = OMBUS_SEND_PLAIN;
  ombus_server* server = new_server(&options);
  const ombus_client_options remote = client_options(ombus_server_port(server));
  ombus_client* client = new_client(&remote);
  wait_for_clients(server, 1);
  broadcast(server, 1);
  ombus_record record;
  CHECK_EQ(next(server, client, &record), OMBUS_CLIENT_RECORD);
  ombus_server_stats stats = {.size = sizeof stats};
  CHECK_EQ(ombus_server_get_stats(server, &stats), OMBUS_OK);
  CHECK_EQ(stats.sends_fixed + stats.sends_zero_copy, 0);
  CHECK(stats.sends_plain > 0);
  ombus_client_close(client);
  ombus_server_destroy(server);
}

static void a_port_in_use_is_told(void) {
  ombus_server_options options = server_options();
  ombus_server* server = new_server(&options);
  options.port = ombus_server_port(server);
  ombus_error error;
  CHECK(ombus_server_create(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_ALREADY_EXISTS);
  ombus_server_destroy(server);
}

static void a_shutdown_tells_clients_why(void) {
  const uint32_t reasons[] = {OMBUS_SHUTDOWN_END_OF_STREAM, OMBUS_SHUTDOWN_RESTART};
  const ombus_client_result told[] = {OMBUS_CLIENT_END_OF_STREAM, OMBUS_CLIENT_DISCONNECTED};
  for (size_t i = 0; i < 2; ++i) {
    const ombus_server_options options = server_options();
    ombus_server* server = new_server(&options);
    const ombus_client_options remote = client_options(ombus_server_port(server));
    ombus_client* client = new_client(&remote);
    wait_for_clients(server, 1);
    broadcast(server, 1);
    ombus_record record;
    CHECK_EQ(next(server, client, &record), OMBUS_CLIENT_RECORD);
    // Behind its HELLO, without which it is told nothing.
    CHECK_EQ(ombus_client_send_heartbeat(client), 1);
    wait_for_heartbeat(server);
    ombus_server_shutdown(server, PATIENCE_NS, reasons[i]);
    CHECK_EQ(next(NULL, client, &record), told[i]);
    ombus_client_close(client);
    ombus_server_destroy(server);
  }
}

static void tests(void) {
  RUN(bad_options_are_refused_by_name);
  RUN(calls_without_a_server_or_a_record_are_refused);
  RUN(what_is_broadcast_arrives_and_is_counted);
  RUN(statistics_that_this_library_does_not_know_are_zero);
  RUN(a_server_sends_as_it_is_told_to);
  RUN(a_port_in_use_is_told);
  RUN(a_shutdown_tells_clients_why);
}

int main(void) {
  on_each_backend(tests);
  return end_of_tests();
}

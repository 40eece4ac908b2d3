// The client's part of the C API.
#include "c_net.h"

static void bad_options_are_refused_by_name(void) {
  ombus_error error;
  CHECK(ombus_client_connect(NULL, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  ombus_client_options options;
  memset(&options, 0, sizeof options);
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_SAYS(error.message, "options.size");
  options = client_options(0);
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_SAYS(error.message, "port");
  options.port = 70000;
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_SAYS(error.message, "port 70000");
  options = client_options(1);
  options.backend = 9;
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_SAYS(error.message, "backend 9");
  options = client_options(1);
  options.host = "";
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_SAYS(error.message, "host");
  options = client_options(1);
  options.receive_buffer_bytes = UINT32_MAX;
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_SAYS(error.message, "receive_buffer_bytes");
}

static void options_begin_as_the_header_says(void) {
  ombus_client_options options;
  memset(&options, 0xFF, sizeof options);
  ombus_client_options_init(&options, sizeof options);
  CHECK_EQ(options.size, sizeof options);
  CHECK_EQ(strcmp(options.host == NULL ? "127.0.0.1" : options.host, "127.0.0.1"), 0);
  CHECK_EQ(options.port, 0);
  CHECK_EQ(options.connect_timeout_ms, 5000);
  CHECK_EQ(options.receive_buffer_bytes, 256 << 10);
  CHECK_EQ(options.hello, 1);
  CHECK_EQ(options.resume_from, 0);
  CHECK_EQ(options.reject_reorder, 0);
  CHECK_EQ(options.reconnect, 0);
  CHECK_EQ(options.retry_base_ms, 100);
  CHECK_EQ(options.retry_max_ms, 5000);
  CHECK_EQ(options.max_retries, 0);
  CHECK_EQ(options.backend, OMBUS_BACKEND_AUTO);
  CHECK_EQ(options.heartbeat_ms, 1000);
  CHECK_EQ(options.idle_timeout_ms, 0);
}

static void a_server_that_is_not_there_is_told(void) {
  const ombus_server_options gone = server_options();
  ombus_server* server = new_server(&gone);
  const ombus_client_options options = client_options(ombus_server_port(server));
  ombus_server_destroy(server);
  ombus_error error;
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_UNAVAILABLE);
  CHECK(ombus_client_connect(&options, NULL) == NULL);
}

static void add_seq(const ombus_record* record, void* context) {
  *(uint64_t*)context += record->wal_seq;
}

static void calls_without_a_client_or_a_place_are_refused(void) {
  ombus_record record;
  ombus_error error;
  ombus_client_result end = OMBUS_CLIENT_EMPTY;
  CHECK_EQ(ombus_client_poll(NULL, &record, 0), OMBUS_CLIENT_INVALID);
  CHECK_EQ(ombus_client_poll_batch(NULL, &record, 1, 0, &end), 0);
  CHECK_EQ(end, OMBUS_CLIENT_INVALID);
  CHECK_EQ(ombus_client_poll_batch(NULL, &record, 1, 0, NULL), 0);
  end = OMBUS_CLIENT_EMPTY;
  CHECK_EQ(ombus_client_drain(NULL, 1, 0, add_seq, NULL, &end), 0);
  CHECK_EQ(end, OMBUS_CLIENT_INVALID);
  CHECK_EQ(ombus_client_send_heartbeat(NULL), 0);
  CHECK_EQ(ombus_client_wal_seq(NULL), 0);
  CHECK_EQ(ombus_client_expected_wal_seq(NULL), 0);
  CHECK_EQ(ombus_client_connected(NULL), 0);
  CHECK_EQ(ombus_client_reconnects(NULL), 0);
  CHECK_EQ(ombus_client_epoch(NULL), 0);
  CHECK_EQ(ombus_client_status(NULL, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_client_status(NULL, NULL), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_client_backend_name(NULL)[0], '\0');
  CHECK_EQ(ombus_client_backend_note(NULL)[0], '\0');
  uint32_t pending = 1, limit = 1;
  ombus_client_slow_warning(NULL, &pending, &limit);
  CHECK_EQ(pending + limit, 0);
  ombus_client_slow_warning(NULL, NULL, NULL);
  ombus_client_close(NULL);

  const ombus_server_options serve = server_options();
  ombus_server* server = new_server(&serve);
  const ombus_client_options options = client_options(ombus_server_port(server));
  ombus_client* client = new_client(&options);
  CHECK_EQ(ombus_client_poll(client, NULL, 0), OMBUS_CLIENT_INVALID);
  CHECK_EQ(ombus_client_poll_batch(client, NULL, 1, 0, &end), 0);
  CHECK_EQ(end, OMBUS_CLIENT_INVALID);
  CHECK_EQ(ombus_client_drain(client, 1, 0, NULL, NULL, &end), 0);
  CHECK_EQ(end, OMBUS_CLIENT_INVALID);
  CHECK_EQ(ombus_client_poll_batch(client, &record, 0, 0, &end), 0);
  CHECK_EQ(ombus_client_poll(client, &record, 0), OMBUS_CLIENT_EMPTY);
  CHECK_EQ(ombus_client_status(client, &error), OMBUS_OK);
  CHECK(ombus_client_backend_name(client)[0] != '\0');
  CHECK(ombus_client_backend_note(client)[0] == '\0' ||
        strcmp(ombus_client_backend_name(client), "epoll") == 0);
  ombus_client_close(client);
  ombus_server_destroy(server);
}

static void a_batch_flags_the_record_after_a_gap(void) {
  const ombus_server_options serve = server_options();
  ombus_server* server = new_server(&serve);
  const ombus_client_options options = client_options(ombus_server_port(server));
  ombus_client* client = new_client(&options);
  wait_for_clients(server, 1);
  const uint64_t seqs[] = {1, 2, 7, 8};
  for (size_t i = 0; i < 4; ++i) broadcast(server, seqs[i]);
  CHECK_EQ(ombus_server_flush(server, PATIENCE_NS), 1);
  size_t received = 0;
  const uint64_t deadline = clock_ns() + PATIENCE_NS;
  while (received < 4 && clock_ns() < deadline) {
    ombus_record records[4];
    ombus_client_result end;
    turn(server);
    const size_t count = ombus_client_poll_batch(client, records, 4, 1000000, &end);
    for (size_t i = 0; i < count; ++i, ++received) {
      CHECK_EQ(records[i].wal_seq, seqs[received]);
      CHECK_EQ(records[i].flags, received == 2 ? OMBUS_RECORD_GAP : 0);
    }
  }
  CHECK_EQ(received, 4);
  CHECK_EQ(ombus_client_wal_seq(client), 8);
  CHECK_EQ(ombus_client_expected_wal_seq(client), 3);
  ombus_client_close(client);
  ombus_server_destroy(server);
}

static void a_drain_calls_back_for_each_record(void) {
  const ombus_server_options serve = server_options();
  ombus_server* server = new_server(&serve);
  const ombus_client_options options = client_options(ombus_server_port(server));
  ombus_client* client = new_client(&options);
  wait_for_clients(server, 1);
  for (uint64_t seq = 1; seq <= 100; ++seq) broadcast(server, seq);
  CHECK_EQ(ombus_server_flush(server, PATIENCE_NS), 1);
  uint64_t sum = 0;
  size_t received = 0;
  ombus_client_result end = OMBUS_CLIENT_EMPTY;
  const uint64_t deadline = clock_ns() + PATIENCE_NS;
  while (received < 100 && clock_ns() < deadline) {
    turn(server);
    received += ombus_client_drain(client, 1000, 1000000, add_seq, &sum, &end);
  }
  CHECK_EQ(received, 100);
  CHECK_EQ(sum, 5050);
  CHECK_EQ(end, OMBUS_CLIENT_EMPTY);
  ombus_client_close(client);
  ombus_server_destroy(server);
}

static void a_client_resumes_where_it_left_off(void) {
  const ombus_server_options serve = server_options();
  ombus_server* server = new_server(&serve);
  ombus_client_options options = client_options(ombus_server_port(server));
  ombus_client* first = new_client(&options);
  wait_for_clients(server, 1);
  ombus_record record;
  for (uint64_t seq = 1; seq <= 3; ++seq) {
    broadcast(server, seq);
    CHECK_EQ(next(server, first, &record), OMBUS_CLIENT_RECORD);
  }
  // It stays, so that the log keeps what follows.
  broadcast(server, 4);
  broadcast(server, 5);
  options.resume_from = 4;
  ombus_client* second = new_client(&options);
  wait_for_clients(server, 2);
  broadcast(server, 6);
  for (uint64_t seq = 4; seq <= 6; ++seq) {
    const ombus_client_result result = next(server, second, &record);
    CHECK(result == OMBUS_CLIENT_RECORD || result == OMBUS_CLIENT_GAP);
    if (result == OMBUS_CLIENT_GAP) {  // told, not silent: the log had gone on
      CHECK(record.wal_seq > seq);
      seq = record.wal_seq;
    }
    CHECK_EQ(record.wal_seq, seq);
  }
  ombus_client_close(first);
  ombus_client_close(second);
  ombus_server_destroy(server);
}

static void heartbeats_tell_the_server_how_far_a_client_is(void) {
  const ombus_server_options serve = server_options();
  ombus_server* server = new_server(&serve);
  const ombus_client_options options = client_options(ombus_server_port(server));
  ombus_client* client = new_client(&options);
  wait_for_clients(server, 1);
  broadcast(server, 1);
  ombus_record record;
  CHECK_EQ(next(server, client, &record), OMBUS_CLIENT_RECORD);
  CHECK_EQ(ombus_client_send_heartbeat(client), 1);
  wait_for_heartbeat(server);
  ombus_client_close(client);
  ombus_server_destroy(server);
}

static void another_epoch_is_told_before_its_first_record(void) {
  ombus_server_options serve = server_options();
  serve.epoch = 1001;
  ombus_server* server = new_server(&serve);
  const ombus_client_options options = client_options(ombus_server_port(server));
  ombus_client* client = new_client(&options);
  wait_for_clients(server, 1);
  broadcast(server, 70);
  ombus_record record;
  CHECK_EQ(next(server, client, &record), OMBUS_CLIENT_RECORD);
  // Behind its HELLO, without which it is told nothing.
  CHECK_EQ(ombus_client_send_heartbeat(client), 1);
  wait_for_heartbeat(server);
  const uint64_t end = clock_ns() + PATIENCE_NS;
  while (ombus_client_epoch(client) == 0 && clock_ns() < end) {
    turn(server);
    CHECK_EQ(ombus_client_poll(client, &record, 1000000), OMBUS_CLIENT_EMPTY);
  }
  CHECK_EQ(ombus_client_epoch(client), 1001);
  ombus_server_begin_epoch(server, 1002, 1);
  broadcast(server, 1);
  CHECK_EQ(next(server, client, &record), OMBUS_CLIENT_EPOCH_CHANGED);
  CHECK_EQ(ombus_client_epoch(client), 1002);
  CHECK_EQ(next(server, client, &record), OMBUS_CLIENT_RECORD);
  CHECK_EQ(record.wal_seq, 1);
  ombus_client_close(client);
  ombus_server_destroy(server);
}

static void a_lost_connection_is_final_unless_it_is_to_come_back(void) {
  ombus_server_options serve = server_options();
  ombus_server* server = new_server(&serve);
  serve.port = ombus_server_port(server);
  ombus_client_options options = client_options((uint16_t)serve.port);
  ombus_client* once = new_client(&options);
  options.reconnect = 1;
  options.retry_base_ms = 1;
  options.retry_max_ms = 20;
  ombus_client* again = new_client(&options);
  wait_for_clients(server, 2);
  broadcast(server, 1);
  ombus_record record;
  CHECK_EQ(next(server, once, &record), OMBUS_CLIENT_RECORD);
  CHECK_EQ(next(server, again, &record), OMBUS_CLIENT_RECORD);
  ombus_server_destroy(server);
  CHECK_EQ(next(NULL, once, &record), OMBUS_CLIENT_DISCONNECTED);
  CHECK_EQ(ombus_client_poll(once, &record, 0), OMBUS_CLIENT_DISCONNECTED);
  ombus_error error;
  CHECK(ombus_client_status(once, &error) != OMBUS_OK);
  CHECK(error.message[0] != '\0');
  CHECK_EQ(ombus_client_connected(once), 0);
  ombus_client_close(once);

  server = new_server(&serve);
  CHECK_EQ(next(server, again, &record), OMBUS_CLIENT_CONNECTED);
  CHECK_EQ(ombus_client_connected(again), 1);
  CHECK_EQ(ombus_client_reconnects(again), 1);
  CHECK_EQ(ombus_client_wal_seq(again), 1);
  wait_for_clients(server, 1);
  broadcast(server, 4);
  CHECK_EQ(next(server, again, &record), OMBUS_CLIENT_GAP);
  CHECK_EQ(record.wal_seq, 4);
  CHECK_EQ(ombus_client_expected_wal_seq(again), 2);
  ombus_client_close(again);
  ombus_server_destroy(server);
}

static void tests(void) {
  RUN(options_begin_as_the_header_says);
  RUN(bad_options_are_refused_by_name);
  RUN(a_server_that_is_not_there_is_told);
  RUN(calls_without_a_client_or_a_place_are_refused);
  RUN(a_batch_flags_the_record_after_a_gap);
  RUN(a_drain_calls_back_for_each_record);
  RUN(a_client_resumes_where_it_left_off);
  RUN(heartbeats_tell_the_server_how_far_a_client_is);
  RUN(another_epoch_is_told_before_its_first_record);
  RUN(a_lost_connection_is_final_unless_it_is_to_come_back);
}

int main(void) {
  on_each_backend(tests);
  return end_of_tests();
}

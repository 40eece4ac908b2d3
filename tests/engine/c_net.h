// A server and its clients for tests of the C API, on one back end after the other. Threads: one.
#ifndef OMBUS_TESTS_ENGINE_C_NET_H_
#define OMBUS_TESTS_ENGINE_C_NET_H_

#include <ombus/ombus_client.h>
#include <ombus/ombus_server.h>

#include "c_check.h"

// The back end that the test now running uses.
static uint32_t test_backend = OMBUS_BACKEND_AUTO;

static inline ombus_server_options server_options(void) {
  ombus_server_options options;
  ombus_server_options_init(&options, sizeof options);
  options.backend = test_backend;
  return options;
}

static inline ombus_server* new_server(const ombus_server_options* options) {
  ombus_error error;
  ombus_server* server = ombus_server_create(options, &error);
  if (server == NULL) printf("%s\n", error.message);
  REQUIRE(server != NULL);
  return server;
}

static inline ombus_client_options client_options(uint16_t port) {
  ombus_client_options options;
  ombus_client_options_init(&options, sizeof options);
  options.port = port;
  options.backend = test_backend;
  return options;
}

static inline ombus_client* new_client(const ombus_client_options* options) {
  ombus_error error;
  ombus_client* client = ombus_client_connect(options, &error);
  if (client == NULL) printf("%s\n", error.message);
  REQUIRE(client != NULL);
  return client;
}

static inline void turn(ombus_server* server) {
  ombus_error error;
  CHECK_EQ(ombus_server_poll_io(server, 1000000, &error), OMBUS_OK);
}

static inline void wait_for_clients(ombus_server* server, uint32_t count) {
  const uint64_t end = clock_ns() + PATIENCE_NS;
  while (ombus_server_client_count(server) != count && clock_ns() < end) turn(server);
  CHECK_EQ(ombus_server_client_count(server), count);
}

static inline void wait_for_heartbeat(ombus_server* server) {
  const uint64_t end = clock_ns() + PATIENCE_NS;
  while (ombus_server_heartbeats_received(server) == 0 && clock_ns() < end) turn(server);
  CHECK(ombus_server_heartbeats_received(server) > 0);
}

static inline void broadcast(ombus_server* server, uint64_t seq) {
  const ombus_record record = {
      .wal_seq = seq, .payload = &seq, .size = sizeof seq, .type = 1, .flags = 0, .reserved = 0};
  CHECK_EQ(ombus_server_broadcast(server, &record), OMBUS_BROADCAST_OK);
}

// What the client says next, while the server works, other than EMPTY.
static inline ombus_client_result next(ombus_server* server, ombus_client* client,
                                       ombus_record* record) {
  const uint64_t end = clock_ns() + PATIENCE_NS;
  ombus_client_result result = OMBUS_CLIENT_EMPTY;
  while (result == OMBUS_CLIENT_EMPTY && clock_ns() < end) {
    if (server != NULL) turn(server);
    result = ombus_client_poll(client, record, 1000000);
  }
  return result;
}

// Runs the tests on io_uring, where it is to be had, and on epoll.
static inline void on_each_backend(void (*tests)(void)) {
  const uint32_t backends[] = {OMBUS_BACKEND_URING, OMBUS_BACKEND_EPOLL};
  for (size_t i = 0; i < 2; ++i) {
    test_backend = backends[i];
    const ombus_server_options options = server_options();
    ombus_error error;
    ombus_server* probe = ombus_server_create(&options, &error);
    if (probe == NULL) {
      CHECK_EQ(test_backend, OMBUS_BACKEND_URING);
      CHECK_EQ(error.code, OMBUS_UNSUPPORTED);
      printf("skipped on io_uring: %s\n", error.message);
      continue;
    }
    printf("on %s\n", ombus_server_backend_name(probe));
    ombus_server_destroy(probe);
    tests();
  }
}

#endif  // OMBUS_TESTS_ENGINE_C_NET_H_

// The relay loop.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ombus/om_bus_relay.h"
#include "suite.h"

typedef struct Run {
  OmBusRelayConfig config;
  volatile bool running;
  OmBusRelayStats stats;
  int result;
  pthread_t thread;
} Run;

static void* run_relay(void* argument) {
  Run* run = (Run*)argument;
  run->result = om_bus_relay_run(&run->config);
  return NULL;
}

static void start(Run* run, OmBusEndpoint* endpoint, OmBusTcpServer* server, uint32_t poll_us) {
  memset(&run->stats, 0xAB, sizeof run->stats);
  om_bus_relay_stats_reset(&run->stats);
  run->running = true;
  run->config.ep = endpoint;
  run->config.srv = server;
  run->config.running = &run->running;
  run->config.poll_us = poll_us;
  run->config.stats = &run->stats;
  EXPECT_EQ(pthread_create(&run->thread, NULL, run_relay, run), 0);
}

static int stop(Run* run) {
  __atomic_store_n(&run->running, false, __ATOMIC_RELEASE);
  pthread_join(run->thread, NULL);
  return run->result;
}

// Publishes records of sequence 0 until one comes through: the relay has accepted the client. How
// many it took.
static uint64_t wait_until_served(OmBusStream* stream, OmBusTcpClient* client) {
  OmBusRecord record;
  uint64_t probes = 0;
  for (const uint64_t deadline = soon(); !over(deadline);) {
    EXPECT_EQ(om_bus_stream_publish(stream, 0, 0, "probe", 5), 0);
    ++probes;
    if (om_bus_tcp_client_poll(client, &record) != 0) return probes;
  }
  EXPECT(!"served");
  return probes;
}

// The next record that is no probe.
static int poll_record(OmBusTcpClient* client, OmBusRecord* record) {
  int result = 1;
  do {
    result = poll_client(client, NULL, record);
  } while (result == 1 && record->wal_seq == 0);
  return result;
}

static void expect_counts(const OmBusRelayStats* stats, uint64_t records) {
  EXPECT_EQ(stats->records_relayed, records);
  EXPECT_EQ(stats->loops, stats->non_empty_loops + stats->idle_loops);
  EXPECT(stats->non_empty_loops > 0);
  EXPECT(stats->loop_ns_total >= stats->loop_ns_max);
  uint64_t timed = 0, batches = 0;
  for (int i = 0; i < 32; ++i) timed += stats->loop_ns_hist[i];
  for (int i = 0; i < 17; ++i) batches += stats->batch_hist[i];
  EXPECT_EQ(timed, stats->loops);
  EXPECT_EQ(batches, stats->loops);
  const uint64_t median = om_bus_relay_stats_loop_ns_percentile(stats, 50);
  EXPECT(median > 0 && median <= stats->loop_ns_max);
  EXPECT(median <= om_bus_relay_stats_loop_ns_percentile(stats, 99));
}

static void relay_records(uint32_t poll_us, uint64_t count, uint16_t size, uint32_t send_buf_size) {
  new_name();
  OmBusStream* stream = make_stream(1024, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, poll_us != 0);
  OmBusTcpServer* server = make_server(0, send_buf_size);
  OmBusTcpClient* client = connect_client(om_bus_tcp_server_port(server), 0);
  Run run;
  start(&run, endpoint, server, poll_us);
  const uint64_t probes = wait_until_served(stream, client);
  OmBusRecord record;
  unsigned char payload[200];
  memset(payload, 7, sizeof payload);
  for (uint64_t i = 1; i <= count; ++i) {
    memcpy(payload, &i, sizeof i);
    EXPECT_EQ(om_bus_stream_publish(stream, i, (uint8_t)(i % 200), payload, size), 0);
  }
  for (uint64_t i = 1; i <= count; ++i) {
    const int result = poll_record(client, &record);
    if (!EXPECT_EQ(result, 1) || !EXPECT_EQ(record.wal_seq, i)) break;
    EXPECT_EQ(record.wal_type, i % 200);
    EXPECT_EQ(record.payload_len, size);
    EXPECT_EQ(memcmp(record.payload, &i, sizeof i), 0);
  }
  EXPECT_EQ(stop(&run), 0);
  expect_counts(&run.stats, count + probes);
  om_bus_tcp_client_close(client);
  om_bus_tcp_server_destroy(server);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void relays(void) {
  relay_records(0, 2000, 8, 0);
  relay_records(50, 2000, 8, 0);
}

// What is relayed at once may be more than a client may lag: a healthy one is not cut for that.
static void bursts_cut_nobody(void) { relay_records(100, 200, 200, 2000); }

// Server and client are made here and used there. With io_uring they belong to a thread.
static void handed_to_another_thread(void) {
  const char* backend = getenv("OMBUS_BACKEND");
  if (backend != NULL && strcmp(backend, "uring") == 0) return;
  new_name();
  OmBusStream* stream = make_stream(64, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusTcpServer* server = make_server(0, 0);
  OmBusTcpClient* client = connect_client(om_bus_tcp_server_port(server), 0);
  EXPECT(serve_until_clients(server, 1));
  Run run;
  start(&run, endpoint, server, 100);
  publish_text(stream, 1, "relayed by another thread");
  OmBusRecord record;
  EXPECT_EQ(poll_client(client, NULL, &record), 1);
  EXPECT_EQ(stop(&run), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 2, 1, "and back", 8), 0);
  EXPECT_EQ(poll_client(client, server, &record), 1);
  EXPECT(holds_text(&record, "and back"));
  om_bus_tcp_client_close(client);
  om_bus_tcp_server_destroy(server);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void ends_with_a_poll_error(void) {
  new_name();
  OmBusStream* stream = make_stream(64, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusTcpServer* server = make_server(0, 0);
  OmBusStream* successor = make_stream(64, 0);
  Run run;
  start(&run, endpoint, server, 100);
  pthread_join(run.thread, NULL);  // by itself
  EXPECT_EQ(run.result, OM_ERR_BUS_EPOCH_CHANGED);
  om_bus_tcp_server_destroy(server);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
  om_bus_stream_destroy(successor);
}

static void stops_at_once(void) {
  new_name();
  OmBusStream* stream = make_stream(64, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  OmBusTcpServer* server = make_server(0, 0);
  volatile bool running = false;
  OmBusRelayConfig config;
  memset(&config, 0, sizeof config);
  config.ep = endpoint;
  config.srv = server;
  EXPECT_EQ(om_bus_relay_run(&config), OM_ERR_BUS_INIT);  // nothing to stop it by
  config.running = &running;
  EXPECT_EQ(om_bus_relay_run(&config), 0);  // and no statistics wanted
  // What was not relayed can still be polled.
  publish_text(stream, 1, "left");
  OmBusRecord record;
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  om_bus_tcp_server_destroy(server);
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

static void percentiles(void) {
  OmBusRelayStats stats;
  om_bus_relay_stats_reset(&stats);
  om_bus_relay_stats_reset(NULL);
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(&stats, 50), 0);
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(NULL, 50), 0);
  stats.loops = 100;
  stats.loop_ns_hist[10] = 90;  // 512…1023
  stats.loop_ns_hist[20] = 10;
  stats.loop_ns_max = 600000;
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(&stats, 0), 1023);
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(&stats, 50), 1023);
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(&stats, 90), 1023);
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(&stats, 91), 600000);
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(&stats, 100), 600000);
  EXPECT_EQ(om_bus_relay_stats_loop_ns_percentile(&stats, 1000), 600000);
}

const Check kRelayChecks[] = {
    {"the relay relays until it is told to stop, and counts", relays},
    {"a burst larger than a client's limit cuts nobody", bursts_cut_nobody},
    {"a server can be handed to another thread and back", handed_to_another_thread},
    {"the relay ends with a poll's error", ends_with_a_poll_error},
    {"the relay stops at once when it is not running", stops_at_once},
    {"percentiles come from the histogram", percentiles},
    {NULL, NULL}};

// The names, numbers and layouts that programs were compiled against.
#include <string.h>

#include "ombus/om_bus_error.h"
#include "ombus/om_bus_relay.h"
#include "ombus/om_bus_wal.h"
#include "suite.h"

#define IN_ORDER(type, first, second) EXPECT(offsetof(type, first) < offsetof(type, second))

static void record_fields(void) {
  IN_ORDER(OmBusRecord, wal_seq, wal_type);
  IN_ORDER(OmBusRecord, wal_type, payload_len);
  IN_ORDER(OmBusRecord, payload_len, payload);
  EXPECT_EQ(offsetof(OmBusRecord, wal_seq), 0);
  EXPECT_EQ(sizeof(OmBusRecord), 8 + 8 + sizeof(void*));
}

static void shared_memory_structs(void) {
  IN_ORDER(OmBusStreamConfig, stream_name, capacity);
  IN_ORDER(OmBusStreamConfig, capacity, slot_size);
  IN_ORDER(OmBusStreamConfig, slot_size, max_consumers);
  IN_ORDER(OmBusStreamConfig, max_consumers, flags);
  IN_ORDER(OmBusStreamConfig, flags, staleness_ns);
  IN_ORDER(OmBusStreamConfig, staleness_ns, backpressure_cb);
  IN_ORDER(OmBusStreamConfig, backpressure_cb, backpressure_ctx);
  IN_ORDER(OmBusStreamStats, records_published, head);
  IN_ORDER(OmBusStreamStats, head, min_tail);
  IN_ORDER(OmBusEndpointConfig, stream_name, consumer_index);
  IN_ORDER(OmBusEndpointConfig, consumer_index, zero_copy);
}

static void tcp_structs(void) {
  IN_ORDER(OmBusTcpServerConfig, bind_addr, port);
  IN_ORDER(OmBusTcpServerConfig, port, max_clients);
  IN_ORDER(OmBusTcpServerConfig, max_clients, send_buf_size);
  IN_ORDER(OmBusTcpServerStats, records_broadcast, bytes_broadcast);
  IN_ORDER(OmBusTcpServerStats, bytes_broadcast, clients_accepted);
  IN_ORDER(OmBusTcpServerStats, clients_accepted, clients_disconnected);
  IN_ORDER(OmBusTcpServerStats, clients_disconnected, slow_client_drops);
  IN_ORDER(OmBusTcpClientConfig, host, port);
  IN_ORDER(OmBusTcpClientConfig, port, recv_buf_size);
  IN_ORDER(OmBusTcpClientConfig, recv_buf_size, flags);
  IN_ORDER(OmBusTcpAutoClientConfig, base, max_retries);
  IN_ORDER(OmBusTcpAutoClientConfig, max_retries, retry_base_ms);
  IN_ORDER(OmBusTcpAutoClientConfig, retry_base_ms, retry_max_ms);
}

static void relay_structs(void) {
  IN_ORDER(OmBusRelayConfig, ep, srv);
  IN_ORDER(OmBusRelayConfig, srv, running);
  IN_ORDER(OmBusRelayConfig, running, poll_us);
  IN_ORDER(OmBusRelayConfig, poll_us, stats);
  IN_ORDER(OmBusRelayStats, loops, non_empty_loops);
  IN_ORDER(OmBusRelayStats, non_empty_loops, records_relayed);
  IN_ORDER(OmBusRelayStats, records_relayed, idle_loops);
  IN_ORDER(OmBusRelayStats, idle_loops, loop_ns_total);
  IN_ORDER(OmBusRelayStats, loop_ns_total, loop_ns_max);
  IN_ORDER(OmBusRelayStats, loop_ns_max, loop_ns_hist);
  IN_ORDER(OmBusRelayStats, loop_ns_hist, batch_hist);
  EXPECT_EQ(sizeof(OmBusRelayStats), (6 + 32 + 17) * sizeof(uint64_t));
}

static void frame_header(void) {
  EXPECT_EQ(sizeof(OmBusTcpFrameHeader), 16);
  EXPECT_EQ(OM_BUS_TCP_FRAME_HEADER_SIZE, 16);
  EXPECT_EQ(offsetof(OmBusTcpFrameHeader, magic), 0);
  EXPECT_EQ(offsetof(OmBusTcpFrameHeader, wal_type), 4);
  EXPECT_EQ(offsetof(OmBusTcpFrameHeader, flags), 5);
  EXPECT_EQ(offsetof(OmBusTcpFrameHeader, payload_len), 6);
  EXPECT_EQ(offsetof(OmBusTcpFrameHeader, wal_seq), 8);
}

static void constants(void) {
  EXPECT_EQ(OM_BUS_SHM_MAGIC, 0x4F4D4253);
  EXPECT_EQ(OM_BUS_CURSOR_MAGIC, 0x4F4D4243);
  EXPECT_EQ(OM_BUS_HEADER_PAGE, 4096);
  EXPECT_EQ(OM_BUS_SLOT_HEADER_SIZE, 24);
  EXPECT_EQ(OM_BUS_DEFAULT_SLOT_SIZE, 256);
  EXPECT_EQ(OM_BUS_DEFAULT_CAPACITY, 4096);
  EXPECT_EQ(OM_BUS_DEFAULT_MAX_CONSUMERS, 8);
  EXPECT_EQ(OM_BUS_TCP_FRAME_MAGIC, 0x4F4D5446);
  EXPECT_EQ(OM_BUS_TCP_WAL_TYPE_SLOW_WARNING, 0xFE);
  EXPECT_EQ(OM_BUS_FLAG_CRC, 1);
  EXPECT_EQ(OM_BUS_FLAG_REJECT_REORDER, 2);
}

static void error_codes(void) {
  const int codes[] = {OM_ERR_BUS_INIT,
                       OM_ERR_BUS_SHM_CREATE,
                       OM_ERR_BUS_SHM_MAP,
                       OM_ERR_BUS_SHM_OPEN,
                       OM_ERR_BUS_NOT_POW2,
                       OM_ERR_BUS_CONSUMER_ID,
                       OM_ERR_BUS_RECORD_TOO_LARGE,
                       OM_ERR_BUS_MAGIC_MISMATCH,
                       OM_ERR_BUS_VERSION_MISMATCH,
                       OM_ERR_BUS_CRC_MISMATCH,
                       OM_ERR_BUS_GAP_DETECTED,
                       OM_ERR_BUS_EMPTY,
                       OM_ERR_BUS_TCP_BIND,
                       OM_ERR_BUS_TCP_CONNECT,
                       OM_ERR_BUS_TCP_SEND,
                       OM_ERR_BUS_TCP_RECV,
                       OM_ERR_BUS_TCP_DISCONNECTED,
                       OM_ERR_BUS_TCP_PROTOCOL,
                       OM_ERR_BUS_TCP_IO,
                       OM_ERR_BUS_TCP_MAX_CLIENTS,
                       OM_ERR_BUS_EPOCH_CHANGED,
                       OM_ERR_BUS_CONSUMER_STALE,
                       OM_ERR_BUS_TCP_SLOW_WARNING,
                       OM_ERR_BUS_REORDER_DETECTED};
  for (int i = 0; i < 24; ++i) EXPECT_EQ(codes[i], -800 - i);
}

static void error_strings(void) {
  const char* unknown = om_bus_error_string(-999);
  REQUIRE(unknown != NULL);
  EXPECT(om_bus_error_string(0) != NULL);
  for (int code = -800; code >= -823; --code) {
    const char* text = om_bus_error_string(code);
    REQUIRE(text != NULL);
    EXPECT(text[0] != '\0' && strcmp(text, unknown) != 0);
    for (int other = -800; other > code; --other) {
      EXPECT(strcmp(text, om_bus_error_string(other)) != 0);
    }
  }
}

static void callback_types(void) {
  const OmBusBackpressureCb none = NULL;
  void (*const same)(uint64_t, uint64_t, void*) = none;
  EXPECT(same == NULL);
}

static void null_handles(void) {
  OmBusRecord record;
  OmBusStreamStats stream_stats;
  OmBusTcpServerStats server_stats;
  om_bus_stream_destroy(NULL);
  om_bus_endpoint_close(NULL);
  om_bus_tcp_server_destroy(NULL);
  om_bus_tcp_client_close(NULL);
  om_bus_tcp_auto_client_close(NULL);
  EXPECT(om_bus_stream_create(NULL, NULL) < 0);
  EXPECT(om_bus_stream_publish(NULL, 1, 1, "x", 1) < 0);
  EXPECT(om_bus_stream_publish_batch(NULL, NULL, 1) < 0);
  om_bus_stream_stats(NULL, &stream_stats);
  EXPECT(om_bus_endpoint_open(NULL, NULL) < 0);
  EXPECT(om_bus_endpoint_poll(NULL, &record) < 0);
  EXPECT(om_bus_endpoint_poll_batch(NULL, &record, 1) < 0);
  EXPECT(om_bus_endpoint_save_cursor(NULL, "/tmp/none") < 0);
  EXPECT(om_bus_endpoint_load_cursor(NULL, NULL) < 0);
  EXPECT_EQ(om_bus_endpoint_wal_seq(NULL), 0);
  EXPECT(om_bus_tcp_server_create(NULL, NULL) < 0);
  EXPECT(om_bus_tcp_server_broadcast(NULL, 1, 1, "x", 1) < 0);
  EXPECT(om_bus_tcp_server_broadcast_batch(NULL, &record, 1) < 0);
  EXPECT(om_bus_tcp_server_poll_io(NULL) < 0);
  om_bus_tcp_server_stats(NULL, &server_stats);
  EXPECT(om_bus_tcp_client_connect(NULL, NULL) < 0);
  EXPECT(om_bus_tcp_client_poll(NULL, &record) < 0);
  EXPECT(om_bus_tcp_auto_client_create(NULL, NULL) < 0);
  EXPECT(om_bus_tcp_auto_client_poll(NULL, &record) < 0);
  EXPECT(om_bus_relay_run(NULL) < 0);
}

// The log's library, as a caller links it.
struct OmWal {
  OmWalPostWrite cb;
  void* ctx;
};

void om_wal_set_post_write(OmWal* wal, OmWalPostWrite cb, void* ctx) {
  wal->cb = cb;
  wal->ctx = ctx;
}

static void wal_hook(void) {
  new_name();
  OmBusStream* stream = make_stream(0, 0);
  OmBusEndpoint* endpoint = open_endpoint(0, false);
  struct OmWal wal = {NULL, NULL};
  om_bus_attach_wal(&wal, stream);
  REQUIRE(wal.cb != NULL);
  wal.cb(77, 5, "logged", 6, wal.ctx);
  OmBusRecord record;
  REQUIRE_EQ(om_bus_endpoint_poll(endpoint, &record), 1);
  EXPECT_EQ(record.wal_seq, 77);
  EXPECT_EQ(record.wal_type, 5);
  EXPECT(holds_text(&record, "logged"));
  om_bus_endpoint_close(endpoint);
  om_bus_stream_destroy(stream);
}

const Check kInterfaceChecks[] = {
    {"a record has its four fields in order", record_fields},
    {"shared memory structs have their fields in order", shared_memory_structs},
    {"TCP structs have their fields in order", tcp_structs},
    {"relay structs have their fields in order, 32 and 17 buckets", relay_structs},
    {"the frame header is packed into 16 bytes", frame_header},
    {"constants have the values callers were compiled with", constants},
    {"error codes run from -800 to -823", error_codes},
    {"every error code has a text of its own", error_strings},
    {"the backpressure callback has its type", callback_types},
    {"NULL handles are refused or ignored", null_handles},
    {"a WAL that is attached publishes what it writes", wal_hook},
    {NULL, NULL}};

// The TCP clients, against ombus' server and against servers made by hand.
#include <string.h>
#include <unistd.h>

#include "suite.h"

typedef struct Link {
  OmBusTcpClient* client;
  int listener, peer;
} Link;

// A client of a server made by hand.
static Link make_link(uint32_t flags) {
  Link link;
  uint16_t port = 0;
  link.listener = raw_listen(&port);
  link.client = connect_client(port, flags);
  link.peer = raw_accept(link.listener);
  EXPECT(link.peer >= 0);
  return link;
}

static void drop_link(Link* link) {
  om_bus_tcp_client_close(link->client);
  if (link->peer >= 0) close(link->peer);
  close(link->listener);
}

static void send_frame(int fd, uint64_t wal_seq, const char* text) {
  unsigned char bytes[256];
  EXPECT(raw_send(fd, bytes, put_frame(bytes, wal_seq, 1, text, (uint16_t)strlen(text))));
}

static void receives_what_is_broadcast(void) {
  OmBusTcpServer* server = make_server(0, 0);
  OmBusTcpClient* client = connect_client(om_bus_tcp_server_port(server), 0);
  EXPECT(serve_until_clients(server, 1));
  OmBusRecord record;
  EXPECT_EQ(om_bus_tcp_client_poll(client, &record), 0);
  EXPECT_EQ(om_bus_tcp_client_wal_seq(client), 0);
  static unsigned char payload[65535];
  const uint16_t sizes[] = {0, 1, 8, 40, 64, 200, 4096, 65535};
  for (uint64_t i = 0; i < 8; ++i) {
    memset(payload, (int)i + 1, sizes[i]);
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, 50 + i, (uint8_t)i, payload, sizes[i]), 0);
    REQUIRE_EQ(poll_client(client, server, &record), 1);
    EXPECT_EQ(record.wal_seq, 50 + i);
    EXPECT_EQ(record.wal_type, i);
    REQUIRE_EQ(record.payload_len, sizes[i]);
    EXPECT_EQ(memcmp(record.payload, payload, sizes[i]), 0);
    EXPECT_EQ(om_bus_tcp_client_wal_seq(client), 50 + i);
  }
  om_bus_tcp_client_close(client);
  om_bus_tcp_server_destroy(server);
}

static void many_records_in_order(void) {
  OmBusTcpServer* server = make_server(0, 0);
  OmBusTcpClient* client = connect_client(om_bus_tcp_server_port(server), 0);
  EXPECT(serve_until_clients(server, 1));
  OmBusRecord record;
  uint64_t next = 1;
  for (uint64_t round = 0; round < 50; ++round) {
    for (uint64_t i = 1; i <= 100; ++i) {
      const uint64_t wal_seq = round * 100 + i;
      EXPECT_EQ(om_bus_tcp_server_broadcast(server, wal_seq, 1, &wal_seq, sizeof wal_seq), 0);
    }
    for (; next <= (round + 1) * 100; ++next) {
      REQUIRE_EQ(poll_client(client, server, &record), 1);
      REQUIRE_EQ(record.wal_seq, next);
      EXPECT_EQ(memcmp(record.payload, &next, sizeof next), 0);
    }
  }
  om_bus_tcp_client_close(client);
  om_bus_tcp_server_destroy(server);
}

static void says_nothing(void) {
  Link link = make_link(0);
  OmBusRecord record;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(om_bus_tcp_client_poll(link.client, &record), 0);
  send_frame(link.peer, 1, "x");
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  EXPECT(raw_is_quiet(link.peer));
  drop_link(&link);
}

static void frames_in_pieces(void) {
  Link link = make_link(0);
  unsigned char bytes[256];
  OmBusRecord record;
  const size_t size = put_frame(bytes, 9, 4, "in pieces", 9);
  for (size_t i = 0; i < size; ++i) {
    EXPECT_EQ(om_bus_tcp_client_poll(link.client, &record), 0);
    EXPECT(raw_send(link.peer, bytes + i, 1));
  }
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  EXPECT_EQ(record.wal_seq, 9);
  EXPECT_EQ(record.wal_type, 4);
  EXPECT(holds_text(&record, "in pieces"));
  drop_link(&link);
}

static void gap(void) {
  Link link = make_link(0);
  OmBusRecord record;
  send_frame(link.peer, 10, "first");
  send_frame(link.peer, 11, "next");
  send_frame(link.peer, 20, "jump");
  send_frame(link.peer, 21, "next");
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);  // the first is never a gap
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  EXPECT_EQ(poll_client(link.client, NULL, &record), OM_ERR_BUS_GAP_DETECTED);
  EXPECT_EQ(record.wal_seq, 20);
  EXPECT(holds_text(&record, "jump"));
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  EXPECT_EQ(om_bus_tcp_client_wal_seq(link.client), 21);
  drop_link(&link);
}

static void reorder(void) {
  for (uint32_t flags = 0; flags <= OM_BUS_FLAG_REJECT_REORDER;
       flags += OM_BUS_FLAG_REJECT_REORDER) {
    Link link = make_link(flags);
    OmBusRecord record;
    send_frame(link.peer, 10, "ten");
    send_frame(link.peer, 5, "five");
    EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
    EXPECT_EQ(poll_client(link.client, NULL, &record),
              flags == 0 ? 1 : OM_ERR_BUS_REORDER_DETECTED);
    EXPECT_EQ(record.wal_seq, 5);
    EXPECT(holds_text(&record, "five"));
    drop_link(&link);
  }
}

static void slow_warning(void) {
  Link link = make_link(0);
  OmBusRecord record;
  unsigned char bytes[64];
  const uint32_t figures[2] = {5000, 6000};
  send_frame(link.peer, 1, "one");
  EXPECT(raw_send(link.peer, bytes,
                  put_frame(bytes, 0, OM_BUS_TCP_WAL_TYPE_SLOW_WARNING, figures, 8)));
  send_frame(link.peer, 2, "two");
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  EXPECT_EQ(poll_client(link.client, NULL, &record), OM_ERR_BUS_TCP_SLOW_WARNING);
  EXPECT_EQ(om_bus_tcp_client_wal_seq(link.client), 1);
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);  // and it is no gap
  EXPECT_EQ(record.wal_seq, 2);
  drop_link(&link);
}

static void disconnected_after_all_frames(void) {
  Link link = make_link(0);
  OmBusRecord record;
  unsigned char bytes[64];
  for (uint64_t i = 1; i <= 20; ++i) send_frame(link.peer, i, "whole");
  EXPECT(raw_send(link.peer, bytes, put_frame(bytes, 21, 1, "half", 4) - 2));
  close(link.peer);
  link.peer = -1;
  for (uint64_t i = 1; i <= 20; ++i) {
    REQUIRE_EQ(poll_client(link.client, NULL, &record), 1);
    EXPECT_EQ(record.wal_seq, i);
    EXPECT(holds_text(&record, "whole"));
  }
  EXPECT_EQ(poll_client(link.client, NULL, &record), OM_ERR_BUS_TCP_DISCONNECTED);
  EXPECT_EQ(om_bus_tcp_client_poll(link.client, &record), OM_ERR_BUS_TCP_DISCONNECTED);
  EXPECT_EQ(om_bus_tcp_client_wal_seq(link.client), 20);
  drop_link(&link);
}

static void bad_magic(void) {
  Link link = make_link(0);
  OmBusRecord record;
  send_frame(link.peer, 1, "sound");
  EXPECT(raw_send(link.peer, "GET / HTTP/1.1\r\n\r\n", 18));
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  EXPECT_EQ(poll_client(link.client, NULL, &record), OM_ERR_BUS_TCP_PROTOCOL);
  EXPECT(om_bus_tcp_client_poll(link.client, &record) < 0);
  drop_link(&link);
}

static void payload_lives(void) {
  Link link = make_link(0);
  OmBusRecord record;
  send_frame(link.peer, 1, "first payload");
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  send_frame(link.peer, 2, "second payload");
  EXPECT(holds_text(&record, "first payload"));
  EXPECT_EQ(poll_client(link.client, NULL, &record), 1);
  EXPECT(holds_text(&record, "second payload"));
  drop_link(&link);
}

static void connect_errors(void) {
  uint16_t port = 0;
  const int listener = raw_listen(&port);
  close(listener);  // nobody listens there any more
  OmBusTcpClientConfig config;
  memset(&config, 0, sizeof config);
  config.host = "127.0.0.1";
  config.port = port;
  OmBusTcpClient* client = NULL;
  EXPECT_EQ(om_bus_tcp_client_connect(&client, &config), OM_ERR_BUS_TCP_CONNECT);
  EXPECT(client == NULL);
  config.host = "not.an.address.";
  EXPECT(om_bus_tcp_client_connect(&client, &config) < 0);
  config.recv_buf_size = 0xFFFFFFFF;
  EXPECT_EQ(om_bus_tcp_client_connect(&client, &config), OM_ERR_BUS_INIT);
  config.recv_buf_size = 0;
  config.host = NULL;
  EXPECT_EQ(om_bus_tcp_client_connect(&client, &config), OM_ERR_BUS_INIT);
}

static void flags_of_a_stream(void) {
  OmBusTcpServer* server = make_server(0, 0);
  OmBusTcpClient* client =
      connect_client(om_bus_tcp_server_port(server), OM_BUS_FLAG_CRC | OM_BUS_FLAG_REJECT_REORDER);
  EXPECT(serve_until_clients(server, 1));
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, "x", 1), 0);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  OmBusRecord record;
  EXPECT_EQ(poll_client(client, NULL, &record), 1);
  om_bus_tcp_client_close(client);
  om_bus_tcp_server_destroy(server);
}

static void server_drop_is_seen(void) {
  OmBusTcpServer* server = make_server(0, 0);
  OmBusTcpClient* client = connect_client(om_bus_tcp_server_port(server), 0);
  EXPECT(serve_until_clients(server, 1));
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, "x", 1), 0);
  om_bus_tcp_server_destroy(server);
  OmBusRecord record;
  EXPECT_EQ(poll_client(client, NULL, &record), 1);
  EXPECT_EQ(poll_client(client, NULL, &record), OM_ERR_BUS_TCP_DISCONNECTED);
  om_bus_tcp_client_close(client);
}

static OmBusTcpAutoClient* make_waiting_client(uint16_t port, uint32_t max_retries,
                                               uint32_t base_ms, uint32_t max_ms) {
  OmBusTcpAutoClientConfig config;
  memset(&config, 0, sizeof config);
  config.base.host = "127.0.0.1";
  config.base.port = port;
  config.max_retries = max_retries;
  config.retry_base_ms = base_ms;
  config.retry_max_ms = max_ms;
  OmBusTcpAutoClient* client = NULL;
  EXPECT_EQ(om_bus_tcp_auto_client_create(&client, &config), 0);
  return client;
}

static OmBusTcpAutoClient* make_auto_client(uint16_t port, uint32_t max_retries, uint32_t base_ms) {
  return make_waiting_client(port, max_retries, base_ms, 4 * base_ms);
}

static int poll_auto(OmBusTcpAutoClient* client, OmBusRecord* record) {
  int result = 0;
  for (const uint64_t deadline = soon(); result == 0 && !over(deadline);) {
    result = om_bus_tcp_auto_client_poll(client, record);
  }
  return result;
}

static void auto_client_reconnects(void) {
  uint16_t port = 0;
  int listener = raw_listen(&port);
  OmBusTcpAutoClient* client = make_auto_client(port, 0, 1);
  int peer = raw_accept(listener);
  OmBusRecord record;
  send_frame(peer, 1, "one");
  send_frame(peer, 2, "two");
  EXPECT_EQ(poll_auto(client, &record), 1);
  EXPECT_EQ(poll_auto(client, &record), 1);
  close(peer);
  close(listener);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(om_bus_tcp_auto_client_poll(client, &record), 0);
  EXPECT_EQ(om_bus_tcp_auto_client_wal_seq(client), 2);  // kept over the break
  listener = raw_listen(&port);
  // A connection needs the client to drive it.
  unsigned char bytes[64];
  const size_t size = put_frame(bytes, 6, 1, "six", 3);
  int result = 0;
  peer = -1;
  for (const uint64_t deadline = soon(); result == 0 && !over(deadline);) {
    if (peer < 0 && !raw_is_quiet(listener)) {
      peer = raw_accept(listener);
      EXPECT_EQ(om_bus_tcp_auto_client_wal_seq(client), 2);
      EXPECT(raw_send(peer, bytes, size));
    }
    result = om_bus_tcp_auto_client_poll(client, &record);
  }
  EXPECT_EQ(result, OM_ERR_BUS_GAP_DETECTED);  // three to five were lost
  EXPECT_EQ(record.wal_seq, 6);
  EXPECT(holds_text(&record, "six"));
  EXPECT(raw_is_quiet(peer));
  om_bus_tcp_auto_client_close(client);
  close(peer);
  close(listener);
}

static void auto_client_without_loss(void) {
  uint16_t port = 0;
  const int listener = raw_listen(&port);
  OmBusTcpAutoClient* client = make_auto_client(port, 5, 1);
  int peer = raw_accept(listener);
  OmBusRecord record;
  send_frame(peer, 1, "one");
  EXPECT_EQ(poll_auto(client, &record), 1);
  close(peer);
  int result = 0;
  peer = -1;
  for (const uint64_t deadline = soon(); result == 0 && !over(deadline);) {
    if (peer < 0 && !raw_is_quiet(listener)) {
      peer = raw_accept(listener);
      send_frame(peer, 2, "two");
    }
    result = om_bus_tcp_auto_client_poll(client, &record);
  }
  EXPECT_EQ(result, 1);  // nothing is missing: no gap
  EXPECT_EQ(record.wal_seq, 2);
  om_bus_tcp_auto_client_close(client);
  close(peer);
  close(listener);
}

static void auto_client_gives_up(void) {
  uint16_t port = 0;
  close(raw_listen(&port));
  OmBusTcpAutoClient* client = make_auto_client(port, 3, 1);
  OmBusRecord record;
  EXPECT_EQ(poll_auto(client, &record), OM_ERR_BUS_TCP_DISCONNECTED);
  // For good, whoever listens there now.
  const int listener = raw_listen(&port);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(om_bus_tcp_auto_client_poll(client, &record), OM_ERR_BUS_TCP_DISCONNECTED);
  }
  EXPECT(raw_is_quiet(listener));
  close(listener);
  om_bus_tcp_auto_client_close(client);
}

// The n-th wait is at least half of base * 2^n, whatever the rest of the backoff does.
static void auto_client_backs_off(void) {
  uint16_t port = 0;
  close(raw_listen(&port));
  const uint64_t start = now_ms();
  OmBusTcpAutoClient* client = make_auto_client(port, 4, 20);
  OmBusRecord record;
  EXPECT_EQ(poll_auto(client, &record), OM_ERR_BUS_TCP_DISCONNECTED);
  EXPECT(now_ms() - start >= (20 + 40 + 80) / 2 - 3);
  om_bus_tcp_auto_client_close(client);
}

// A wait is from half of what it is called to all of it. So a wait that is not given is known by
// its least time and by who waits longer.
static void expect_wait(uint32_t base_ms, uint32_t least_ms, uint32_t longer_ms) {
  uint16_t port = 0;
  close(raw_listen(&port));
  const uint64_t start = now_ms();
  OmBusTcpAutoClient* client = make_waiting_client(port, 2, base_ms, 0);
  OmBusTcpAutoClient* patient = make_waiting_client(port, 2, longer_ms, longer_ms);
  OmBusRecord record;
  int result = 0, of_patient = 0;
  for (const uint64_t deadline = soon(); result == 0 && of_patient == 0 && !over(deadline);) {
    result = om_bus_tcp_auto_client_poll(client, &record);
    if (result == 0) of_patient = om_bus_tcp_auto_client_poll(patient, &record);
  }
  EXPECT_EQ(result, OM_ERR_BUS_TCP_DISCONNECTED);
  EXPECT_EQ(of_patient, 0);
  EXPECT(now_ms() - start >= least_ms - 3);
  om_bus_tcp_auto_client_close(client);
  om_bus_tcp_auto_client_close(patient);
}

static void auto_client_base_wait(void) { expect_wait(0, 100 / 2, 1000); }
static void auto_client_longest_wait(void) { expect_wait(UINT32_MAX, 5000 / 2, 30000); }

const Check kClientChecks[] = {
    {"a client takes a stream's flags, of which the checksum means nothing to it",
     flags_of_a_stream},
    {"a client receives what is broadcast, of every size", receives_what_is_broadcast},
    {"a client receives thousands of records in order", many_records_in_order},
    {"a client says nothing", says_nothing},
    {"a frame that comes in pieces is a record once it is whole", frames_in_pieces},
    {"a client reports gaps, with the record", gap},
    {"a client reports reorders only with REJECT_REORDER", reorder},
    {"a slow-client warning is no record and no gap", slow_warning},
    {"disconnected comes after all whole frames, and stays", disconnected_after_all_frames},
    {"bytes that are no frame are a protocol error", bad_magic},
    {"a payload lives until the next poll", payload_lives},
    {"a server that is not there is an error", connect_errors},
    {"a server that is destroyed is a disconnect, after its last record", server_drop_is_seen},
    {"an auto client reconnects, keeps its wal_seq and reports the jump", auto_client_reconnects},
    {"an auto client that missed nothing reports nothing", auto_client_without_loss},
    {"an auto client gives up after max_retries, for good", auto_client_gives_up},
    {"an auto client waits longer each time", auto_client_backs_off},
    {"an auto client that is not told first waits 100 ms", auto_client_base_wait},
    {"an auto client that is not told waits 5000 ms at most", auto_client_longest_wait},
    {NULL, NULL}};

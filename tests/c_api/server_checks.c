// The TCP server, seen from sockets made by hand.
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"

static void ephemeral_port(void) {
  OmBusTcpServer* one = make_server(0, 0);
  OmBusTcpServer* two = make_server(0, 0);
  EXPECT(om_bus_tcp_server_port(one) != 0);
  EXPECT(om_bus_tcp_server_port(two) != om_bus_tcp_server_port(one));
  EXPECT_EQ(om_bus_tcp_server_client_count(one), 0);
  EXPECT_EQ(om_bus_tcp_server_poll_io(one), 0);  // with nobody there, and returns
  om_bus_tcp_server_destroy(one);
  om_bus_tcp_server_destroy(two);
}

static int bind_to(const char* address, uint16_t port) {
  OmBusTcpServerConfig config;
  memset(&config, 0, sizeof config);
  config.bind_addr = address;
  config.port = port;
  OmBusTcpServer* server = NULL;
  const int result = om_bus_tcp_server_create(&server, &config);
  EXPECT_EQ(server != NULL, result == 0);
  om_bus_tcp_server_destroy(server);
  return result;
}

static void bind_errors(void) {
  OmBusTcpServer* server = make_server(0, 0);
  EXPECT_EQ(bind_to("127.0.0.1", om_bus_tcp_server_port(server)), OM_ERR_BUS_TCP_BIND);
  EXPECT_EQ(bind_to("no address", 0), OM_ERR_BUS_TCP_BIND);
  EXPECT_EQ(bind_to("192.0.2.1", 0), OM_ERR_BUS_TCP_BIND);  // nobody's here
  EXPECT_EQ(bind_to(NULL, 0), 0);                           // all of them
  om_bus_tcp_server_destroy(server);
}

static void any_address_is_served(void) {
  OmBusTcpServerConfig config;
  memset(&config, 0, sizeof config);
  OmBusTcpServer* server = NULL;
  REQUIRE_EQ(om_bus_tcp_server_create(&server, &config), 0);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 1);
  close(fd);
  om_bus_tcp_server_destroy(server);
}

static void one_poll_io_counts(void) {
  OmBusTcpServer* server = make_server(0, 0);
  int fds[5];
  for (int i = 0; i < 5; ++i) {
    fds[i] = raw_connect(om_bus_tcp_server_port(server));
    EXPECT_EQ(om_bus_tcp_server_client_count(server), i);
    EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
    EXPECT_EQ(om_bus_tcp_server_client_count(server), i + 1);
  }
  for (int i = 0; i < 5; ++i) {
    close(fds[i]);
    EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
    EXPECT_EQ(om_bus_tcp_server_client_count(server), 4 - i);
  }
  for (int i = 0; i < 5; ++i) fds[i] = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);  // all at once
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 5);
  for (int i = 0; i < 5; ++i) close(fds[i]);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 0);
  OmBusTcpServerStats stats;
  om_bus_tcp_server_stats(server, &stats);
  EXPECT_EQ(stats.clients_accepted, 10);
  EXPECT_EQ(stats.clients_disconnected, 10);
  om_bus_tcp_server_destroy(server);
}

static void one_poll_io_counts_many_at_once(void) {
  enum { kMany = 150 };
  OmBusTcpServer* server = make_server(200, 0);
  int fds[kMany];
  for (int i = 0; i < kMany; ++i) fds[i] = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), kMany);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, "all", 3), 0);  // who leaves is sent to, too
  for (int i = 0; i < kMany; ++i) close(fds[i]);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 0);
  for (int i = 0; i < kMany; ++i) close(raw_connect(om_bus_tcp_server_port(server)));
  const int fd = raw_connect(om_bus_tcp_server_port(server));  // behind them all
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 1);
  OmBusTcpServerStats stats;
  om_bus_tcp_server_stats(server, &stats);
  EXPECT_EQ(stats.clients_accepted, 2 * kMany + 1);
  EXPECT_EQ(stats.clients_disconnected, 2 * kMany);
  close(fd);
  om_bus_tcp_server_destroy(server);
}

static void one_poll_io_refuses_many_at_once(void) {
  enum { kMany = 100 };
  OmBusTcpServer* server = make_server(3, 0);
  int fds[kMany];
  for (int i = 0; i < kMany; ++i) fds[i] = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 3);
  for (int i = 3; i < kMany; ++i) EXPECT(raw_at_end(fds[i]));
  for (int i = 0; i < kMany; ++i) close(fds[i]);
  om_bus_tcp_server_destroy(server);
}

static void come_and_gone(void) {
  OmBusTcpServer* server = make_server(0, 0);
  close(raw_connect(om_bus_tcp_server_port(server)));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 0);
  om_bus_tcp_server_destroy(server);
}

static void frames_on_the_wire(void) {
  OmBusTcpServer* server = make_server(0, 0);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 0x1122334455667788u, 9, "abcde", 5), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 2, 0xFF, NULL, 0), 0);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  const unsigned char wanted[37] = {0x46, 0x54, 0x4D, 0x4F, 9,    0,    5,   0,   0x88, 0x77,
                                    0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 'a', 'b', 'c',  'd',
                                    'e',  0x46, 0x54, 0x4D, 0x4F, 0xFF, 0,   0,   0,    2,
                                    0,    0,    0,    0,    0,    0,    0};
  unsigned char got[37];
  REQUIRE(raw_receive(fd, got, sizeof got));
  EXPECT_EQ(memcmp(got, wanted, sizeof got), 0);
  EXPECT(raw_is_quiet(fd));  // and nothing else: no greeting, no farewell
  om_bus_tcp_server_destroy(server);
  EXPECT(raw_at_end(fd));
  close(fd);
}

static void no_io_in_broadcast(void) {
  OmBusTcpServer* server = make_server(0, 0);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, "later", 5), 0);
  EXPECT(raw_is_quiet(fd));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  unsigned char got[21];
  EXPECT(raw_receive(fd, got, sizeof got));
  close(fd);
  om_bus_tcp_server_destroy(server);
}

static void late_client_gets_what_follows(void) {
  OmBusTcpServer* server = make_server(0, 0);
  const int early = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  static const char payload[5000] = "x";
  for (uint64_t i = 1; i <= 10; ++i) {
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, i, 1, payload, sizeof payload), 0);
  }
  const int late = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 2);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 11, 1, "new", 3), 0);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  OmBusTcpFrameHeader header;
  REQUIRE(raw_receive(late, &header, sizeof header));
  EXPECT_EQ(header.magic, OM_BUS_TCP_FRAME_MAGIC);
  EXPECT_EQ(header.wal_seq, 11);
  REQUIRE(raw_receive(early, &header, sizeof header));
  EXPECT_EQ(header.wal_seq, 1);
  close(early);
  close(late);
  om_bus_tcp_server_destroy(server);
}

static void statistics(void) {
  OmBusTcpServer* server = make_server(0, 0);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, "abc", 3), 0);
  OmBusRecord records[3];
  for (int i = 0; i < 3; ++i) {
    records[i].wal_seq = 2 + (uint64_t)i;
    records[i].wal_type = 7;
    records[i].payload = "0123456789";
    records[i].payload_len = 10;
  }
  EXPECT_EQ(om_bus_tcp_server_broadcast_batch(server, records, 3), 0);
  OmBusTcpServerStats stats;
  om_bus_tcp_server_stats(server, &stats);
  EXPECT_EQ(stats.records_broadcast, 4);
  EXPECT_EQ(stats.bytes_broadcast, 33);  // payload only
  EXPECT_EQ(stats.clients_accepted, 1);
  EXPECT_EQ(stats.clients_disconnected, 0);
  EXPECT_EQ(stats.slow_client_drops, 0);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  unsigned char got[19 + 3 * 26];
  REQUIRE(raw_receive(fd, got, sizeof got));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(got[19 + 26 * i + 4], 7);
    EXPECT_EQ(memcmp(got + 19 + 26 * i + 16, "0123456789", 10), 0);
  }
  close(fd);
  om_bus_tcp_server_destroy(server);
}

static void broadcast_without_clients(void) {
  OmBusTcpServer* server = make_server(0, 1000);
  static const char payload[65535] = "x";
  for (uint64_t i = 1; i <= 50; ++i) {
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, i, 1, payload, 65535), 0);
  }
  OmBusTcpServerStats stats;
  om_bus_tcp_server_stats(server, &stats);
  EXPECT_EQ(stats.records_broadcast, 50);
  EXPECT_EQ(stats.bytes_broadcast, 50 * 65535);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, NULL, 1), OM_ERR_BUS_INIT);
  om_bus_tcp_server_destroy(server);
}

static void over_max_clients(void) {
  OmBusTcpServer* server = make_server(2, 0);
  const int one = raw_connect(om_bus_tcp_server_port(server));
  const int two = raw_connect(om_bus_tcp_server_port(server));
  const int three = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 2);
  EXPECT(raw_at_end(three));
  EXPECT(raw_is_quiet(one) && raw_is_quiet(two));
  close(three);
  close(one);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  const int four = raw_connect(om_bus_tcp_server_port(server));  // there is room again
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 2);
  close(two);
  close(four);
  om_bus_tcp_server_destroy(server);
}

static void sixty_four_by_default(void) {
  OmBusTcpServer* server = make_server(0, 0);
  int fds[65];
  for (int i = 0; i < 65; ++i) fds[i] = raw_connect(om_bus_tcp_server_port(server));
  EXPECT(serve_until_clients(server, 64));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 64);
  EXPECT(raw_at_end(fds[64]));
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, "all", 3), 0);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  unsigned char got[19];
  for (int i = 0; i < 64; ++i) EXPECT(raw_receive(fds[i], got, sizeof got));
  for (int i = 0; i < 65; ++i) close(fds[i]);
  om_bus_tcp_server_destroy(server);
}

static OmBusTcpServer* inherited;

static int destroy_inherited(int tell_fd) {
  om_bus_tcp_server_destroy(inherited);
  return write(tell_fd, "", 1) == 1 ? 0 : 1;
}

static void a_child_that_destroys_its_copy(void) {
  inherited = make_server(0, 0);
  const int fd = raw_connect(om_bus_tcp_server_port(inherited));
  EXPECT_EQ(om_bus_tcp_server_poll_io(inherited), 0);
  int child_fd = -1;
  const int child = start_child(destroy_inherited, &child_fd);
  EXPECT(await_child(child_fd));
  EXPECT_EQ(end_child(child, child_fd, false), 0);
  EXPECT(raw_is_quiet(fd));
  EXPECT_EQ(om_bus_tcp_server_broadcast(inherited, 1, 1, "more", 4), 0);
  EXPECT_EQ(om_bus_tcp_server_poll_io(inherited), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(inherited), 1);
  unsigned char got[20];
  EXPECT(raw_receive(fd, got, sizeof got));
  close(fd);
  om_bus_tcp_server_destroy(inherited);
}

static void destroy_ends_streams(void) {
  OmBusTcpServer* server = make_server(0, 0);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, "pending", 7), 0);
  om_bus_tcp_server_destroy(server);
  unsigned char got[23];
  EXPECT(raw_receive(fd, got, sizeof got));
  EXPECT(raw_at_end(fd));
  close(fd);
}

const Check kServerChecks[] = {
    {"port 0 is an ephemeral port", ephemeral_port},
    {"an address that cannot be bound is an error", bind_errors},
    {"no bind address is all IPv4 addresses", any_address_is_served},
    {"one poll_io counts who has come, one who has gone", one_poll_io_counts},
    {"one poll_io counts 150 who have come at once, and gone", one_poll_io_counts_many_at_once},
    {"one poll_io closes all who are too many", one_poll_io_refuses_many_at_once},
    {"one poll_io is enough for who has come and gone", come_and_gone},
    {"frames on the wire are right to the byte, and nothing else is said", frames_on_the_wire},
    {"broadcast does no I/O", no_io_in_broadcast},
    {"a client gets what is broadcast after its accept, from a frame boundary",
     late_client_gets_what_follows},
    {"server statistics count records, payload bytes and clients", statistics},
    {"records of any size are taken when nobody listens", broadcast_without_clients},
    {"the client beyond max_clients is closed on accept", over_max_clients},
    {"64 clients are served by default", sixty_four_by_default},
    {"a forked child may destroy its copy of a server", a_child_that_destroys_its_copy},
    {"destroy ends the clients' streams, after what was pending", destroy_ends_streams},
    {NULL, NULL}};

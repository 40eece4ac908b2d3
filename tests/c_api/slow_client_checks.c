// The client that lags more than it may.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"

static uint64_t drops(const OmBusTcpServer* server) {
  OmBusTcpServerStats stats;
  om_bus_tcp_server_stats(server, &stats);
  return stats.slow_client_drops;
}

static bool receive_frame(int fd, OmBusTcpFrameHeader* header, unsigned char* payload) {
  return raw_receive(fd, header, sizeof *header) && raw_receive(fd, payload, header->payload_len);
}

// The limit is exact: 1000 bytes are ten frames of 100.
static void cut_at_the_broadcast(void) {
  OmBusTcpServer* server = make_server(0, 1000);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  static const char payload[84] = "x";
  for (uint64_t i = 1; i <= 10; ++i) {
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, i, 1, payload, sizeof payload), 0);
    EXPECT_EQ(drops(server), 0);
  }
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 11, 1, payload, 0), 0);
  EXPECT_EQ(drops(server), 1);  // right then
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 0);
  OmBusTcpFrameHeader header;
  unsigned char bytes[84];
  for (uint64_t i = 1; i <= 10; ++i) {
    REQUIRE(receive_frame(fd, &header, bytes));
    EXPECT_EQ(header.wal_seq, i);
    EXPECT_EQ(header.wal_type, 1);
  }
  EXPECT(raw_at_end(fd));  // no warning: 1000 bytes are pending, and 24 more would be too many
  close(fd);
  OmBusTcpServerStats stats;
  om_bus_tcp_server_stats(server, &stats);
  EXPECT_EQ(stats.clients_disconnected, 1);
  EXPECT_EQ(stats.records_broadcast, 11);
  om_bus_tcp_server_destroy(server);
}

static void warning_where_it_fits(void) {
  OmBusTcpServer* server = make_server(0, 1000);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  static const char payload[200] = "x";
  for (uint64_t i = 1; i <= 4; ++i) {  // 4 * 216 = 864
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, i, 1, payload, sizeof payload), 0);
  }
  EXPECT_EQ(drops(server), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 5, 1, payload, sizeof payload), 0);
  EXPECT_EQ(drops(server), 1);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 6, 1, payload, sizeof payload), 0);
  EXPECT_EQ(drops(server), 1);  // cut once
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  OmBusTcpFrameHeader header;
  unsigned char bytes[200];
  for (uint64_t i = 1; i <= 4; ++i) {
    REQUIRE(receive_frame(fd, &header, bytes));
    EXPECT_EQ(header.wal_seq, i);
  }
  REQUIRE(receive_frame(fd, &header, bytes));
  EXPECT_EQ(header.wal_type, OM_BUS_TCP_WAL_TYPE_SLOW_WARNING);
  EXPECT_EQ(header.wal_seq, 0);
  EXPECT_EQ(header.flags, 0);
  REQUIRE_EQ(header.payload_len, 8);
  uint32_t pending, limit;
  memcpy(&pending, bytes, 4);
  memcpy(&limit, bytes + 4, 4);
  EXPECT_EQ(pending, 864);
  EXPECT_EQ(limit, 1000);
  EXPECT(raw_at_end(fd));
  close(fd);
  om_bus_tcp_server_destroy(server);
}

static void quick_ones_are_spared(void) {
  OmBusTcpServer* server = make_server(0, 1000);
  const int slow = raw_connect(om_bus_tcp_server_port(server));
  const int quick = raw_connect(om_bus_tcp_server_port(server));
  EXPECT(serve_until_clients(server, 2));
  static const char payload[84] = "x";
  OmBusTcpFrameHeader header;
  unsigned char bytes[84];
  for (uint64_t i = 1; i <= 100; ++i) {
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, i, 1, payload, sizeof payload), 0);
    EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
    REQUIRE(receive_frame(quick, &header, bytes));
    EXPECT_EQ(header.wal_seq, i);
  }
  EXPECT_EQ(drops(server), 0);  // the kernel took it all for the other one, too
  close(slow);
  close(quick);
  om_bus_tcp_server_destroy(server);
}

// Nothing of it is lost, though its socket is full at the moment of the cut.
static void cut_with_a_full_socket(void) {
  OmBusTcpServer* server = make_server(0, 100000);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  static unsigned char payload[4000];
  uint64_t sent = 0;
  for (const uint64_t deadline = soon(); drops(server) == 0 && !over(deadline);) {
    memset(payload, (int)(++sent & 0xFF), sizeof payload);
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, sent, 1, payload, sizeof payload), 0);
    EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  }
  REQUIRE_EQ(drops(server), 1);
  EXPECT_EQ(om_bus_tcp_server_client_count(server), 0);
  // All that was broadcast before the cut; the frame that would have been too much is not in it.
  static unsigned char stream[1 << 16];
  uint64_t bytes = 0, wrong = 0;
  bool ended = false;
  for (const uint64_t deadline = soon(); !ended && !over(deadline);) {
    EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
    const ssize_t got = recv(fd, stream, sizeof stream, MSG_DONTWAIT);
    ended = got == 0;
    for (ssize_t i = 0; i < got; ++i, ++bytes) {
      const uint64_t frame = bytes / 4016, at = bytes % 4016;
      if (frame < sent - 1 && at >= 16) wrong += stream[i] != ((frame + 1) & 0xFF);
    }
  }
  EXPECT(ended);
  EXPECT_EQ(wrong, 0);
  EXPECT(bytes == (sent - 1) * 4016 || bytes == (sent - 1) * 4016 + 24);  // with the warning
  close(fd);
  om_bus_tcp_server_destroy(server);
}

// A record that is itself more than a client may lag.
static void oversized_record(void) {
  OmBusTcpServer* server = make_server(0, 100);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  static const char payload[200] = "x";
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 1, 1, payload, 10), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 2, 1, payload, 200), 0);
  EXPECT_EQ(drops(server), 1);
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  OmBusTcpFrameHeader header;
  unsigned char bytes[200];
  REQUIRE(receive_frame(fd, &header, bytes));
  EXPECT_EQ(header.wal_seq, 1);
  REQUIRE(receive_frame(fd, &header, bytes));
  EXPECT_EQ(header.wal_type, OM_BUS_TCP_WAL_TYPE_SLOW_WARNING);
  EXPECT(raw_at_end(fd));
  close(fd);
  om_bus_tcp_server_destroy(server);
}

static void batch_is_cut_like_singles(void) {
  OmBusTcpServer* server = make_server(0, 1000);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  static const char payload[84] = "x";
  OmBusRecord records[12];
  for (int i = 0; i < 12; ++i) {
    records[i].wal_seq = 1 + (uint64_t)i;
    records[i].wal_type = 1;
    records[i].payload = payload;
    records[i].payload_len = sizeof payload;
  }
  EXPECT_EQ(om_bus_tcp_server_broadcast_batch(server, records, 10), 0);
  EXPECT_EQ(drops(server), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast_batch(server, records + 10, 2), 0);
  EXPECT_EQ(drops(server), 1);
  close(fd);
  om_bus_tcp_server_destroy(server);
}

// 256 frames of 1024 bytes.
static void limit_by_default(void) {
  OmBusTcpServer* server = make_server(0, 0);
  const int fd = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  static const char payload[1008] = "x";
  for (uint64_t i = 1; i <= 256; ++i) {
    EXPECT_EQ(om_bus_tcp_server_broadcast(server, i, 1, payload, sizeof payload), 0);
  }
  EXPECT_EQ(drops(server), 0);
  EXPECT_EQ(om_bus_tcp_server_broadcast(server, 257, 1, payload, 0), 0);
  EXPECT_EQ(drops(server), 1);
  close(fd);
  om_bus_tcp_server_destroy(server);
}

// What the kernel would otherwise give up by itself, with all that is pending.
static void no_limit_in_time(void) {
  OmBusTcpServer* server = make_server(0, 0);
  const int peer = raw_connect(om_bus_tcp_server_port(server));
  EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
  int found = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    struct sockaddr_in here, there;
    socklen_t size = sizeof here, size_there = sizeof there;
    if (getsockname(fd, (struct sockaddr*)&here, &size) != 0 || here.sin_family != AF_INET ||
        ntohs(here.sin_port) != om_bus_tcp_server_port(server) ||
        getpeername(fd, (struct sockaddr*)&there, &size_there) != 0) {
      continue;
    }
    unsigned timeout_ms = 1;
    size = sizeof timeout_ms;
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &size), 0);
    EXPECT_EQ(timeout_ms, 0);
    ++found;
  }
  EXPECT_EQ(found, 1);
  close(peer);
  om_bus_tcp_server_destroy(server);
}

const Check kSlowClientChecks[] = {
    {"a client that lags less than it may stays, however long it reads nothing", no_limit_in_time},
    {"a slow client is cut at the broadcast that is too much, and counted then",
     cut_at_the_broadcast},
    {"a client may lag 262144 bytes by default", limit_by_default},
    {"a slow client is warned where the warning fits", warning_where_it_fits},
    {"a slow client costs the quick ones nothing", quick_ones_are_spared},
    {"a client that is cut with a full socket still gets what was pending", cut_with_a_full_socket},
    {"a record larger than the limit cuts who is connected", oversized_record},
    {"a batch cuts as single broadcasts do", batch_is_cut_like_singles},
    {NULL, NULL}};

// The libombus C API: records over TCP. A server broadcasts to all clients connected; a client
// receives, and an auto client reconnects too.
//
// A frame is a 16-byte little-endian header, then the payload. A client says nothing: it gets every
// frame broadcast after it was accepted, from a frame boundary on.
//
// C11 and C++. Threads: one thread at a time uses a server, and one a client; different handles are
// independent. No call starts a thread; SIGPIPE does not reach the program.
//
// The environment variable OMBUS_BACKEND says which kernel interface is used: epoll (the default)
// or uring, with which a server belongs to the thread of its first poll_io and a client to the one
// that connected it.
#ifndef OMBUS_OM_BUS_TCP_H_
#define OMBUS_OM_BUS_TCP_H_

#include <stdint.h>

#include "ombus/om_bus.h"
#include "ombus/om_bus_error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OM_BUS_TCP_FRAME_MAGIC 0x4F4D5446u
#define OM_BUS_TCP_FRAME_HEADER_SIZE 16
#define OM_BUS_TCP_WAL_TYPE_SLOW_WARNING 0xFE  // payload: two uint32, bytes pending and the limit

typedef struct __attribute__((packed)) OmBusTcpFrameHeader {
  uint32_t magic;
  uint8_t wal_type;
  uint8_t flags;  // 0
  uint16_t payload_len;
  uint64_t wal_seq;
} OmBusTcpFrameHeader;

// --- Server --------------------------------------------------------------------------------------

typedef struct OmBusTcpServer OmBusTcpServer;

typedef struct OmBusTcpServerConfig {
  const char* bind_addr;   // IPv4 text; NULL: all IPv4
  uint16_t port;           // 0: any free one, see om_bus_tcp_server_port
  uint32_t max_clients;    // 0: 64
  uint32_t send_buf_size;  // bytes a client may lag; 0: 262144. One log for all clients: the next
                           // power of two over this and 128 KiB more, taken at once
} OmBusTcpServerConfig;

typedef struct OmBusTcpServerStats {
  uint64_t records_broadcast;
  uint64_t bytes_broadcast;  // payload only
  uint64_t clients_accepted;
  uint64_t clients_disconnected;  // by them or by us
  uint64_t slow_client_drops;
} OmBusTcpServerStats;

// OM_ERR_BUS_TCP_BIND; OM_ERR_BUS_TCP_IO when there is no back end or no memory for
// send_buf_size. *out is NULL after an error.
OMBUS_API int om_bus_tcp_server_create(OmBusTcpServer** out, const OmBusTcpServerConfig* config);

// Takes one record for all clients connected. No I/O: om_bus_tcp_server_poll_io does all of it. A
// client that would lag more than send_buf_size is cut now: it still gets what was pending, a
// slow-client warning where that fits too, and the end of its stream.
OMBUS_API int om_bus_tcp_server_broadcast(OmBusTcpServer* server, uint64_t wal_seq,
                                          uint8_t wal_type, const void* payload, uint16_t len);
OMBUS_API int om_bus_tcp_server_broadcast_batch(OmBusTcpServer* server, const OmBusRecord* records,
                                                uint32_t count);

// Accepts, sends and notices who has gone; never blocks. 0, or OM_ERR_BUS_TCP_IO.
OMBUS_API int om_bus_tcp_server_poll_io(OmBusTcpServer* server);

OMBUS_API uint32_t om_bus_tcp_server_client_count(const OmBusTcpServer* server);
OMBUS_API uint16_t om_bus_tcp_server_port(const OmBusTcpServer* server);
OMBUS_API void om_bus_tcp_server_stats(const OmBusTcpServer* server, OmBusTcpServerStats* stats);

// Closes every client once it has what was broadcast, for at most a tenth of a second. NULL is
// fine.
OMBUS_API void om_bus_tcp_server_destroy(OmBusTcpServer* server);

// --- Client --------------------------------------------------------------------------------------

typedef struct OmBusTcpClient OmBusTcpClient;

typedef struct OmBusTcpClientConfig {
  const char* host;  // IPv4 text
  uint16_t port;
  uint32_t recv_buf_size;  // 0: 262144; at most 1 GiB
  uint32_t flags;          // OM_BUS_FLAG_REJECT_REORDER; OM_BUS_FLAG_CRC has no effect
} OmBusTcpClientConfig;

// Connects, within five seconds. OM_ERR_BUS_TCP_CONNECT; OM_ERR_BUS_INIT for a config that makes no
// sense; OM_ERR_BUS_TCP_IO. *out is NULL after an error.
OMBUS_API int om_bus_tcp_client_connect(OmBusTcpClient** out, const OmBusTcpClientConfig* config);

// 1: a record. 0: no whole frame yet; never blocks. OM_ERR_BUS_GAP_DETECTED,
// OM_ERR_BUS_REORDER_DETECTED: a record all the same. OM_ERR_BUS_TCP_SLOW_WARNING: no record, the
// server warns. OM_ERR_BUS_TCP_DISCONNECTED: the connection is gone and every whole frame was
// delivered; final. OM_ERR_BUS_TCP_PROTOCOL: the server sent what is no frame; final.
// The payload lives until the next poll.
OMBUS_API int om_bus_tcp_client_poll(OmBusTcpClient* client, OmBusRecord* record);

OMBUS_API uint64_t om_bus_tcp_client_wal_seq(const OmBusTcpClient* client);  // last one received
OMBUS_API void om_bus_tcp_client_close(OmBusTcpClient* client);              // NULL is fine

// --- Client that reconnects ----------------------------------------------------------------------

typedef struct OmBusTcpAutoClient OmBusTcpAutoClient;

typedef struct OmBusTcpAutoClientConfig {
  OmBusTcpClientConfig base;
  uint32_t max_retries;    // failed attempts in a row before it gives up; 0: never. A connection
                           // that ends at once is one, too, but for the first
  uint32_t retry_base_ms;  // doubles with each failed attempt; 0: 100
  uint32_t retry_max_ms;   // 0: 5000
} OmBusTcpAutoClientConfig;

// A server that is not there yet is no error: the attempts go on inside poll.
OMBUS_API int om_bus_tcp_auto_client_create(OmBusTcpAutoClient** out,
                                            const OmBusTcpAutoClientConfig* config);

// As om_bus_tcp_client_poll, but 0 while it reconnects. Sequences that were sent meanwhile are
// reported: OM_ERR_BUS_GAP_DETECTED with the first record after them.
// OM_ERR_BUS_TCP_DISCONNECTED: max_retries attempts have failed; final.
OMBUS_API int om_bus_tcp_auto_client_poll(OmBusTcpAutoClient* client, OmBusRecord* record);

OMBUS_API uint64_t om_bus_tcp_auto_client_wal_seq(const OmBusTcpAutoClient* client);
OMBUS_API void om_bus_tcp_auto_client_close(OmBusTcpAutoClient* client);  // NULL is fine

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OM_BUS_TCP_H_

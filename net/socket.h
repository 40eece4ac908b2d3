// Descriptors, addresses and sockets: what the back ends, the server and the client need of the
// system before the first byte flows. Nothing here is on a hot path.
//
// Threads: free functions without state; ResolveHost blocks (getaddrinfo).
#ifndef OMBUS_NET_SOCKET_H_
#define OMBUS_NET_SOCKET_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ombus/status.h"
#include "ring/base/unique_fd.h"  // IWYU pragma: export

namespace ombus::net {

using ombus::UniqueFd;

// A Status of the form `call "object": ERRNO; remedy`, its code derived from the error.
Status SystemStatus(const std::string& call, const std::string& object, int error,
                    const std::string& remedy);

// What to do about an errno of connect.
std::string RemedyForConnect(int error);

// How many bytes of the storage the address in it takes.
socklen_t AddressBytes(const sockaddr_storage& address);

// IPv4 or IPv6 text and a port, as an address. No look-up.
Result<sockaddr_storage> ParseAddress(const std::string& text, uint16_t port);

// All addresses of a name or of numeric text, in the resolver's order. Blocks.
Result<std::vector<sockaddr_storage>> ResolveHost(const std::string& host, uint16_t port);

// "127.0.0.1:7001", "[::1]:7001".
std::string FormatAddress(const sockaddr_storage& address);
std::string PeerName(int fd);  // the address at the other end, or "unknown peer"
uint16_t LocalPort(int fd);    // 0 when there is none

// A listening socket, non-blocking and close-on-exec, with SO_REUSEADDR.
Result<UniqueFd> Listen(const std::string& address, uint16_t port, int backlog);

// A TCP socket of the address's family, non-blocking and close-on-exec, not connected.
Result<UniqueFd> NewTcpSocket(const sockaddr_storage& address);

// Notices a peer that is gone without a word: probes an idle connection after 10 s and
// gives it up 15 s later. Failing is harmless and not reported.
void SetKeepAlive(int fd);

// Gives a connection up (ETIMEDOUT) whose peer has acknowledged nothing, or taken nothing into a
// full window, for so long although there is something for it: TCP_USER_TIMEOUT. 0: the kernel's
// own patience, about a quarter of an hour. Failing is harmless and not reported.
void SetUserTimeout(int fd, uint32_t timeout_ms);

// Whether the peer's kernel has acknowledged all that was sent, the end of the stream included.
// True where that cannot be found out.
bool AllAcknowledged(int fd);

// Ends a TCP connection at once: the peer is reset, and what it has not acknowledged is let go of.
// The descriptor stays open.
void ResetConnection(int fd);

// Sets O_NONBLOCK and FD_CLOEXEC.
Status MakeNonBlocking(int fd);

// Sends small frames at once. Failing is harmless and not reported.
void SetNoDelay(int fd);

}  // namespace ombus::net

#endif  // OMBUS_NET_SOCKET_H_

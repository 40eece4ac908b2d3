// What servers and clients may at most be asked for, checked at each API and so written once.
#ifndef OMBUS_NET_LIMITS_H_
#define OMBUS_NET_LIMITS_H_

#include <cstdint>

namespace ombus::net {

inline constexpr uint32_t kClientsMax = 1u << 20;             // ServerOptions::max_clients
inline constexpr int kListenQueueMax = 1024;                  // not yet accepted
inline constexpr uint32_t kReceiveBufferBytesMax = 1u << 30;  // ClientOptions::receive_buffer_bytes

}  // namespace ombus::net

#endif  // OMBUS_NET_LIMITS_H_

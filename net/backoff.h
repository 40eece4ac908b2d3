// Backoff: how long a client waits before its next attempt to connect. Pure; any thread.
#ifndef OMBUS_NET_BACKOFF_H_
#define OMBUS_NET_BACKOFF_H_

#include <cstdint>

namespace ombus::net {

// Before attempt `failures` + 1: base doubled `failures` times, at most max, of which the upper
// half is random, so that a thousand clients of one server do not all come back in the same
// instant.
uint64_t BackoffMs(uint32_t failures, uint64_t base_ms, uint64_t max_ms, uint64_t random);

}  // namespace ombus::net

#endif  // OMBUS_NET_BACKOFF_H_

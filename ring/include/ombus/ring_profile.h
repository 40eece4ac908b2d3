// RingProfile: what a producer or a consumer is tuned for. Each side chooses for itself; nothing of
// it is in the ring.
#ifndef OMBUS_RING_PROFILE_H_
#define OMBUS_RING_PROFILE_H_

#include <cstdint>

namespace ombus {

enum class RingProfile : uint8_t {
  kThroughput,  // least time per record in a stream of records
  kLatency,     // least time from publish to poll, for each record
};

}  // namespace ombus

#endif  // OMBUS_RING_PROFILE_H_

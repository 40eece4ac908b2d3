// The libombus C API: the loop that polls an endpoint and broadcasts what it finds, in a thread of
// the caller's.
//
// C11 and C++. Threads: om_bus_relay_run owns endpoint and server until it returns; any thread may
// clear *running. The statistics are written by the loop: look at them after it has returned, or
// take what is read meanwhile for a glimpse.
#ifndef OMBUS_OM_BUS_RELAY_H_
#define OMBUS_OM_BUS_RELAY_H_

#include <stdbool.h>
#include <stdint.h>

#include "ombus/om_bus.h"
#include "ombus/om_bus_tcp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OM_BUS_RELAY_LOOP_NS_BUCKETS 32
#define OM_BUS_RELAY_BATCH_BUCKETS 17

// Bucket 0 of a histogram counts zeros, bucket k values from 2^(k-1) up to 2^k - 1, the last one
// all above too.
typedef struct OmBusRelayStats {
  uint64_t loops;  // non_empty_loops + idle_loops
  uint64_t non_empty_loops;
  uint64_t records_relayed;
  uint64_t idle_loops;
  uint64_t loop_ns_total;  // time in the loop's work, without its idle waits
  uint64_t loop_ns_max;
  uint64_t loop_ns_hist[OM_BUS_RELAY_LOOP_NS_BUCKETS];
  uint64_t batch_hist[OM_BUS_RELAY_BATCH_BUCKETS];  // records a loop
} OmBusRelayStats;

typedef struct OmBusRelayConfig {
  OmBusEndpoint* ep;
  OmBusTcpServer* srv;
  volatile bool* running;
  uint32_t poll_us;        // waits so long when there is nothing to relay; 0: does not wait
  OmBusRelayStats* stats;  // added to; may be NULL
} OmBusRelayConfig;

// Runs until *running is false (0), or until a poll fails (its code: EPOCH_CHANGED, CRC_MISMATCH,
// CONSUMER_STALE; what was polled before is broadcast) or the server does. Endpoint and server stay
// the caller's, who may run it again. What is still in the ring when it returns can still be
// polled. OM_ERR_BUS_INIT when ep, srv or running is missing.
OMBUS_API int om_bus_relay_run(const OmBusRelayConfig* config);

OMBUS_API void om_bus_relay_stats_reset(OmBusRelayStats* stats);

// A loop time, in ns, that percentile % of the loops did not exceed: the upper end of its bucket of
// loop_ns_hist, but never above loop_ns_max. 0 without any loop. Over 100 counts as 100.
OMBUS_API uint64_t om_bus_relay_stats_loop_ns_percentile(const OmBusRelayStats* stats,
                                                         uint32_t percentile);

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OM_BUS_RELAY_H_

// What belongs to several egress threads together: their statistics in one, and a catch-up source
// that is read by one of them at a time.
//
// Threads: no state, but for the source's lock.
#ifndef OMBUS_ENGINE_EGRESS_STATS_H_
#define OMBUS_ENGINE_EGRESS_STATS_H_

#include <memory>
#include <vector>

#include "ombus/catch_up.h"
#include "ombus/relay.h"

namespace ombus::engine {

// Counters summed, but for what was broadcast, which each of them takes over whole.
ServerStats SumOf(const std::vector<EgressStats>& all, uint64_t records_broadcast,
                  uint64_t bytes_broadcast);

// The same source behind a lock.
std::shared_ptr<CatchUpSource> OneAtATime(std::shared_ptr<CatchUpSource> source);

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_EGRESS_STATS_H_

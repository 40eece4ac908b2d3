// Two processes for one slice: the parent writes, a child reads, each pinned to its cpu. Before and
// after, a ping-pong tells whether the two have a core each.
#ifndef OMBUS_TOOLS_RING_LIMITS_PAIR_RUN_H_
#define OMBUS_TOOLS_RING_LIMITS_PAIR_RUN_H_

#include <cstdint>
#include <functional>

#include "ombus/status.h"
#include "tools/bench.h"
#include "tools/ring_limits.h"

namespace ombus::tools {

struct PairParts {
  std::function<Status()> open;   // in the child, before the start
  std::function<Status()> read;   // in the child: all records
  std::function<Status()> write;  // in the parent: all records
};

struct PairTime {
  uint64_t ns = 0;  // from the first record written to the last one read
  RoundTrip round_trip;
};

Result<PairTime> RunPair(const BenchOptions& options, const PairParts& parts);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_RING_LIMITS_PAIR_RUN_H_

// What producers and consumers of the C API have in common: the profile, and what came of the
// memory that they asked for. Threads: no state.
#ifndef OMBUS_ENGINE_C_RING_OPTIONS_H_
#define OMBUS_ENGINE_C_RING_OPTIONS_H_

#include "engine/c_struct.h"
#include "ombus/ombus_base.h"
#include "ombus/ring_memory.h"
#include "ombus/ring_profile.h"

namespace ombus::engine {

static_assert(static_cast<int>(OMBUS_PROFILE_THROUGHPUT) ==
              static_cast<int>(RingProfile::kThroughput));
static_assert(static_cast<int>(OMBUS_PROFILE_LATENCY) == static_cast<int>(RingProfile::kLatency));

inline Status CheckProfile(const char* call, uint32_t profile) {
  return CheckChoice(call, "profile", profile, OMBUS_PROFILE_LATENCY,
                     "choose an OMBUS_PROFILE_… value");
}

inline ombus_status FillMemoryReport(const MemoryReport& from, ombus_memory_report* to) {
  constexpr uint64_t kFirstBytes = offsetof(ombus_memory_report, warnings) + sizeof(uint32_t);
  return FillStruct(to, kFirstBytes,
                    ombus_memory_report{.size = 0,
                                        .mapped_bytes = from.mapped_bytes,
                                        .huge_bytes = from.huge_bytes,
                                        .locked_bytes = from.locked_bytes,
                                        .numa_node = from.numa_node,
                                        .warnings = static_cast<uint32_t>(from.warnings.size())});
}

inline const char* MemoryWarning(const MemoryReport& report, uint32_t index) {
  return index < report.warnings.size() ? report.warnings[index].c_str() : nullptr;
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_RING_OPTIONS_H_

#include "engine/burst_policy.h"

#include <string>

namespace ombus::engine {

Status BurstPolicy::Check(uint32_t min, uint32_t max) {
  if (min >= 1 && min <= max && max <= kBurstLimit) return Status();
  return Status(
      StatusCode::kInvalidArgument,
      "relay burst \"" + std::to_string(min) + "…" + std::to_string(max) +
          "\": EINVAL; choose 1 <= burst_min <= burst_max <= " + std::to_string(kBurstLimit));
}

}  // namespace ombus::engine

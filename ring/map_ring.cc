#include "ring/map_ring.h"

#include <string>

namespace ombus {

Result<Geometry> MapRing(ShmObject& object) {
  const std::string prefix = "attach \"" + object.name() + "\": ";
  if (object.file_bytes() == 0) {
    return Status(StatusCode::kUnavailable, prefix + "being created; try again in a moment");
  }
  if (object.file_bytes() < kHeaderPageBytes) {
    return Status(StatusCode::kCorrupt,
                  prefix + "truncated to " + std::to_string(object.file_bytes()) +
                      " bytes; let its producer create it again, or remove " + object.path());
  }
  if (Status status = object.Map(kHeaderPageBytes); !status.ok()) return status;
  const Result<Geometry> geometry =
      ReadGeometry(*object.header(), object.file_bytes(), object.name());
  if (!geometry.ok()) return geometry.status();
  if (Status status = object.Map(geometry->total_bytes()); !status.ok()) return status;
  return *geometry;
}

}  // namespace ombus

#include "ring/map_ring.h"

#include <unistd.h>

#include <string>

namespace ombus {

Result<Geometry> MapRing(ShmObject& object) {
  const std::string prefix = "attach \"" + object.name() + "\": ";
  // Not yet through a mapping: touching what has no memory behind it takes some, and where there is
  // none left, that is SIGBUS.
  uint32_t magic = 0;
  (void)!pread(object.fd(), &magic, sizeof magic, 0);
  if (object.file_bytes() == 0 || (magic == 0 && object.BeingCreated())) {
    return Status(StatusCode::kUnavailable,
                  prefix +
                      "being created, or who did that was killed; try again in a moment, "
                      "or start its producer");
  }
  // Its creator may have given it its size since it was opened.
  if (Status status = object.ReadSize(); !status.ok()) return status;
  if (object.file_bytes() < kHeaderPageBytes) {
    return Status(StatusCode::kCorrupt,
                  prefix + "truncated to " + std::to_string(object.file_bytes()) +
                      " bytes; let its producer create it again, or remove " + object.path());
  }
  if (magic == 0) return NoRing(object.name(), "wrong magic");
  if (Status status = object.Map(kHeaderPageBytes); !status.ok()) return status;
  const Result<Geometry> geometry =
      ReadGeometry(*object.header(), object.file_bytes(), object.name());
  if (!geometry.ok()) return geometry.status();
  if (!object.IsReserved(geometry->total_bytes())) return NoRing(object.name(), "has holes");
  if (Status status = object.Map(geometry->total_bytes()); !status.ok()) return status;
  return *geometry;
}

}  // namespace ombus

#include "ring/map_ring.h"

#include <unistd.h>

#include <string>

namespace ombus {

namespace {

bool BeingCreated(const ShmObject& object) {
  if (object.file_bytes() == 0) return true;
  uint32_t words[2];
  return pread(object.fd(), words, sizeof words, 0) == sizeof words && HalfCreated(object, words);
}

}  // namespace

// A hugetlbfs takes no writes, so that nothing stands there before the magic.
bool HalfCreated(const ShmObject& object, const uint32_t (&words)[2]) {
  return words[0] == 0 && (words[1] == kRingVersion || object.OnHugePages());
}

Result<Geometry> MapRing(ShmObject& object) {
  const std::string prefix = "attach \"" + object.name() + "\": ";
  if (BeingCreated(object)) {
    return Status(StatusCode::kUnavailable, prefix + "being created; try again in a moment");
  }
  // Its creator may have given it its size since it was opened.
  if (Status status = object.ReadSize(); !status.ok()) return status;
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

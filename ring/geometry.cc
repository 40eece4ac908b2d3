#include "ring/geometry.h"

#include <bit>

namespace ombus {
namespace {

Status Invalid(std::string message) {
  return Status(StatusCode::kInvalidArgument, std::move(message));
}

}  // namespace

Status NoRing(const std::string& name, const std::string& what) {
  return Status(StatusCode::kCorrupt, "attach \"" + name + "\": " + what +
                                          "; it is no ombus stream or it is damaged: let its "
                                          "producer create it again, or remove its file");
}

namespace {

// One access, whatever the compiler would make of a plain one: the header is shared with strangers,
// and what was checked must be what is used.
template <typename T>
T ReadOnce(const T& field) {
  return __atomic_load_n(&field, __ATOMIC_RELAXED);
}
template <typename T>
void WriteOnce(T& field, T value) {
  __atomic_store_n(&field, value, __ATOMIC_RELAXED);
}

}  // namespace

Status CheckGeometry(const Geometry& geometry) {
  if (!std::has_single_bit(geometry.capacity) || geometry.capacity < kCapacityMin ||
      geometry.capacity > kCapacityMax) {
    return Invalid("capacity " + std::to_string(geometry.capacity) +
                   ": must be a power of two from 1 to 2^30");
  }
  if (geometry.slot_size < kSlotBytesMin || geometry.slot_size > kSlotBytesMax ||
      geometry.slot_size % 8 != 0) {
    return Invalid("slot_size " + std::to_string(geometry.slot_size) +
                   ": must be a multiple of 8 from 24 to " + std::to_string(kSlotBytesMax));
  }
  if (geometry.max_consumers < 1 || geometry.max_consumers > kMaxConsumersMax) {
    return Invalid("max_consumers " + std::to_string(geometry.max_consumers) +
                   ": must be from 1 to 1024");
  }
  if ((geometry.flags & ~kRingFlagsKnown) != 0) {
    return Invalid("flags " + std::to_string(geometry.flags) + ": unknown bits are set");
  }
  return Status();
}

Status CheckRingName(const std::string& name) {
  const std::string call = "stream name \"" + name.substr(0, kRingNameBytesMax) + "\": ";
  if (name.empty() || name[0] != '/') {
    return Invalid(call + "must begin with a slash, as in \"/orders\"");
  }
  if (name.size() == 1) return Invalid(call + "needs at least one byte after the slash");
  if (name.size() > kRingNameBytesMax) {
    return Invalid(call + "is " + std::to_string(name.size()) + " bytes long; at most 255");
  }
  if (name.find('\0') != std::string::npos) return Invalid(call + "contains a zero byte");
  if (name.ends_with('/') || name.ends_with("/.") || name.ends_with("/..")) {
    return Invalid(call + "is a directory");
  }
  // One spelling for a path, so that no two names lead to the same stream.
  for (const char* part : {"//", "/./", "/../"}) {
    if (name.find(part) != std::string::npos) {
      return Invalid(call + "contains \"" + part + "\"; write the path without it");
    }
  }
  return Status();
}

bool RingNameIsPath(const std::string& name) { return name.find('/', 1) != std::string::npos; }

void WriteGeometry(const Geometry& geometry, RingHeader& header) {
  WriteOnce(header.version, kRingVersion);
  WriteOnce(header.slot_size, geometry.slot_size);
  WriteOnce(header.capacity, geometry.capacity);
  WriteOnce(header.max_consumers, geometry.max_consumers);
  WriteOnce(header.flags, geometry.flags);
  WriteOnce(header.consumers_offset, geometry.consumers_offset());
  WriteOnce(header.slots_offset, geometry.slots_offset());
  WriteOnce(header.total_bytes, geometry.total_bytes());
}

Result<Geometry> ReadGeometry(const RingHeader& header, uint64_t file_bytes,
                              const std::string& name) {
  const uint32_t magic = header.magic.load(std::memory_order_acquire);  // pairs with [create]
  if (magic != kRingMagic) return NoRing(name, "wrong magic");
  const uint32_t version = ReadOnce(header.version);
  if (version != kRingVersion) {
    return Status(StatusCode::kVersionMismatch,
                  "attach \"" + name + "\": memory format version " + std::to_string(version) +
                      ", this program speaks version " + std::to_string(kRingVersion) +
                      "; run the same release of ombus on both sides");
  }
  const Geometry geometry = {.capacity = ReadOnce(header.capacity),
                             .slot_size = ReadOnce(header.slot_size),
                             .max_consumers = ReadOnce(header.max_consumers),
                             .flags = ReadOnce(header.flags)};
  if (Status status = CheckGeometry(geometry); !status.ok()) {
    return NoRing(name, status.message());
  }
  if (ReadOnce(header.consumers_offset) != geometry.consumers_offset() ||
      ReadOnce(header.slots_offset) != geometry.slots_offset() ||
      ReadOnce(header.total_bytes) != geometry.total_bytes()) {
    return NoRing(name, "offsets and sizes contradict each other");
  }
  if (file_bytes < geometry.total_bytes()) {
    return NoRing(name, "truncated to " + std::to_string(file_bytes) + " of " +
                            std::to_string(geometry.total_bytes()) + " bytes");
  }
  return geometry;
}

}  // namespace ombus

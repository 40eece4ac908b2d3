#include "ombus/ombus_cursor.h"

#include "engine/c_struct.h"
#include "ombus/cursor_file.h"

namespace ombus::engine {
namespace {

Status Save(const char* call, const char* path, uint64_t wal_seq) {
  if (path == nullptr) return InvalidArgument(call, "path", "NULL; name a file");
  return SaveCursorFile(path, wal_seq);
}

Status Load(const char* call, const char* path, uint64_t* wal_seq) {
  if (path == nullptr || wal_seq == nullptr) {
    return InvalidArgument(call, path == nullptr ? "path" : "wal_seq", "NULL");
  }
  const Result<uint64_t> loaded = LoadCursorFile(path);
  if (loaded.ok()) *wal_seq = *loaded;
  return loaded.status();
}

}  // namespace
}  // namespace ombus::engine

extern "C" {

ombus_status ombus_cursor_save(const char* path, uint64_t wal_seq, ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_cursor_save";
  return ombus::engine::ReportGuarded(kCall, error,
                                      [&] { return ombus::engine::Save(kCall, path, wal_seq); });
}

ombus_status ombus_cursor_load(const char* path, uint64_t* wal_seq, ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_cursor_load";
  return ombus::engine::ReportGuarded(kCall, error,
                                      [&] { return ombus::engine::Load(kCall, path, wal_seq); });
}

}  // extern "C"

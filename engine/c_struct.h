// How the C API carries errors, and structs that grow, across the border.
//
// Options and statistics start with their size as the caller knows it. From a smaller one (an older
// program) what it lacks is left at its default; of a larger one (a newer program) the rest must be
// 0, since this library would not do what it asks for. Threads: no state.
#ifndef OMBUS_ENGINE_C_STRUCT_H_
#define OMBUS_ENGINE_C_STRUCT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "engine/memory_guard.h"
#include "ombus/ombus_base.h"
#include "ombus/status.h"

namespace ombus::engine {

// A size beyond this is a struct that was not initialised.
inline constexpr uint64_t kCStructBytesMax = 4096;

// Copies status into *error, if there is one, and returns its code.
ombus_status Report(const Status& status, ombus_error* error) noexcept;
ombus_status ReportOutOfMemory(const char* call, ombus_error* error) noexcept;

// `call object: EINVAL; remedy`.
Status InvalidArgument(const char* call, const std::string& object, const char* remedy);

// Ok if value is at most max, the last of the values that the remedy names.
Status CheckChoice(const char* call, const char* option, uint32_t value, uint32_t max,
                   const char* remedy);
Status CheckBackend(const char* call, uint32_t backend);
Status CheckPort(const char* call, uint32_t port);

// Ok if a struct of the size given at `from`, of which this library knows `known` bytes and the
// first version had `first`, can be read.
Status CheckOptionsSize(const char* call, const void* from, uint64_t first, uint64_t known);

// Reads the caller's options over the defaults in *to.
template <typename T>
Status ReadOptions(const char* call, const T* from, uint64_t first, T* to) {
  static_assert(std::has_unique_object_representations_v<T>, "padding could not be checked");
  if (Status status = CheckOptionsSize(call, from, first, sizeof(T)); !status.ok()) return status;
  std::memcpy(to, from, std::min<uint64_t>(from->size, sizeof(T)));
  return Status();
}

// Gives the caller's struct of `size` bytes its defaults; what this library does not know is 0. Of
// a size that cannot be, nothing but that is written, if there is room for it: CheckOptionsSize
// then refuses it, also for who does not look at the result.
template <typename T>
ombus_status InitOptions(T* options, size_t size, uint64_t first, const T& defaults) {
  if (options == nullptr || size < sizeof(options->size)) return OMBUS_INVALID_ARGUMENT;
  const bool credible = size >= first && size <= kCStructBytesMax;
  if (credible) {
    std::memset(static_cast<void*>(options), 0, size);
    std::memcpy(static_cast<void*>(options), &defaults, std::min(size, sizeof(T)));
  }
  options->size = size;
  return credible ? OMBUS_OK : OMBUS_INVALID_ARGUMENT;
}

// Fills the caller's statistics, whose size it has set; what this library does not know is 0.
template <typename T>
ombus_status FillStruct(T* to, uint64_t first, T from) {
  static_assert(std::has_unique_object_representations_v<T>, "padding would carry garbage");
  if (to == nullptr || to->size < first || to->size > kCStructBytesMax) {
    return OMBUS_INVALID_ARGUMENT;
  }
  const uint64_t size = to->size;
  from.size = size;
  std::memset(static_cast<void*>(to), 0, size);
  std::memcpy(static_cast<void*>(to), &from, std::min<uint64_t>(size, sizeof(T)));
  return OMBUS_OK;
}

// Runs make(), which returns a Result of a pointer-like value; null, and *error set, if it failed.
template <typename Handle, typename F>
Handle* MakeHandle(const char* call, ombus_error* error, F&& make) {
  Handle* handle = nullptr;
  const bool enough = RunGuarded([&] {
    Result<Handle*> made = make();
    Report(made.status(), error);
    if (made.ok()) handle = *made;
  });
  if (!enough) ReportOutOfMemory(call, error);
  return handle;
}

// Runs work(), which returns a Status, and reports that.
template <typename F>
ombus_status ReportGuarded(const char* call, ombus_error* error, F&& work) {
  ombus_status code = OMBUS_OK;
  const bool enough = RunGuarded([&] { code = Report(work(), error); });
  return enough ? code : ReportOutOfMemory(call, error);
}

// The same for an object that does nothing any more once memory ran out in it.
template <typename F>
ombus_status ReportGuarded(const char* call, ombus_error* error, MemoryFailStop& guard, F&& work) {
  ombus_status code = OMBUS_OK;
  const bool enough = guard.Run([&] { code = Report(work(), error); });
  return enough ? code : ReportOutOfMemory(call, error);
}

// A handle that is NULL.
inline ombus_status ReportNull(const char* call, const char* object, ombus_error* error) {
  return ReportGuarded(call, error, [&] { return InvalidArgument(call, object, "NULL"); });
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_STRUCT_H_

#include "engine/c_struct.h"

#include "ombus/backend_choice.h"

namespace ombus::engine {
namespace {

template <typename T>
constexpr bool Same(ombus_status c, T cpp) {
  return static_cast<int>(c) == static_cast<int>(cpp);
}
static_assert(Same(OMBUS_OK, StatusCode::kOk));
static_assert(Same(OMBUS_INVALID_ARGUMENT, StatusCode::kInvalidArgument));
static_assert(Same(OMBUS_NOT_FOUND, StatusCode::kNotFound));
static_assert(Same(OMBUS_ALREADY_EXISTS, StatusCode::kAlreadyExists));
static_assert(Same(OMBUS_PERMISSION_DENIED, StatusCode::kPermissionDenied));
static_assert(Same(OMBUS_RESOURCE_EXHAUSTED, StatusCode::kResourceExhausted));
static_assert(Same(OMBUS_UNAVAILABLE, StatusCode::kUnavailable));
static_assert(Same(OMBUS_CORRUPT, StatusCode::kCorrupt));
static_assert(Same(OMBUS_VERSION_MISMATCH, StatusCode::kVersionMismatch));
static_assert(Same(OMBUS_UNSUPPORTED, StatusCode::kUnsupported));
static_assert(static_cast<int>(OMBUS_BACKEND_AUTO) == static_cast<int>(BackendChoice::kAuto));
static_assert(static_cast<int>(OMBUS_BACKEND_URING) == static_cast<int>(BackendChoice::kUring));
static_assert(static_cast<int>(OMBUS_BACKEND_EPOLL) == static_cast<int>(BackendChoice::kEpoll));
static_assert(Same(OMBUS_INTERNAL, StatusCode::kInternal));

void Write(ombus_status code, const char* message, size_t size, ombus_error* error) {
  if (error == nullptr) return;
  const size_t kept = std::min(size, sizeof(error->message) - 1);
  error->code = code;
  std::memcpy(error->message, message, kept);
  error->message[kept] = '\0';
}

bool AllZero(const unsigned char* bytes, uint64_t size) {
  return std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; });
}

}  // namespace

ombus_status Report(const Status& status, ombus_error* error) noexcept {
  const auto code = static_cast<ombus_status>(status.code());
  Write(code, status.message().data(), status.message().size(), error);
  return code;
}

ombus_status ReportOutOfMemory(const char* call, ombus_error* error) noexcept {
  Write(OMBUS_RESOURCE_EXHAUSTED, call, std::strlen(call), error);
  if (error != nullptr) {
    constexpr char kRest[] = ": ENOMEM; lower the sizes asked for, or raise the limit (ulimit -v)";
    const size_t used = std::strlen(error->message);
    if (used + sizeof(kRest) <= sizeof(error->message)) {
      std::memcpy(error->message + used, kRest, sizeof(kRest));
    }
  }
  return OMBUS_RESOURCE_EXHAUSTED;
}

Status InvalidArgument(const char* call, const std::string& object, const char* remedy) {
  return Status(StatusCode::kInvalidArgument,
                std::string(call) + " " + object + ": EINVAL; " + remedy);
}

Status CheckChoice(const char* call, const char* option, uint32_t value, uint32_t max,
                   const char* remedy) {
  if (value <= max) return Status();
  return InvalidArgument(call, std::string(option) + " " + std::to_string(value), remedy);
}

Status CheckBackend(const char* call, uint32_t backend) {
  return CheckChoice(call, "backend", backend, OMBUS_BACKEND_EPOLL,
                     "choose an OMBUS_BACKEND_… value");
}

Status CheckPort(const char* call, uint32_t port) {
  return CheckChoice(call, "port", port, 65535, "a port is at most 65535");
}

Status CheckOptionsSize(const char* call, const void* from, uint64_t first, uint64_t known) {
  if (from == nullptr) {
    return InvalidArgument(call, "options", "NULL; pass options filled in by their init function");
  }
  uint64_t size;
  std::memcpy(&size, from, sizeof(size));
  if (size < first || size > kCStructBytesMax) {
    return InvalidArgument(call, "options.size " + std::to_string(size),
                           "let the options' init function set it, with sizeof options");
  }
  if (size > known && !AllZero(static_cast<const unsigned char*>(from) + known, size - known)) {
    return InvalidArgument(call, "options.size " + std::to_string(size),
                           "an option is set that this library is too old to know; install a newer "
                           "one or leave that option at 0");
  }
  return Status();
}

}  // namespace ombus::engine

extern "C" {

const char* ombus_version(void) noexcept { return OMBUS_VERSION_TEXT; }

const char* ombus_status_name(ombus_status status) noexcept {
  switch (status) {
    case OMBUS_OK:
      return "ok";
    case OMBUS_INVALID_ARGUMENT:
      return "invalid argument";
    case OMBUS_NOT_FOUND:
      return "not found";
    case OMBUS_ALREADY_EXISTS:
      return "already exists";
    case OMBUS_PERMISSION_DENIED:
      return "permission denied";
    case OMBUS_RESOURCE_EXHAUSTED:
      return "resource exhausted";
    case OMBUS_UNAVAILABLE:
      return "unavailable";
    case OMBUS_CORRUPT:
      return "corrupt";
    case OMBUS_VERSION_MISMATCH:
      return "version mismatch";
    case OMBUS_UNSUPPORTED:
      return "unsupported";
    case OMBUS_INTERNAL:
      return "internal error";
  }
  return "unknown status";
}

}  // extern "C"

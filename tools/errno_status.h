// ErrnoStatus: a system call's failure in the one form all messages have.
#ifndef OMBUS_TOOLS_ERRNO_STATUS_H_
#define OMBUS_TOOLS_ERRNO_STATUS_H_

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "ombus/status.h"

namespace ombus::tools {

// `call "object": ERRNO_NAME; remedy`.
inline Status ErrnoStatus(std::string_view call, std::string_view object, int error,
                          std::string_view remedy) {
  const char* name = strerrorname_np(error);
  StatusCode code = StatusCode::kInternal;
  if (error == ENOENT) code = StatusCode::kNotFound;
  if (error == EACCES || error == EPERM) code = StatusCode::kPermissionDenied;
  return {code, std::string(call) + " \"" + std::string(object) +
                    "\": " + (name != nullptr ? name : std::to_string(error).c_str()) + "; " +
                    std::string(remedy)};
}

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_ERRNO_STATUS_H_

// ErrnoStatus: a system call's failure in the one form all messages have.
#ifndef OMBUS_TOOLS_ERRNO_STATUS_H_
#define OMBUS_TOOLS_ERRNO_STATUS_H_

#include <string_view>

#include "ombus/status.h"
#include "ring/system_error.h"

namespace ombus::tools {

// `call "object": ERRNO_NAME; remedy`.
inline Status ErrnoStatus(std::string_view call, std::string_view object, int error,
                          std::string_view remedy) {
  return SystemError(call, object, error, remedy);
}

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_ERRNO_STATUS_H_

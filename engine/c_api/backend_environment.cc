#include "engine/c_api/backend_environment.h"

#include <cstdlib>
#include <string>
#include <string_view>

namespace ombus::engine {

Result<BackendChoice> BackendFromEnvironment() {
  const char* value = std::getenv("OMBUS_BACKEND");
  const std::string_view word = value == nullptr ? "" : value;
  if (word.empty() || word == "auto" || word == "epoll") return BackendChoice::kEpoll;
  if (word == "uring") return BackendChoice::kUring;
  return Status(StatusCode::kInvalidArgument,
                "OMBUS_BACKEND \"" + std::string(word) + "\": EINVAL; auto, uring or epoll");
}

}  // namespace ombus::engine

#include "tools/command.h"

#include <cerrno>
#include <cstdio>

#include "tools/errno_status.h"
#include "tools/output.h"

namespace ombus::tools {

bool ParseOrExplain(const CommandText& text, const FlagTable& flags, Arguments args,
                    int* exit_code) {
  for (std::string_view arg : args) {
    if (arg != "--help" && arg != "-h") continue;
    std::printf("usage: ombus %.*s %.*s\n\n%.*s\n\n%s", static_cast<int>(text.name.size()),
                text.name.data(), static_cast<int>(text.synopsis.size()), text.synopsis.data(),
                static_cast<int>(text.description.size()), text.description.data(),
                DescribeFlags(flags).c_str());
    *exit_code = FlushStandardOutput(text.name);
    return false;
  }
  const Status parsed = ParseFlags(flags, args);
  if (parsed.ok()) return true;
  *exit_code = FailUsage(text, parsed.message());
  return false;
}

int Fail(const CommandText& text, const Status& status) {
  std::fprintf(stderr, "ombus %.*s: %s\n", static_cast<int>(text.name.size()), text.name.data(),
               status.message().c_str());
  return status.code() == StatusCode::kInvalidArgument ? kExitUsage : kExitFailure;
}

int FailUsage(const CommandText& text, const std::string& message) {
  std::fprintf(stderr, "ombus %.*s: %s (ombus help %.*s tells more)\n",
               static_cast<int>(text.name.size()), text.name.data(), message.c_str(),
               static_cast<int>(text.name.size()), text.name.data());
  return kExitUsage;
}

int FlushStandardOutput(std::string_view command) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return kExitOk;
  const int error = errno != 0 ? errno : EIO;  // an earlier write failed, its number is gone
  const Status why = ErrnoStatus("write", "standard output", error, WriteRemedy(error));
  std::fprintf(stderr, "ombus %.*s: %s\n", static_cast<int>(command.size()), command.data(),
               why.message().c_str());
  return kExitFailure;
}

}  // namespace ombus::tools

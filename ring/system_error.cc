#include "ring/system_error.h"

#include <cerrno>

#include "ring/base/errno_name.h"

namespace ombus {
namespace {

struct Meaning {
  StatusCode code;
  std::string_view remedy;
};

Meaning MeaningOf(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return {StatusCode::kPermissionDenied, "run as the owner, or check owner, group and mode"};
    case EROFS:
      return {StatusCode::kPermissionDenied, "the file system is mounted read-only"};
    case ENAMETOOLONG:
      return {StatusCode::kInvalidArgument, "a file's name has at most 255 bytes, and a path 4095"};
    case ENOENT:
      return {StatusCode::kNotFound, "start its producer, or check the name (ls /dev/shm)"};
    case ENOSPC:
    case ENOMEM:
      return {StatusCode::kResourceExhausted, "free some memory (df /dev/shm)"};
    case EMFILE:
    case ENFILE:
      return {StatusCode::kResourceExhausted, "raise the limit of open files (ulimit -n)"};
    case ENOLCK:
      return {StatusCode::kResourceExhausted, "the kernel is out of file locks"};
    case ELOOP:
    case EISDIR:
    case ENXIO:
      return {StatusCode::kCorrupt, "not a regular file: remove it, or choose another name"};
    case EFBIG:
      return {StatusCode::kResourceExhausted, "raise the file size limit (ulimit -f)"};
    case ENOSYS:
    case EOPNOTSUPP:
      return {StatusCode::kUnsupported, "this kernel or sandbox does not allow the call"};
    default:
      return {StatusCode::kInternal, "not foreseen"};
  }
}

}  // namespace

Status SystemError(std::string_view call, std::string_view object, int error,
                   std::string_view remedy) {
  const Meaning meaning = MeaningOf(error);
  std::string message(call);
  message.append(" \"").append(object).append("\": ");
  message.append(ErrnoName(error)).append("; ").append(remedy.empty() ? meaning.remedy : remedy);
  return Status(meaning.code, std::move(message));
}

}  // namespace ombus

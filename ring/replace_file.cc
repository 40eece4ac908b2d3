#include "ring/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "ring/base/unique_fd.h"
#include "ring/clock.h"
#include "ring/file_size_limit.h"
#include "ring/system_error.h"

namespace ombus {
namespace {

constexpr int kLinksMax = 40;  // as the kernel follows
constexpr int kNamesTried = 8;
constexpr mode_t kNewFileMode = 0644;

constexpr const char* kDiskRemedy = "free some room on that file system; the old file is kept";

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Where the file itself lies: renaming over a link would replace the link.
Result<std::string> FollowLinks(std::string path) {
  for (int links = 0; links < kLinksMax; ++links) {
    char target[PATH_MAX];
    const ssize_t length = readlink(path.c_str(), target, sizeof target);
    if (length < 0 && (errno == EINVAL || errno == ENOENT)) return path;  // no link
    if (length < 0) return SystemError("readlink", path, errno);
    std::string next(target, static_cast<size_t>(length));
    if (!next.starts_with("/")) next.insert(0, FolderOf(path).append("/"));
    path = std::move(next);
  }
  return SystemError("readlink", path, ELOOP, "its symbolic links go in a circle");
}

// Sets *path. One that is there already is another's, who may be at it: a process of the same
// number in another container, or one that died. It is left alone.
Result<int> OpenTemporary(const std::string& target, std::string* path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  const std::string ours =
      target + ".tmp." + std::to_string(getpid()) + "." + std::to_string(gettid());
  *path = ours;
  int error = EEXIST;
  for (int attempt = 0; attempt < kNamesTried && error == EEXIST; ++attempt) {
    if (attempt != 0) *path = ours + "." + std::to_string(NowNs());
    const int fd = open(path->c_str(), kFlags, kNewFileMode);
    if (fd >= 0) return fd;
    error = errno;
  }
  return SystemError("open", *path, error,
                     "the folder must exist and be writable, its disk not be full, and the name "
                     "not be too long");
}

Status WriteWhole(int fd, const std::string& path, std::span<const std::byte> bytes) {
  if (FileSizeLimit() < bytes.size()) {
    return SystemError("write", path, EFBIG, "raise the file size limit (ulimit -f)");
  }
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write", path, errno, kDiskRemedy);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  if (fsync(fd) != 0) return SystemError("fsync", path, errno, kDiskRemedy);
  return Status();
}

// Who could read and write the old file can the new one, as far as we may arrange it.
Status HandOnPermissions(int fd, const std::string& path) {
  struct stat old = {};
  if (lstat(path.c_str(), &old) != 0) {
    return errno == ENOENT ? Status() : SystemError("lstat", path, errno);
  }
  if (!S_ISREG(old.st_mode)) {
    return SystemError("rename", path, EINVAL,
                       "what is there is no regular file; give the path of one");
  }
  if (fchown(fd, old.st_uid, old.st_gid) != 0) (void)fchown(fd, static_cast<uid_t>(-1), old.st_gid);
  if (fchmod(fd, old.st_mode & 07777) != 0) return SystemError("fchmod", path, errno);
  return Status();
}

// The bytes into what is open under a temporary name, and that over the path.
Status WriteAndRename(UniqueFd& fd, const std::string& temporary, const std::string& path,
                      std::span<const std::byte> bytes) {
  if (Status status = WriteWhole(fd.get(), temporary, bytes); !status.ok()) return status;
  if (Status status = HandOnPermissions(fd.get(), path); !status.ok()) return status;
  if (close(fd.Release()) != 0) return SystemError("close", temporary, errno, kDiskRemedy);
  if (rename(temporary.c_str(), path.c_str()) == 0) return Status();
  return SystemError("rename", path, errno, "somebody removed what was written, or its folder");
}

}  // namespace

Status CheckFilePath(const std::string& what, const std::string& path) {
  if (!path.empty() && path.find('\0') == std::string::npos && path.back() != '/') return Status();
  return Status(StatusCode::kInvalidArgument,
                what + " \"" + path + "\": EINVAL; give the path of a file");
}

Status ReplaceFile(const std::string& path, std::span<const std::byte> bytes) {
  const Result<std::string> target = FollowLinks(path);
  if (!target.ok()) return target.status();
  // What cannot be made to last is an error before anything is changed.
  const UniqueFd folder(open(FolderOf(*target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.ok()) {
    return SystemError("open folder of", *target, errno, "the folder must exist and be readable");
  }
  std::string temporary;
  const Result<int> opened = OpenTemporary(*target, &temporary);
  if (!opened.ok()) return opened.status();
  UniqueFd fd(*opened);
  if (Status status = WriteAndRename(fd, temporary, *target, bytes); !status.ok()) {
    (void)unlink(temporary.c_str());
    return status;
  }
  // Some file systems cannot, and need not.
  if (fsync(folder.get()) != 0 && errno != EINVAL) {
    return SystemError("fsync folder of", *target, errno);
  }
  return Status();
}

}  // namespace ombus

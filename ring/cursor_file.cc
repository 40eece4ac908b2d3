#include "ring/cursor_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

#include "ring/crc32c.h"
#include "ring/system_error.h"

namespace ombus {
namespace {

constexpr size_t kMagicAt = 0, kWalSeqAt = 4, kCrcAt = 12;
constexpr int kLinksMax = 40;  // as the kernel follows
constexpr mode_t kNewFileMode = 0644;

constexpr const char* kDiskRemedy = "free some room on that file system; the old cursor is kept";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int Close() { return fd_ < 0 ? 0 : close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status CheckPath(const std::string& path) {
  if (!path.empty() && path.find('\0') == std::string::npos && path.back() != '/') return Status();
  return Status(StatusCode::kInvalidArgument,
                "cursor file \"" + path + "\": EINVAL; give the path of a file");
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

// A file of our own that nobody else opens: one of that name is left from a process that died.
Result<int> OpenTemporary(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  int fd = open(path.c_str(), kFlags, kNewFileMode);
  if (fd < 0 && errno == EEXIST) {
    (void)unlink(path.c_str());
    fd = open(path.c_str(), kFlags, kNewFileMode);
  }
  if (fd < 0) {
    return SystemError("open", path, errno,
                       "the folder must exist and be writable, and its disk not be full");
  }
  return fd;
}

Status WriteWhole(int fd, const std::string& path, std::span<const std::byte> bytes) {
  // Beyond this limit the kernel would send SIGXFSZ, which by default kills the host program.
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes.size()) {
    return SystemError("write", path, EFBIG, "raise the file size limit (ulimit -f)");
  }
  ssize_t written;
  do {
    written = write(fd, bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return SystemError("write", path, errno, kDiskRemedy);
  if (static_cast<size_t>(written) != bytes.size()) {
    return SystemError("write", path, ENOSPC, kDiskRemedy);
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
    return SystemError("rename", path, EINVAL, "what is there is no regular file: remove it");
  }
  if (fchown(fd, old.st_uid, old.st_gid) != 0) (void)fchown(fd, static_cast<uid_t>(-1), old.st_gid);
  if (fchmod(fd, old.st_mode & 07777) != 0) return SystemError("fchmod", path, errno);
  return Status();
}

Status WriteAndRename(const std::string& temporary, const std::string& path, uint64_t wal_seq) {
  // What cannot be made to last is an error before anything is changed.
  Descriptor folder(open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.ok()) {
    return SystemError("open folder of", path, errno, "the folder must exist and be readable");
  }
  Result<int> opened = OpenTemporary(temporary);
  if (!opened.ok()) return opened.status();
  Descriptor fd(*opened);
  if (Status status = WriteWhole(fd.get(), temporary, EncodeCursor(wal_seq)); !status.ok()) {
    return status;
  }
  if (Status status = HandOnPermissions(fd.get(), path); !status.ok()) return status;
  if (fd.Close() != 0) return SystemError("close", temporary, errno, kDiskRemedy);
  if (rename(temporary.c_str(), path.c_str()) != 0) return SystemError("rename", path, errno);
  // Some file systems cannot, and need not.
  if (fsync(folder.get()) != 0 && errno != EINVAL) {
    return SystemError("fsync folder of", path, errno);
  }
  return Status();
}

Status Damaged(const std::string& path, const std::string& what) {
  return Status(StatusCode::kCorrupt, "cursor file \"" + path + "\": " + what +
                                          "; remove it and resume from what the consumer knows");
}

}  // namespace

std::array<std::byte, kCursorFileBytes> EncodeCursor(uint64_t wal_seq) {
  std::array<std::byte, kCursorFileBytes> bytes;
  const uint32_t crc = ResolveCrc32c()(0, &wal_seq, sizeof wal_seq);
  std::memcpy(&bytes[kMagicAt], &kCursorMagic, sizeof kCursorMagic);
  std::memcpy(&bytes[kWalSeqAt], &wal_seq, sizeof wal_seq);
  std::memcpy(&bytes[kCrcAt], &crc, sizeof crc);
  return bytes;
}

CursorState DecodeCursor(std::span<const std::byte> bytes, uint64_t* wal_seq) {
  if (bytes.size() != kCursorFileBytes) return CursorState::kWrongSize;
  uint32_t magic, crc;
  uint64_t value;
  std::memcpy(&magic, &bytes[kMagicAt], sizeof magic);
  std::memcpy(&value, &bytes[kWalSeqAt], sizeof value);
  std::memcpy(&crc, &bytes[kCrcAt], sizeof crc);
  if (magic != kCursorMagic) return CursorState::kWrongMagic;
  if (crc != ResolveCrc32c()(0, &value, sizeof value)) return CursorState::kWrongCrc;
  *wal_seq = value;
  return CursorState::kSound;
}

Status SaveCursorFile(const std::string& path, uint64_t wal_seq) {
  if (Status status = CheckPath(path); !status.ok()) return status;
  Result<std::string> target = FollowLinks(path);
  if (!target.ok()) return target.status();
  const std::string temporary =
      *target + ".tmp." + std::to_string(getpid()) + "." + std::to_string(gettid());
  Status status = WriteAndRename(temporary, *target, wal_seq);
  if (!status.ok()) (void)unlink(temporary.c_str());
  return status;
}

Result<uint64_t> LoadCursorFile(const std::string& path) {
  CursorState state;
  return LoadCursorFile(path, &state);
}

Result<uint64_t> LoadCursorFile(const std::string& path, CursorState* state) {
  *state = CursorState::kWrongSize;
  if (Status status = CheckPath(path); !status.ok()) return status;
  // Not to wait for the other end of what may be a pipe.
  Descriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.ok()) {
    return SystemError("open", path, errno, "save a cursor first, or check the path and its mode");
  }
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return SystemError("fstat", path, errno);
  if (!S_ISREG(info.st_mode)) return Damaged(path, "it is no regular file");
  std::array<std::byte, kCursorFileBytes + 1> bytes;  // one more, to notice a file that is longer
  const ssize_t got = pread(fd.get(), bytes.data(), bytes.size(), 0);
  if (got < 0) return SystemError("read", path, errno);
  const std::span<const std::byte> have(bytes.data(), static_cast<size_t>(got));
  uint64_t wal_seq = 0;
  *state = DecodeCursor(have, &wal_seq);
  switch (*state) {
    case CursorState::kSound:
      return wal_seq;
    case CursorState::kWrongSize:
      return Damaged(path, got > ssize_t{kCursorFileBytes}
                               ? "it is longer than 16 bytes"
                               : "it has " + std::to_string(got) + " of 16 bytes");
    case CursorState::kWrongMagic:
      return Damaged(path, "wrong magic");
    case CursorState::kWrongCrc:
      break;
  }
  return Damaged(path, "its CRC does not match");
}

}  // namespace ombus

#include "ring/shm_object.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "ring/base/above_stdio.h"
#include "ring/memory_tuning.h"
#include "ring/system_error.h"

namespace ombus {
namespace {

Status NoRoom(const std::string& name, int fd, uint64_t bytes) {
  struct statfs fs = {};
  std::string available = "unknown";
  if (fstatfs(fd, &fs) == 0) {
    available = std::to_string(uint64_t{fs.f_bavail} * static_cast<uint64_t>(fs.f_bsize));
  }
  return Status(StatusCode::kResourceExhausted,
                "posix_fallocate \"" + name + "\": ENOSPC; needs " + std::to_string(bytes) +
                    " bytes, /dev/shm has " + available +
                    " free: remove old objects, lower capacity or slot_size, or enlarge it "
                    "(mount -o remount,size=… /dev/shm)");
}

// Room for bytes at a multiple of a huge page, held by an empty mapping; null if there is none.
std::byte* FindAlignedPlace(uint64_t bytes) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t whole = (bytes + page - 1) / page * page;
  void* memory = mmap(nullptr, whole + kHugePageBytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(memory);
  const uint64_t before = -reinterpret_cast<uint64_t>(begin) % kHugePageBytes;
  if (before > 0) munmap(begin, before);
  if (before < kHugePageBytes) munmap(begin + before + whole, kHugePageBytes - before);
  return begin + before;
}

}  // namespace

ShmObject& ShmObject::operator=(ShmObject&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  std::swap(access_, other.access_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  std::swap(file_bytes_, other.file_bytes_);
  std::swap(memory_, other.memory_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  return *this;
}

ShmObject::~ShmObject() {
  Unmap();
  if (fd_ >= 0) close(fd_);
}

Result<ShmObject> ShmObject::Open(const std::string& name, Access access) {
  return OpenWith(name, access, access == Access::kRead ? O_RDONLY : O_RDWR, 0);
}

Result<ShmObject> ShmObject::OpenOrCreate(const std::string& name, uint32_t permissions) {
  return OpenWith(name, Access::kReadWrite, O_RDWR | O_CREAT, static_cast<mode_t>(permissions));
}

Result<ShmObject> ShmObject::OpenWith(const std::string& name, Access access, int flags,
                                      mode_t mode) {
  ShmObject object;
  object.name_ = name;
  object.access_ = access;
  object.fd_ = AboveStdio(shm_open(name.c_str(), flags, mode));  // close-on-exec by itself
  if (object.fd_ < 0) return SystemError("shm_open", name, errno);
  struct stat info = {};
  if (fstat(object.fd_, &info) != 0) return SystemError("fstat", name, errno);
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kCorrupt,
                  "shm_open \"" + name + "\": not a regular file; remove it from /dev/shm");
  }
  object.device_ = info.st_dev;
  object.inode_ = info.st_ino;
  object.file_bytes_ = static_cast<uint64_t>(info.st_size);
  return object;
}

Status ShmObject::Reserve(uint64_t bytes) {
  // Beyond this limit the kernel would send SIGXFSZ, which by default kills the host program.
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < bytes) {
    return SystemError("posix_fallocate", name_, EFBIG,
                       "needs " + std::to_string(bytes) + " bytes, the file size limit is " +
                           std::to_string(limit.rlim_cur) + ": raise it (ulimit -f)");
  }
  int error;
  do {
    error = posix_fallocate(fd_, 0, static_cast<off_t>(bytes));
  } while (error == EINTR);
  if (error == ENOSPC) return NoRoom(name_, fd_, bytes);
  if (error != 0) return SystemError("posix_fallocate", name_, error);
  file_bytes_ = bytes;
  return Status();
}

Status ShmObject::Map(uint64_t bytes) {
  Unmap();
  const int protection = access_ == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  // Populated: the memory is there already, and the hot path shall not take the page faults.
  const int flags = MAP_SHARED | MAP_POPULATE;
  std::byte* place = bytes < kHugePageBytes ? nullptr : FindAlignedPlace(bytes);
  void* memory =
      mmap(place, bytes, protection, place == nullptr ? flags : flags | MAP_FIXED, fd_, 0);
  if (memory == MAP_FAILED) {
    if (place != nullptr) munmap(place, bytes);
    return SystemError("mmap", name_, errno, "lower capacity, or raise the limit (ulimit -v)");
  }
  memory_ = static_cast<std::byte*>(memory);
  mapped_bytes_ = bytes;
  return Status();
}

void ShmObject::Unmap() {
  if (memory_ != nullptr) munmap(memory_, mapped_bytes_);
  memory_ = nullptr;
}

bool ShmObject::OwnsName() const {
  const int fd = shm_open(name_.c_str(), O_RDONLY, 0);
  if (fd < 0) return false;
  struct stat info = {};
  const bool same = fstat(fd, &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  close(fd);
  return same;
}

void ShmObject::Unlink() const { (void)shm_unlink(name_.c_str()); }

}  // namespace ombus

#include "ring/shm_object.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <fstream>
#include <utility>

#include "ring/base/above_stdio.h"
#include "ring/file_size_limit.h"
#include "ring/fork_guard.h"
#include "ring/geometry.h"
#include "ring/memory_tuning.h"
#include "ring/shared_mapping.h"
#include "ring/system_error.h"

namespace ombus {
namespace {

uint64_t UpTo(uint64_t multiple, uint64_t bytes) {
  return (bytes + multiple - 1) / multiple * multiple;
}

constexpr uint64_t kStatBlockBytes = 512;  // of st_blocks, whatever the file system: stat(2)
constexpr char kShmFolder[] = "/dev/shm";

// No symbolic link, and no waiting where it is a pipe.
int OpenNamed(const std::string& name, int flags, mode_t mode) {
  if (!RingNameIsPath(name)) return shm_open(name.c_str(), flags | O_NONBLOCK, mode);
  return open(name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
}

// What the name leads to, without following it. Allocates nothing: a producer that closes must not
// fail for want of memory.
bool StatNamed(const std::string& name, struct stat* info) {
  if (RingNameIsPath(name)) return lstat(name.c_str(), info) == 0;
  std::array<char, sizeof kShmFolder + NAME_MAX> path;  // shm_open took no longer name
  const int size = std::snprintf(path.data(), path.size(), "%s%s", kShmFolder, name.c_str());
  return size > 0 && static_cast<size_t>(size) < path.size() && lstat(path.data(), info) == 0;
}

// A file that a disk is behind is no memory: its pages are written out again and again.
Status CheckInMemory(const std::string& name, const struct statfs& fs) {
  if (fs.f_type == TMPFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC) return Status();
  return Status(StatusCode::kInvalidArgument,
                "open \"" + name +
                    "\": not on a file system in memory; choose a path on a hugetlbfs or a tmpfs, "
                    "or a name without a second slash, which is in /dev/shm");
}

// Before a file is created in the wrong place.
Status CheckPlaceOf(const std::string& path) {
  struct statfs fs = {};
  if (statfs(path.substr(0, path.rfind('/')).c_str(), &fs) != 0) {
    return SystemError("statfs", path, errno, "mount a hugetlbfs or a tmpfs there");
  }
  return CheckInMemory(path, fs);
}

Status NoRoom(const std::string& name, int fd, uint64_t bytes) {
  struct statfs fs = {};
  std::string available = "unknown";
  if (fstatfs(fd, &fs) == 0) {
    available = std::to_string(uint64_t{fs.f_bavail} * static_cast<uint64_t>(fs.f_bsize));
  }
  const std::string place = RingNameIsPath(name) ? name.substr(0, name.rfind('/')) : kShmFolder;
  return Status(StatusCode::kResourceExhausted,
                "posix_fallocate \"" + name + "\": ENOSPC; needs " + std::to_string(bytes) +
                    " bytes, " + place + " has " + available +
                    " free: remove old objects, lower capacity or slot_size, or enlarge it "
                    "(mount -o remount,size=… " +
                    place + ")");
}

Status NoHugePages(const std::string& name, uint64_t page_bytes, uint64_t pages) {
  const std::string pool =
      "/sys/kernel/mm/hugepages/hugepages-" + std::to_string(page_bytes / 1024) + "kB/";
  std::string free_pages;
  std::getline(std::ifstream(pool + "free_hugepages") >> std::ws, free_pages);
  return Status(StatusCode::kResourceExhausted,
                "posix_fallocate \"" + name + "\": ENOSPC; needs " + std::to_string(pages) +
                    " huge pages of " + std::to_string(page_bytes / 1024) + " KiB, " +
                    (free_pages.empty() ? "an unknown number" : free_pages) +
                    " of the pool are free: reserve more (echo N > " + pool +
                    "nr_hugepages), raise the mount's size=, or lower capacity or slot_size");
}

// Room for bytes, whole pages, at a multiple of a huge page, held by an empty mapping; null if
// there is none.
std::byte* FindAlignedPlace(uint64_t bytes) {
  void* memory = mmap(nullptr, bytes + kHugePageBytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(memory);
  const uint64_t before = -reinterpret_cast<uint64_t>(begin) % kHugePageBytes;
  if (before > 0) munmap(begin, before);
  if (before < kHugePageBytes) munmap(begin + before + bytes, kHugePageBytes - before);
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
  std::swap(mode_, other.mode_);
  std::swap(allocated_bytes_, other.allocated_bytes_);
  std::swap(page_bytes_, other.page_bytes_);
  std::swap(memory_, other.memory_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  return *this;
}

ShmObject::~ShmObject() {
  Unmap();
  if (fd_ >= 0) ForkGuard().Close(fd_);
}

Result<ShmObject> ShmObject::Open(const std::string& name, Access access) {
  return OpenWith(name, access, access == Access::kRead ? O_RDONLY : O_RDWR, 0);
}

Result<ShmObject> ShmObject::OpenOrCreate(const std::string& name, uint32_t permissions) {
  // What is there without O_CREAT: with it the kernel refuses, in a folder as /dev/shm, what
  // belongs to another user (fs.protected_regular), whatever its mode.
  Result<ShmObject> found = OpenWith(name, Access::kReadWrite, O_RDWR, 0);
  if (found.ok() || found.status().code() != StatusCode::kNotFound) return found;
  return OpenWith(name, Access::kReadWrite, O_RDWR | O_CREAT, static_cast<mode_t>(permissions));
}

Result<ShmObject> ShmObject::OpenWith(const std::string& name, Access access, int flags,
                                      mode_t mode) {
  const bool is_path = RingNameIsPath(name);
  if (is_path && (flags & O_CREAT) != 0) {
    if (Status status = CheckPlaceOf(name); !status.ok()) return status;
  }
  ShmObject object;
  object.name_ = name;
  object.access_ = access;
  {
    ForkGuard guard;
    object.fd_ = AboveStdio(OpenNamed(name, flags, mode));  // close-on-exec by itself
    guard.KeepFromChildren(object.fd_);
  }
  if (object.fd_ < 0) {
    const int error = errno == EINVAL ? EISDIR : errno;  // shm_open's word for a directory
    const char* remedy = is_path && error == ENOENT ? "start its producer, or check the path" : "";
    return SystemError(is_path ? "open" : "shm_open", name, error, remedy);
  }
  struct statfs fs = {};
  if (fstatfs(object.fd_, &fs) != 0) return SystemError("fstatfs", name, errno);
  if (is_path) {
    if (Status status = CheckInMemory(name, fs); !status.ok()) return status;
  }
  object.page_bytes_ =
      static_cast<uint64_t>(fs.f_type == HUGETLBFS_MAGIC ? fs.f_bsize : sysconf(_SC_PAGESIZE));
  if (Status status = object.ReadSize(); !status.ok()) return status;
  return object;
}

Status ShmObject::ReadSize() {
  struct stat info = {};
  if (fstat(fd_, &info) != 0) return SystemError("fstat", name_, errno);
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kCorrupt,
                  (RingNameIsPath(name_) ? "open \"" : "shm_open \"") + name_ +
                      "\": not a regular file; remove it, or choose another name");
  }
  device_ = info.st_dev;
  inode_ = info.st_ino;
  file_bytes_ = static_cast<uint64_t>(info.st_size);
  mode_ = info.st_mode;
  allocated_bytes_ = static_cast<uint64_t>(info.st_blocks) * kStatBlockBytes;
  // Of a huge page that the file ends within, nothing can be touched.
  if (OnHugePages()) file_bytes_ -= file_bytes_ % page_bytes_;
  return Status();
}

Status ShmObject::Reserve(uint64_t bytes, uint32_t permissions) {
  if (const uint64_t limit = FileSizeLimit(); limit < bytes) {
    return SystemError("posix_fallocate", name_, EFBIG,
                       "needs " + std::to_string(bytes) + " bytes, the file size limit is " +
                           std::to_string(limit) + ": raise it (ulimit -f)");
  }
  if (Status status = SetPermissions(permissions | S_ISVTX); !status.ok()) return status;
  if (OnHugePages()) bytes = UpTo(page_bytes_, bytes);
  int error;
  do {
    error = posix_fallocate(fd_, 0, static_cast<off_t>(bytes));
  } while (error == EINTR);
  if (error == ENOSPC) {
    (void)!ftruncate(fd_, 0);  // what it did get is free again, and told to be
    return OnHugePages() ? NoHugePages(name_, page_bytes_, bytes / page_bytes_)
                         : NoRoom(name_, fd_, bytes);
  }
  if (error != 0) return SystemError("posix_fallocate", name_, error);
  return ReadSize();
}

Status ShmObject::SetPermissions(uint32_t permissions) {
  if (fchmod(fd_, static_cast<mode_t>(permissions)) == 0) return Status();
  return SystemError("fchmod", name_, errno);
}

Status ShmObject::Map(uint64_t bytes) {
  Unmap();
  bytes = UpTo(page_bytes_, bytes);
  const MappedObject object = {device_, inode_, bytes};
  const bool shared = access_ == Access::kReadWrite && mappings_are_shared;
  if (shared) memory_ = JoinMapping(object);
  mapped_bytes_ = bytes;
  if (memory_ != nullptr) return Status();
  const int protection = access_ == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  // Populated: the memory is there already, and the hot path shall not take the page faults.
  const int flags = MAP_SHARED | MAP_POPULATE;
  // A mapping keeps the description that it was made through, with its locks, and a child of fork
  // inherits the mapping: so through another one. If the name has gone to another object by now,
  // whoever maps this one will not have it for long.
  const int other = OpenAgain(access_ == Access::kRead ? O_RDONLY : O_RDWR);
  if (other < 0 && (errno == EMFILE || errno == ENFILE)) return SystemError("open", name_, errno);
  // Huge pages of a hugetlbfs the kernel aligns itself.
  const bool align = bytes >= kHugePageBytes && !OnHugePages();
  std::byte* place = align ? FindAlignedPlace(bytes) : nullptr;
  void* memory = mmap(place, bytes, protection, place == nullptr ? flags : flags | MAP_FIXED,
                      other >= 0 ? other : fd_, 0);
  const int error = errno;
  if (other >= 0) close(other);
  if (memory == MAP_FAILED) {
    if (place != nullptr) munmap(place, bytes);
    return SystemError("mmap", name_, error, "lower capacity, or raise the limit (ulimit -v)");
  }
  memory_ = static_cast<std::byte*>(memory);
  if (shared) OfferMapping(object, memory_);
  return Status();
}

void ShmObject::Unmap() {
  if (memory_ != nullptr && LeaveMapping(memory_)) munmap(memory_, mapped_bytes_);
  memory_ = nullptr;
}

int ShmObject::OpenAgain(int flags) const {
  const int fd = OpenNamed(name_, flags, 0);
  if (fd < 0) return -1;
  struct stat info = {};
  if (fstat(fd, &info) == 0 && IsOf(info)) return fd;
  close(fd);
  errno = ENOENT;
  return -1;
}

bool ShmObject::IsOf(const struct stat& info) const {
  return info.st_dev == device_ && info.st_ino == inode_;
}

bool ShmObject::OwnsName() const {
  struct stat info = {};
  return StatNamed(name_, &info) && IsOf(info);
}

bool ShmObject::LostNameToAnother() const {
  struct stat info = {};
  return StatNamed(name_, &info) && S_ISREG(info.st_mode) && !IsOf(info);
}

void ShmObject::Unlink() const {
  if (RingNameIsPath(name_)) {
    (void)unlink(name_.c_str());
  } else {
    (void)shm_unlink(name_.c_str());
  }
}

std::string ShmObject::path() const { return RingNameIsPath(name_) ? name_ : kShmFolder + name_; }

bool ShmObject::OnHugePages() const {
  return page_bytes_ > static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace ombus

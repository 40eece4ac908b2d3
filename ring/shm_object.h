// ShmObject: an open POSIX shared-memory object and its mapping. Every handle has its own open file
// description, since that is what owns the byte locks; the mapping has another, and a child of fork
// gets only that one (fork_guard.h). A name with more than one slash is the path
// of a file, on a hugetlbfs or a tmpfs of one's own.
//
// Threads: one at a time. Not for: what is inside; see geometry.h and ombus/ring_layout.h.
#ifndef OMBUS_RING_SHM_OBJECT_H_
#define OMBUS_RING_SHM_OBJECT_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "ombus/ring_layout.h"
#include "ombus/status.h"

namespace ombus {

class ShmObject {
 public:
  enum class Access { kRead, kReadWrite };

  ShmObject() = default;
  ShmObject(ShmObject&& other) noexcept { *this = std::move(other); }
  ShmObject& operator=(ShmObject&& other) noexcept;
  ~ShmObject();  // unmaps and closes: drops this description's byte locks

  // kNotFound when there is none.
  static Result<ShmObject> Open(const std::string& name, Access access);
  // Opens it for reading and writing, and creates it empty where there is none.
  static Result<ShmObject> OpenOrCreate(const std::string& name, uint32_t permissions);

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }
  std::string path() const;                            // as a file, for people
  uint64_t file_bytes() const { return file_bytes_; }  // when opened, or as reserved
  // Whether there is memory behind all of its first bytes, as there is after Reserve.
  bool IsReserved(uint64_t bytes) const { return allocated_bytes_ >= bytes; }
  uint64_t page_bytes() const { return page_bytes_; }  // a huge page's on a hugetlbfs

  // The size as it is now. Before the producer's lock is had, others may change it.
  Status ReadSize();

  // Whether it was marked when its size was read: Reserve and what follows it is not over, or
  // whoever did that was killed. Nobody else's file is taken for such a one.
  bool BeingCreated() const { return (mode_ & S_ISVTX) != 0; }

  // Gives an empty object its size and its memory, so that a full /dev/shm, or a pool of huge pages
  // that is used up, is an error here and not a SIGBUS later. Marks it before that, by a bit of its
  // mode, which on a file has no other meaning (a hugetlbfs takes no bytes at this point).
  Status Reserve(uint64_t bytes, uint32_t permissions);
  // Who may open it from now on. Takes the mark away.
  Status SetPermissions(uint32_t permissions);

  // Maps the first bytes of it, in place of an earlier mapping. bytes <= file_bytes(). For writing,
  // all handles of this process have one mapping of the same bytes.
  Status Map(uint64_t bytes);
  RingHeader* header() const { return reinterpret_cast<RingHeader*>(memory_); }
  std::byte* memory() const { return memory_; }
  uint64_t mapped_bytes() const { return mapped_bytes_; }  // whole pages

  bool OnHugePages() const;  // on a hugetlbfs: all of its pages are huge, and never swapped out

  // Whether the name still leads to this object.
  bool OwnsName() const;
  // Whether it leads to another one. False where it leads nowhere, or to what is no file.
  bool LostNameToAnother() const;
  void Unlink() const;

 private:
  static Result<ShmObject> OpenWith(const std::string& name, Access access, int flags, mode_t mode);
  void Unmap();
  // Another description of this object, the caller's to close. -1 if its name does not lead to it,
  // or with errno.
  int OpenAgain(int flags) const;
  bool IsOf(const struct stat& info) const;

  std::string name_;
  int fd_ = -1;
  Access access_ = Access::kRead;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  uint64_t file_bytes_ = 0;
  uint32_t mode_ = 0;
  uint64_t allocated_bytes_ = 0;
  uint64_t page_bytes_ = 4096;
  std::byte* memory_ = nullptr;
  uint64_t mapped_bytes_ = 0;
};

}  // namespace ombus

#endif  // OMBUS_RING_SHM_OBJECT_H_

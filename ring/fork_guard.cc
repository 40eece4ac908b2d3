#include "ring/fork_guard.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

namespace ombus {
namespace {

constexpr int kKeptMax = 1 << 16;  // far beyond the usual limit of descriptors

// What a descriptor leads to. Two file systems may well give the same inode number.
struct File {
  dev_t device = 0;
  ino_t inode = 0;  // 0: none
  bool operator==(const File&) const = default;
};

// By descriptor, what it leads to where it is kept, and the process of which a producer owns that
// by it; 0: none. Untouched pages cost none.
constinit std::mutex guard;
constinit File kept[kKeptMax];
constinit pid_t owners[kKeptMax];
constinit int used = 0;  // none is kept from here on

File FileOf(int fd) {
  struct stat info = {};
  return fstat(fd, &info) == 0 ? File{info.st_dev, info.st_ino} : File{};
}

// All is in order here: the forking thread has the guard. A number that the program has closed
// behind our back and had again for something else is left alone. A child that has no descriptor
// left to put in their place goes on with what it inherited.
void GiveUpInChild() {
  const int nowhere = used > 0 ? open("/", O_PATH | O_CLOEXEC) : -1;
  for (int fd = 0; nowhere >= 0 && fd < used; ++fd) {
    if (kept[fd] != File{} && FileOf(fd) == kept[fd]) (void)dup3(nowhere, fd, O_CLOEXEC);
  }
  if (nowhere >= 0) close(nowhere);
  guard.unlock();
}

// When the library is loaded: at the first use, another thread might fork meanwhile.
[[maybe_unused]] const int watching =
    pthread_atfork([] { guard.lock(); }, [] { guard.unlock(); }, GiveUpInChild);

}  // namespace

ForkGuard::ForkGuard() { guard.lock(); }

ForkGuard::~ForkGuard() { guard.unlock(); }

void ForkGuard::KeepFromChildren(int fd) {
  if (fd < 0 || fd >= kKeptMax) return;
  kept[fd] = FileOf(fd);
  owners[fd] = 0;
  used = std::max(used, fd + 1);
}

void ForkGuard::Close(int fd) {
  if (fd >= 0 && fd < kKeptMax) kept[fd] = {};
  close(fd);
}

void ForkGuard::SetOwner(int fd, bool owner) {
  if (fd >= 0 && fd < kKeptMax) owners[fd] = owner ? getpid() : 0;
}

// In a child, what its parent owns may still be open.
bool ForkGuard::OwnsObjectOf(int fd) {
  const File file = FileOf(fd);
  const pid_t self = getpid();
  for (int other = 0; other < used; ++other) {
    if (owners[other] == self && kept[other] == file && FileOf(other) == file) return true;
  }
  return false;
}

}  // namespace ombus

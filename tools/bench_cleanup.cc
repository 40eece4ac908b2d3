#include "tools/bench_cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "ring/byte_lock.h"

namespace ombus::tools {
namespace {

constexpr char kFolder[] = "/dev/shm/";
constexpr char kPrefix[] = "ombus-bench-";

char own_prefix[64];  // of the file names; a signal handler has no other way to it

// A producer that lives holds the lock on its object.
void RemoveIfDead(const char* name) {
  const int fd = open((std::string(kFolder) + name).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  const bool dead = TryLockByte(fd, kProducerLockByte) == 0;
  if (dead) (void)unlink((std::string(kFolder) + name).c_str());
  close(fd);
}

void RemoveAllOfTheDead() {
  DIR* folder = opendir(kFolder);
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder)) {
    if (std::strncmp(entry->d_name, kPrefix, std::strlen(kPrefix)) == 0) {
      RemoveIfDead(entry->d_name);
    }
  }
  closedir(folder);
}

// Only what a signal handler may do: system calls and the stack, no opendir.
void RemoveOwn() {
  alignas(dirent64) char entries[4096];
  const int folder = open(kFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  long bytes = 0;
  while ((bytes = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      if (std::strncmp(entry->d_name, own_prefix, std::strlen(own_prefix)) == 0) {
        (void)unlinkat(folder, entry->d_name, 0);
      }
      at += entry->d_reclen;
    }
  }
}

void OnSignal(int number) {
  RemoveOwn();
  _exit(128 + number);
}

}  // namespace

std::string BenchStreamName() {
  RemoveAllOfTheDead();
  const std::string name = kPrefix + std::to_string(getpid());
  name.copy(own_prefix, sizeof own_prefix - 1);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return "/" + name;
}

}  // namespace ombus::tools

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

constexpr char kFolder[] = "/dev/shm";
constexpr char kPrefix[] = "ombus-bench-";

char own_prefix[64];  // of the file names; a signal handler has no other way to it

// Calls f(folder, name) for every object whose name begins so. Does only what a signal handler may
// do, system calls and the stack, where f does: opendir would allocate.
template <typename F>
void ForEachObject(const char* prefix, F&& f) {
  const int folder = open(kFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  alignas(dirent64) char entries[4096];
  long bytes = 0;
  while ((bytes = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      if (std::strncmp(entry->d_name, prefix, std::strlen(prefix)) == 0) f(folder, entry->d_name);
      at += entry->d_reclen;
    }
  }
  close(folder);
}

void Remove(int folder, const char* name) { (void)unlinkat(folder, name, 0); }

// A producer that lives holds the lock on its object.
void RemoveIfDead(int folder, const char* name) {
  const int fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  if (TryLockByte(fd, kProducerLockByte) == 0) Remove(folder, name);
  close(fd);
}

void OnSignal(int number) {
  ForEachObject(own_prefix, Remove);
  _exit(128 + number);
}

}  // namespace

std::string BenchStreamName() {
  ForEachObject(kPrefix, RemoveIfDead);
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

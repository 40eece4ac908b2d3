#include "tools/bench_cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "ring/byte_lock.h"

namespace ombus::tools {
namespace {

constexpr char kFolder[] = "/dev/shm/";
constexpr char kPrefix[] = "ombus-bench-";

std::string own_prefix;  // of the file names; a signal handler has no other way to it

// Calls f(name) for every object whose name begins so.
template <typename F>
void ForEachObject(const char* prefix, F&& f) {
  DIR* folder = opendir(kFolder);
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder)) {
    if (std::strncmp(entry->d_name, prefix, std::strlen(prefix)) == 0) f(entry->d_name);
  }
  closedir(folder);
}

void Remove(const char* name) { (void)unlink((std::string(kFolder) + name).c_str()); }

// A producer that lives holds the lock on its object.
void RemoveIfDead(const char* name) {
  const int fd = open((std::string(kFolder) + name).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  const bool dead = TryLockByte(fd, kProducerLockByte) == 0;
  if (dead) Remove(name);
  close(fd);
}

// The main thread waits in most modes without looking up; a process that is about to end may do
// here what a handler otherwise must not.
void OnSignal(int number) {
  ForEachObject(own_prefix.c_str(), Remove);
  _exit(128 + number);
}

}  // namespace

std::string BenchStreamName() {
  ForEachObject(kPrefix, RemoveIfDead);
  own_prefix = kPrefix + std::to_string(getpid());
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return "/" + own_prefix;
}

}  // namespace ombus::tools

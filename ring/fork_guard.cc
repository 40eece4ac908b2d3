#include "ring/fork_guard.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <mutex>

namespace ombus {
namespace {

constexpr int kKeptMax = 1 << 20;  // the kernel's own bound, unless fs.nr_open was raised
constexpr int kBits = 64;

constinit std::mutex guard;
constinit uint64_t kept[kKeptMax / kBits];  // a bit for each descriptor; untouched pages cost none
constinit int words_used = 0;

// The guard's whole set is in order: the forking thread has it. A child that has no descriptor
// left to put in their place goes on with what it inherited.
void GiveUpInChild() {
  const int nowhere = words_used > 0 ? open("/", O_PATH | O_CLOEXEC) : -1;
  for (int word = 0; nowhere >= 0 && word < words_used; ++word) {
    for (int bit = 0; bit < kBits; ++bit) {
      if ((kept[word] >> bit & 1) != 0) (void)dup3(nowhere, word * kBits + bit, O_CLOEXEC);
    }
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
  kept[fd / kBits] |= uint64_t{1} << fd % kBits;
  words_used = std::max(words_used, fd / kBits + 1);
}

void ForkGuard::Close(int fd) {
  if (fd >= 0 && fd < kKeptMax) kept[fd / kBits] &= ~(uint64_t{1} << fd % kBits);
  close(fd);
}

}  // namespace ombus

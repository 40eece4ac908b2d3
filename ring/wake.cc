#include "ring/wake.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <string>

#include "ring/fence.h"
#include "ring/file_size_limit.h"
#include "ring/system_error.h"

namespace ombus {
namespace {

long Membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

void RegisterForWakeBarrier() { (void)Membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED); }

bool WakeBarrierWorks() {
  const long commands = Membarrier(MEMBARRIER_CMD_QUERY);
  return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0;
}

void AnnounceSleeper(RingHeader& header, uint32_t waiter_bit, bool barrier_works) {
  header.waiters.fetch_or(waiter_bit, std::memory_order_relaxed);
  // Between the store above and the caller's look at the ring. [wake]
  if (!barrier_works || Membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0) FullFence();
}

void SleepOnWakeWord(RingHeader& header, uint32_t seen, uint64_t timeout_ns) {
  const struct timespec timeout = {.tv_sec = static_cast<time_t>(timeout_ns / 1'000'000'000u),
                                   .tv_nsec = static_cast<long>(timeout_ns % 1'000'000'000u)};
  // Not FUTEX_PRIVATE_FLAG: the producer is another process.
  (void)syscall(SYS_futex, reinterpret_cast<uint32_t*>(&header.wake_word), FUTEX_WAIT, seen,
                &timeout, nullptr, 0);
}

void WakeSleepers(RingHeader& header, int fd) {
  // Released: a sleeper that announces itself after this one sees what we come to tell. Acquired:
  // who finds kReplacer sees the epoch that it was set after. [wake]
  const uint32_t bits = header.waiters.exchange(0, std::memory_order_acq_rel);
  const uint32_t word = header.wake_word.fetch_add(1, std::memory_order_relaxed) + 1;
  if ((bits & kWaiterFutex) != 0) {
    (void)syscall(SYS_futex, reinterpret_cast<uint32_t*>(&header.wake_word), FUTEX_WAKE, INT_MAX,
                  nullptr, nullptr, 0);
  }
  if ((bits & kWaiterFile) != 0) {
    // A store through the mapping raises no IN_MODIFY, a write through the file does.
    // A hugetlbfs takes no writes, but new times, which raise IN_ATTRIB. If both are refused,
    // sleepers wake by their own timeout.
    constexpr size_t kAt = offsetof(RingHeader, wake_touch);
    if (FileSizeLimit() < kAt + sizeof word || pwrite(fd, &word, sizeof word, kAt) < 0) {
      (void)futimens(fd, nullptr);
    }
  }
}

Result<int> OpenWakeDescriptor(const char* name) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd >= 0) return fd;
  return SystemError("inotify_init1", name, errno, "raise fs.inotify.max_user_instances");
}

Result<int> WatchForWakes(int fd, int object_fd, const char* name) {
  // By the descriptor and not by the name, which may lead to another object by now.
  const std::string path = "/proc/self/fd/" + std::to_string(object_fd);
  const int watch = inotify_add_watch(fd, path.c_str(), IN_MODIFY | IN_ATTRIB);
  if (watch >= 0) return watch;
  return SystemError("inotify_add_watch", name, errno,
                     "needs /proc and fs.inotify.max_user_watches; use short timeouts instead");
}

void UnwatchForWakes(int fd, int watch) {
  (void)inotify_rm_watch(fd, watch);
  DrainWakeDescriptor(fd);  // that it is gone is an event, too
}

void DrainWakeDescriptor(int fd) {
  alignas(struct inotify_event) char events[1024];
  while (read(fd, events, sizeof events) > 0) {
  }
}

}  // namespace ombus

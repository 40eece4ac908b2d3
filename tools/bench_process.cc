#include "tools/bench_process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "tools/cpu.h"

namespace ombus::tools {

void Meeting::Fail(const Status& status) {
  if (failed.exchange(1) == 0) {
    std::snprintf(error, sizeof error, "%s", status.message().c_str());
    failed.store(2, std::memory_order_release);
  }
}

BenchProcesses::BenchProcesses() {
  void* memory = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) std::abort();  // a page, at start: nothing sensible is left to do
  meeting_ = new (memory) Meeting();
}

BenchProcesses::~BenchProcesses() {
  for (pid_t child : children_) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  munmap(meeting_, sizeof(Meeting));
}

Status BenchProcesses::Start(int cpu, const std::function<Status(Meeting&)>& body) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus("fork", "bench", errno, "raise the limit of processes");
  if (child > 0) {
    children_.push_back(child);
    return {};
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  Status status = PinToCpu(cpu);
  if (status.ok()) status = body(*meeting_);
  if (!status.ok()) meeting_->Fail(status);
  _exit(status.ok() ? 0 : 1);
}

Status BenchProcesses::FirstError() const {
  if (meeting_->failed.load(std::memory_order_acquire) != 2) return {};
  return {StatusCode::kInternal, meeting_->error};
}

Status BenchProcesses::WaitReady(uint32_t count, uint64_t deadline_ns) {
  while (meeting_->ready.load(std::memory_order_acquire) < count) {
    if (Status error = FirstError(); !error.ok()) return error;
    if (NowNs() > deadline_ns) {
      return {StatusCode::kUnavailable,
              "bench \"start\": ETIMEDOUT; is the machine overloaded? raise --timeout-s"};
    }
    SleepNs(100'000);
  }
  return {};
}

Status BenchProcesses::Join(uint64_t deadline_ns) {
  while (!children_.empty()) {
    int how = 0;
    const pid_t child = waitpid(-1, &how, WNOHANG);
    if (child > 0) {
      std::erase(children_, child);
      if (Status error = FirstError(); !error.ok()) return error;
      if (how != 0) return {StatusCode::kInternal, "bench \"child\": a process died; try again"};
      continue;
    }
    if (NowNs() > deadline_ns) {
      return {StatusCode::kUnavailable,
              "bench \"run\": ETIMEDOUT; something was lost or is slow; raise --timeout-s"};
    }
    SleepNs(200'000);
  }
  return {};
}

void ArriveAndWait(Meeting& meeting) {
  meeting.ready.fetch_add(1, std::memory_order_acq_rel);
  while (meeting.go.load(std::memory_order_acquire) == 0) SleepNs(50'000);
}

}  // namespace ombus::tools

// BenchProcess: a part of a benchmark in a process of its own, with a page shared with the parent
// to meet at and to hand results back. Children die with their parent.
//
// Threads: the parent's one. Not for: anything that must outlive the call that started it.
#ifndef OMBUS_TOOLS_BENCH_PROCESS_H_
#define OMBUS_TOOLS_BENCH_PROCESS_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "ombus/status.h"

namespace ombus::tools {

// Shared between the processes of one run. Zero at first.
struct Meeting {
  alignas(128) std::atomic<uint32_t> ready;  // processes that stand at the line
  alignas(128) std::atomic<uint32_t> go;     // the start
  alignas(128) std::atomic<uint32_t> ended;  // the producing part has ended
  alignas(128) std::atomic<uint64_t> start_ns;
  std::atomic<uint32_t> port;
  alignas(128) std::atomic<uint64_t> end_ns;  // the last receiver's last record
  std::atomic<uint64_t> received;             // records, summed over receivers
  std::atomic<uint64_t> wrong;                // out of sequence or with another content
  std::atomic<uint64_t> extra[16];            // a mode's own
  char error[512];                            // the first that failed says why

  void Fail(const Status& status);  // from a child
  std::atomic<uint32_t> failed;
};

class BenchProcesses {
 public:
  BenchProcesses();
  ~BenchProcesses();  // kills what still runs
  BenchProcesses(const BenchProcesses&) = delete;
  BenchProcesses& operator=(const BenchProcesses&) = delete;

  Meeting& meeting() { return *meeting_; }

  // Runs body in a child pinned to cpu. A Status that is not ok becomes meeting().error.
  Status Start(int cpu, const std::function<Status(Meeting&)>& body);

  // Until `count` children stand at the line, or one failed, or the time is up.
  Status WaitReady(uint32_t count, uint64_t deadline_ns);
  // Until all have exited; an error if one failed or the time is up.
  Status Join(uint64_t deadline_ns);
  // Why the first child that failed did; ok if none has.
  Status FirstError() const;

 private:
  Meeting* meeting_;
  std::vector<pid_t> children_;
};

// From a child: stands at the line until the start.
void ArriveAndWait(Meeting& meeting);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_BENCH_PROCESS_H_

// Where a thread runs, and what time it is: the two things every command asks the kernel.
#ifndef OMBUS_TOOLS_CPU_H_
#define OMBUS_TOOLS_CPU_H_

#include <sched.h>
#include <time.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "ombus/status.h"
#include "ring/clock.h"  // NowNs
#include "tools/errno_status.h"

namespace ombus::tools {

inline void SleepNs(uint64_t ns) {
  const timespec time{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&time, nullptr);  // a signal ends it early, as it should
}

// Binds the calling thread to one cpu; -1 leaves it.
inline Status PinToCpu(int cpu) {
  if (cpu < 0) return {};
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) == 0) return {};
  const int error = errno;
  Status status = ErrnoStatus("sched_setaffinity", "cpu " + std::to_string(cpu), error,
                              "name a cpu this process may use (taskset -p $$ lists them)");
  return error == EINVAL ? Status(StatusCode::kInvalidArgument, status.message()) : status;
}

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_CPU_H_

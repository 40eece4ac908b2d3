// BenchCleanup: no shared-memory object of a benchmark outlives it, however it ends. A signal that
// ends it removes them first; those of one that was killed are removed by the next.
//
// Threads: the main one, before any process is started. Takes SIGINT and SIGTERM.
#ifndef OMBUS_TOOLS_BENCH_CLEANUP_H_
#define OMBUS_TOOLS_BENCH_CLEANUP_H_

#include <string>

namespace ombus::tools {

// The prefix of every stream of this process' benchmarks, from now on cleaned up after.
std::string BenchStreamName();

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_BENCH_CLEANUP_H_

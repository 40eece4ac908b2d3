// Where a thread runs and where memory lies: pinning to a cpu, and the NUMA nodes of a cpu and of
// an address. Asks the kernel itself (sched_setaffinity, sysfs, move_pages), so that no topology
// library is needed for two questions.
//
// Threads: each call concerns the calling thread or none. Cost: system calls and files; not for the
// hot path.
#ifndef OMBUS_ENGINE_CPU_PIN_H_
#define OMBUS_ENGINE_CPU_PIN_H_

#include <string>
#include <string_view>

#include "ombus/status.h"

namespace ombus::engine {

inline constexpr int kCpuLimit = 8192;  // what CONFIG_NR_CPUS allows on x86
inline constexpr int kUnknownNode = -1;

// A cpu number from a flag or a file: decimal, nothing around it, below kCpuLimit.
Result<int> ParseCpu(std::string_view text);

// The calling thread on that cpu alone, read back afterwards. A refusal names the cpus allowed.
Status PinThisThread(int cpu);

// Whether the calling thread may run there; also true where the kernel does not say.
bool CpuIsAllowed(int cpu);

// The cpus the calling thread may use now, as "0-3,8"; empty when the kernel does not say.
std::string AllowedCpus();

// The NUMA node of a cpu; kUnknownNode where sysfs does not say. Tests bring their own sysfs.
int NumaNodeOfCpu(int cpu, const std::string& sysfs_cpus = "/sys/devices/system/cpu");

// The NUMA node of the page at an address that has been touched; kUnknownNode where the kernel does
// not say.
int NumaNodeOfMemory(const void* address);

// Empty if both are on one node, or one is unknown; else what it costs and what to do.
std::string NumaNote(int cpu, int cpu_node, int memory_node, const std::string& stream);

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_CPU_PIN_H_

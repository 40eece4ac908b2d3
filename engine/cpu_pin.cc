#include "engine/cpu_pin.h"

#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "ring/system_error.h"

namespace ombus::engine {
namespace {

// cpu_set_t ends at 1024 cpus; the kernel takes any multiple of a long.
constexpr size_t kWordBits = 8 * sizeof(unsigned long);
using CpuMask = std::array<unsigned long, kCpuLimit / kWordBits>;

bool Has(const CpuMask& mask, int cpu) {
  return (mask[static_cast<size_t>(cpu) / kWordBits] >> (cpu % kWordBits)) & 1;
}

bool ReadMask(CpuMask* mask) {
  mask->fill(0);
  return sched_getaffinity(0, sizeof *mask, reinterpret_cast<cpu_set_t*>(mask->data())) == 0;
}

Status PinError(int cpu, int error) {
  const Status status =
      SystemError("sched_setaffinity", "cpu " + std::to_string(cpu), error,
                  "choose one of the cpus this process may use: " + AllowedCpus() +
                      " (taskset and the cgroup's cpuset decide)");
  if (error == EPERM) return status;
  return Status(StatusCode::kInvalidArgument, status.message());
}

}  // namespace

Result<int> ParseCpu(std::string_view text) {
  int cpu = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (error == std::errc() && end == text.data() + text.size() && cpu >= 0 && cpu < kCpuLimit) {
    return cpu;
  }
  return Status(
      StatusCode::kInvalidArgument,
      "cpu \"" + std::string(text) + "\": EINVAL; give one cpu number, one of " + AllowedCpus());
}

Status PinThisThread(int cpu) {
  if (cpu < 0 || cpu >= kCpuLimit) return PinError(cpu, EINVAL);
  CpuMask mask{};
  mask[static_cast<size_t>(cpu) / kWordBits] |= 1ul << (cpu % kWordBits);
  if (sched_setaffinity(0, sizeof mask, reinterpret_cast<cpu_set_t*>(mask.data())) != 0) {
    return PinError(cpu, errno);
  }
  // The kernel intersects with the cpuset and may have kept something else.
  CpuMask got;
  if (!ReadMask(&got) || got != mask) return PinError(cpu, EBUSY);
  return Status();
}

bool CpuIsAllowed(int cpu) {
  CpuMask mask;
  if (cpu < 0 || cpu >= kCpuLimit) return false;
  return !ReadMask(&mask) || Has(mask, cpu);
}

std::string AllowedCpus() {
  CpuMask mask;
  std::string text;
  if (!ReadMask(&mask)) return text;
  for (int cpu = 0; cpu < kCpuLimit; ++cpu) {
    if (!Has(mask, cpu)) continue;
    int last = cpu;
    while (last + 1 < kCpuLimit && Has(mask, last + 1)) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(cpu);
    if (last > cpu) text += "-" + std::to_string(last);
    cpu = last;
  }
  return text;
}

int NumaNodeOfCpu(int cpu, const std::string& sysfs_cpus) {
  // The cpu's folder links to its node: cpu3/node0.
  DIR* folder = opendir((sysfs_cpus + "/cpu" + std::to_string(cpu)).c_str());
  if (folder == nullptr) return kUnknownNode;
  int node = kUnknownNode;
  while (const dirent* entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name.size() < 5 || name.substr(0, 4) != "node") continue;
    int number = 0;
    const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) node = number;
  }
  closedir(folder);
  return node;
}

int NumaNodeOfMemory(const void* address) {
  if (address == nullptr) return kUnknownNode;
  const auto page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  void* page = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) & ~(page_bytes - 1));
  int node = kUnknownNode;
  // Without target nodes move_pages moves nothing and says where each page is (Linux 2.6.18).
  const long failed = syscall(SYS_move_pages, 0, 1ul, &page, nullptr, &node, 0);
  return failed != 0 || node < 0 ? kUnknownNode : node;
}

std::string NumaNote(int cpu, int cpu_node, int memory_node, const std::string& stream) {
  if (cpu_node < 0 || memory_node < 0 || cpu_node == memory_node) return "";
  return "cpu " + std::to_string(cpu) + " is on NUMA node " + std::to_string(cpu_node) +
         ", the memory of stream \"" + stream + "\" on node " + std::to_string(memory_node) +
         ": every record crosses between them; pin the relay to a cpu of node " +
         std::to_string(memory_node);
}

}  // namespace ombus::engine

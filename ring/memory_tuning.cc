#include "ring/memory_tuning.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

#include "ring/base/errno_name.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1
#endif

namespace ombus {
namespace {

// From linux/mempolicy.h: the library that wraps these two calls would be all we use of it.
constexpr int kMpolBind = 2;
constexpr unsigned kMpolMfMove = 2;
constexpr int kNumaNodesMax = 1024;
constexpr size_t kPagesLookedAt = 512;

std::string ReadWord(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string Of(uint64_t got, uint64_t wanted) {
  return std::to_string(got) + " of " + std::to_string(wanted) + " bytes";
}

// Empty: something else is the cause. The calls themselves give neither for what we ask of them,
// but for mlock where the limit is 0.
std::string WhyForbidden(int error) {
  if (error != EPERM && error != EACCES && error != ENOSYS) return {};
  return ErrnoName(error) +
         "; this kernel or sandbox does not allow the call (a container's seccomp profile, say)";
}

// Empty: it went well.
std::string WhyNotHuge(std::byte* memory, uint64_t bytes) {
  const uint64_t whole = bytes / kHugePageBytes * kHugePageBytes;
  if (whole == 0) return "the ring is smaller than a page of 2 MiB; raise capacity";
  // Asks for them where the mount says huge=advise; elsewhere it changes nothing.
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  int tries = 3;  // EAGAIN: a page was in use this moment
  while (madvise(memory, whole, MADV_COLLAPSE) != 0) {
    if (errno == EAGAIN && --tries > 0) continue;
    const int error = errno;
    if (const std::string forbidden = WhyForbidden(error); !forbidden.empty()) {
      return "madvise(MADV_COLLAPSE): " + forbidden;
    }
    if (error == EINVAL) {
      return "madvise(MADV_COLLAPSE): EINVAL; needs Linux 6.1 and transparent huge pages, or mount "
             "-o remount,huge=within_size /dev/shm (shmem_enabled is \"" +
             ReadWord("/sys/kernel/mm/transparent_hugepage/shmem_enabled") + "\")";
    }
    return "madvise(MADV_COLLAPSE): " + ErrnoName(error) +
           "; too little unfragmented memory is free: create the ring early, or free some "
           "(echo 1 > /proc/sys/vm/compact_memory)";
  }
  return {};
}

std::string WhyNotLocked(std::byte* memory, uint64_t bytes) {
  if (mlock(memory, bytes) == 0) return {};
  const int error = errno;
  struct rlimit limit = {};
  (void)getrlimit(RLIMIT_MEMLOCK, &limit);
  if (error != EPERM || limit.rlim_cur != 0) {
    if (const std::string forbidden = WhyForbidden(error); !forbidden.empty()) {
      return "mlock: " + forbidden;
    }
  }
  return "mlock: " + ErrnoName(error) + "; the limit is " + std::to_string(limit.rlim_cur) +
         " bytes for all that this process locks: raise it (ulimit -l, LimitMEMLOCK=) or grant "
         "CAP_IPC_LOCK";
}

std::string WhyNotBound(std::byte* memory, uint64_t bytes, int node) {
  if (node >= kNumaNodesMax) return "numa_node " + std::to_string(node) + ": at most 1023";
  constexpr size_t kWordBits = 8 * sizeof(unsigned long);
  std::array<unsigned long, kNumaNodesMax / kWordBits> mask = {};
  mask[static_cast<size_t>(node) / kWordBits] |= 1ul << (static_cast<size_t>(node) % kWordBits);
  if (syscall(SYS_mbind, memory, bytes, kMpolBind, mask.data(), kNumaNodesMax + 1, kMpolMfMove) ==
      0) {
    return {};
  }
  const int error = errno;
  if (const std::string forbidden = WhyForbidden(error); !forbidden.empty()) {
    return "mbind: " + forbidden;
  }
  return "mbind: " + ErrnoName(error) + "; this process may use the nodes " +
         ReadWord("/sys/devices/system/node/has_memory") + " at most (numactl --hardware)";
}

// The node that holds all of some pages, evenly spread; -1 if there are several or none is known,
// and then *refused may say why.
int NodeOf(std::byte* memory, uint64_t bytes, std::string* refused) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t pages = (bytes + page - 1) / page;
  const size_t count = static_cast<size_t>(std::min<uint64_t>(pages, kPagesLookedAt));
  std::array<void*, kPagesLookedAt> addresses;
  std::array<int, kPagesLookedAt> nodes;
  for (size_t i = 0; i < count; ++i) addresses[i] = memory + i * pages / count * page;
  if (syscall(SYS_move_pages, 0, count, addresses.data(), nullptr, nodes.data(), 0) != 0) {
    const int error = errno;
    const std::string forbidden = WhyForbidden(error);
    *refused = "move_pages: " + (forbidden.empty() ? ErrnoName(error) : forbidden);
    return -1;
  }
  for (size_t i = 0; i < count; ++i) {
    if (nodes[i] < 0 || nodes[i] != nodes[0]) return -1;
  }
  return nodes[0];
}

void Warn(const char* what, const std::string& why, MemoryReport* report) {
  report->warnings.push_back(std::string(what) + ": " + why);
}

// Where the calls said that all went well, and the figures do not.
void WarnAsFar(const char* what, const std::string& got, const std::string& why_not,
               const char* why_else, MemoryReport* report) {
  Warn(what, got + "; " + (why_not.empty() ? why_else : why_not), report);
}

// "Rss:    8 kB" as bytes.
bool TakeField(std::string_view line, std::string_view name, uint64_t* bytes) {
  if (!line.starts_with(name)) return false;
  line.remove_prefix(name.size());
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  uint64_t kib = 0;
  (void)std::from_chars(line.data(), line.data() + line.size(), kib);
  *bytes += kib * 1024;
  return true;
}

}  // namespace

MemoryReport ReadSmaps(std::istream& smaps, uint64_t address) {
  MemoryReport report;
  bool ours = false;
  uint64_t hugetlb = 0, resident = 0;
  for (std::string line; std::getline(smaps, line);) {
    uint64_t start = 0;
    const char* const end = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data(), end, start, 16);
    if (error == std::errc() && stop != end && *stop == '-') {
      if (ours) break;
      ours = start == address;
      continue;
    }
    if (!ours) continue;
    if (TakeField(line, "Size:", &report.mapped_bytes)) continue;
    if (TakeField(line, "ShmemPmdMapped:", &report.huge_bytes)) continue;
    if (TakeField(line, "FilePmdMapped:", &report.huge_bytes)) continue;
    if (TakeField(line, "Shared_Hugetlb:", &hugetlb)) continue;
    if (TakeField(line, "Private_Hugetlb:", &hugetlb)) continue;
    if (TakeField(line, "Rss:", &resident)) continue;
    // Not "Locked:", which is this mapping's share of what several processes have locked.
    if (line.starts_with("VmFlags:") && (line + " ").find(" lo ") != std::string::npos) {
      report.locked_bytes = resident;
    }
  }
  report.huge_bytes += hugetlb;
  report.locked_bytes = std::max(report.locked_bytes, hugetlb);  // such pages stay in memory
  return report;
}

// The figures decide, not the calls' results: a call may succeed and do little.
void AddWarnings(const MemoryOptions& options, uint64_t bytes, const MemoryRefusals& refusals,
                 MemoryReport* report) {
  const uint64_t whole = bytes / kHugePageBytes * kHugePageBytes;
  // One page of a hugetlbfs holds a smaller ring, too.
  if (options.huge_pages && (report->huge_bytes == 0 || report->huge_bytes < whole)) {
    WarnAsFar("huge pages", Of(report->huge_bytes, bytes), refusals.huge,
              "some were split again: memory is short", report);
  }
  if (options.lock && report->locked_bytes < bytes) {
    WarnAsFar("lock", Of(report->locked_bytes, bytes), refusals.lock,
              "it was unlocked again by this process (munlock, munlockall)", report);
  }
  if (options.numa_node >= 0 && !refusals.bind.empty()) {
    Warn("numa node", refusals.bind, report);
  } else if (options.numa_node >= 0 && report->numa_node < 0 && !refusals.look.empty()) {
    Warn("numa node", "where the pages are is not known; " + refusals.look, report);
  } else if (options.numa_node >= 0 && report->numa_node != options.numa_node) {
    Warn("numa node",
         "pages are on node " + std::to_string(report->numa_node) + " (-1: several), not on " +
             std::to_string(options.numa_node) +
             "; those that another process has mapped stay where they are, and a full node takes "
             "none: create the stream before its readers come, and see numactl --hardware",
         report);
  }
}

MemoryReport TuneMemory(const ShmObject& object, uint64_t bytes, const MemoryOptions& options) {
  std::byte* const memory = object.memory();
  const bool huge = object.OnHugePages();
  if (!options.huge_pages && !options.lock && options.numa_node < 0 && !huge) {
    MemoryReport report;
    report.mapped_bytes = bytes;
    return report;
  }
  MemoryRefusals refusals;
  if (options.numa_node >= 0) {
    refusals.bind = WhyNotBound(memory, object.mapped_bytes(), options.numa_node);
  }
  if (options.huge_pages && !huge) refusals.huge = WhyNotHuge(memory, bytes);
  if (options.lock) refusals.lock = WhyNotLocked(memory, bytes);
  std::ifstream smaps("/proc/self/smaps");
  MemoryReport report = ReadSmaps(smaps, reinterpret_cast<uint64_t>(memory));
  if (report.mapped_bytes == 0) {
    report.mapped_bytes = bytes;
    Warn("memory", "/proc/self/smaps cannot be read, so what was got is not known", &report);
  }
  report.numa_node = NodeOf(memory, bytes, &refusals.look);
  AddWarnings(options, bytes, refusals, &report);
  return report;
}

}  // namespace ombus

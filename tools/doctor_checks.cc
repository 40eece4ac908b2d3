#include "tools/doctor_checks.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>

#include "net/backend_select.h"
#include "net/io_options.h"
#include "ring/base/errno_name.h"
#include "tools/errno_status.h"
#include "tools/flags.h"
#include "tools/table.h"
#ifdef OMBUS_HAVE_IOURING
#include "net/uring_compat.h"
#include "net/uring_probe.h"
#endif

namespace ombus::tools {
namespace {

constexpr int kCapIpcLock = 14;
constexpr uint64_t kOwnDescriptors = 64;  // beside the clients'

// The first line; nothing where there is no such file.
std::optional<std::string> ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<uint64_t> ReadNumber(const std::string& path) {
  const std::optional<std::string> line = ReadLine(path);
  uint64_t number = 0;
  if (!line.has_value() || !ParseNumber(*line, &number)) return std::nullopt;
  return number;
}

// The number after "key:" in a file of such lines, as /proc/meminfo is; its unit is not looked at.
std::optional<uint64_t> ReadField(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream words(line.substr(key.size() + 1));
    std::string word;
    uint64_t number = 0;
    if (words >> word && ParseNumber(word, &number)) return number;
    return std::nullopt;
  }
  return std::nullopt;
}

// "always [madvise] never" → "madvise".
std::string Chosen(const std::string& line) {
  const size_t open = line.find('['), close = line.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return line;
  return line.substr(open + 1, close - open - 1);
}

std::string LimitText(uint64_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : WithThousands(limit);
}

// A refusal reads `call "object": ERRNO; cure`.
Finding FromRefusal(const char* check, Health health, const Status& refusal,
                    const std::string& consequence) {
  const std::string& text = refusal.message();
  const size_t cure = text.find("; ");
  return {check, health, text.substr(0, cure) + consequence,
          cure == std::string::npos ? "" : text.substr(cure + 2)};
}

Finding CheckDescriptors(const HostLimits& limits, const DoctorNeeds& needs) {
  const uint64_t wanted = needs.clients + kOwnDescriptors;
  const std::string fact = "soft " + LimitText(limits.descriptors_soft) + ", hard " +
                           LimitText(limits.descriptors_hard) + "; " +
                           WithThousands(needs.clients) + " clients need " + WithThousands(wanted);
  if (limits.descriptors_soft >= wanted) return {"descriptors", Health::kOk, fact, ""};
  if (limits.descriptors_hard >= wanted) {
    return {"descriptors", Health::kWarn, fact, "ulimit -n " + std::to_string(wanted)};
  }
  return {"descriptors", Health::kFail, fact,
          "LimitNOFILE= of the service, or /etc/security/limits.conf"};
}

// The log is mapped twice, and both mappings are registered.
Finding CheckMemlock(const HostLimits& limits, const DoctorNeeds& needs) {
  const uint64_t wanted = 2 * needs.log_bytes + (1u << 20);
  const std::string fact = LimitText(limits.memlock) +
                           (limits.memlock == RLIM_INFINITY ? "" : " bytes") +
                           (limits.may_lock ? ", and CAP_IPC_LOCK" : "") +
                           "; a registered log needs " + WithThousands(wanted);
  if (limits.may_lock || limits.memlock >= wanted) return {"memlock", Health::kOk, fact, ""};
  return {"memlock", Health::kWarn, fact + "; part or all of the sends will be plain",
          "ulimit -l, LimitMEMLOCK= of the service, or setcap cap_ipc_lock+ep"};
}

Finding CheckCpus(const HostLimits& limits) {
  const std::string fact = std::to_string(limits.cpus) + " usable by this process";
  if (limits.cpus >= 2) return {"cpus", Health::kOk, fact, ""};
  return {"cpus", Health::kWarn, fact + "; producer and relay take turns",
          "give the process two cpus or more, and relays --idle sleep"};
}

Finding CheckIsolation(const std::string& root) {
  const std::string cpu = root + "/sys/devices/system/cpu/";
  const std::string isolated = ReadLine(cpu + "isolated").value_or("");
  const std::string nohz = ReadLine(cpu + "nohz_full").value_or("");
  const std::string none = "none";
  const bool has_nohz = !nohz.empty() && nohz.find("null") == std::string::npos;
  const std::string fact = "isolated " + (isolated.empty() ? none : isolated) + ", without ticks " +
                           (has_nohz ? nohz : none);
  if (!isolated.empty()) return {"cpu-isolation", Health::kOk, fact, ""};
  return {"cpu-isolation", Health::kNote, fact,
          "for the lowest tail latency boot with isolcpus= and nohz_full=, and use --cpu"};
}

Finding CheckGovernor(const std::string& root) {
  const auto governor = ReadLine(root + "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  if (!governor.has_value()) {
    return {"governor", Health::kOk, "none: the host or hypervisor sets the clock", ""};
  }
  if (*governor == "performance") return {"governor", Health::kOk, *governor, ""};
  return {"governor", Health::kWarn, *governor + ": the clock follows the load",
          "cpupower frequency-set -g performance"};
}

Finding CheckSmt(const std::string& root) {
  const auto active = ReadNumber(root + "/sys/devices/system/cpu/smt/active");
  if (active.value_or(0) == 0) return {"smt", Health::kOk, "off", ""};
  return {"smt", Health::kNote, "on: neighbouring threads share a core",
          "pin producer and relay to different cores (lscpu -e)"};
}

Finding CheckNuma(const std::string& root) {
  const std::string nodes = ReadLine(root + "/sys/devices/system/node/online").value_or("0");
  const bool many = nodes.find_first_of(",-") != std::string::npos;
  if (!many) return {"numa", Health::kOk, "one node", ""};
  const bool balancing = ReadNumber(root + "/proc/sys/kernel/numa_balancing").value_or(0) != 0;
  return {"numa", balancing ? Health::kWarn : Health::kNote,
          "nodes " + nodes + (balancing ? ", and the kernel moves pages between them" : ""),
          balancing ? "sysctl -w kernel.numa_balancing=0; keep producer and relay on one node"
                    : "keep producer and relay on one node"};
}

Finding CheckHugePages(const std::string& root) {
  const std::string folder = root + "/sys/kernel/mm/transparent_hugepage/";
  const auto enabled = ReadLine(folder + "enabled");
  if (!enabled.has_value()) {
    return {"huge-pages", Health::kNote, "the kernel has none that are transparent",
            "large rings and logs are a little slower; use a kernel with "
            "CONFIG_TRANSPARENT_HUGEPAGE"};
  }
  const std::string shmem = Chosen(ReadLine(folder + "shmem_enabled").value_or("never"));
  const std::string defrag = Chosen(ReadLine(folder + "defrag").value_or("unknown"));
  const std::string fact = Chosen(*enabled) + ", shared memory " + shmem + ", defrag " + defrag;
  if (Chosen(*enabled) == "never") {
    return {"huge-pages", Health::kNote, fact,
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled; pays from tens of MiB up"};
  }
  if (shmem == "deny") {  // which a broadcast log is, and asking for them does not help then
    return {
        "huge-pages", Health::kNote, fact,
        "echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled, which still gives them "
        "to those that ask"};
  }
  return {"huge-pages", Health::kOk, fact, ""};
}

// Pages that are set aside for whoever maps them by name: streams that are files on a hugetlbfs.
Finding CheckHugetlb(const std::string& root) {
  const auto total = ReadField(root + "/proc/meminfo", "HugePages_Total");
  const auto free = ReadField(root + "/proc/meminfo", "HugePages_Free");
  const auto kib = ReadField(root + "/proc/meminfo", "Hugepagesize");
  if (!total.has_value() || !free.has_value() || !kib.has_value()) {
    return {"hugetlb", Health::kOk, "no pool in this kernel; ombus needs none", ""};
  }
  const std::string fact = WithThousands(*total) + " pages of " + WithThousands(*kib) +
                           " KiB in the pool, " + WithThousands(*free) + " free";
  if (*free == 0) return {"hugetlb", Health::kOk, fact + "; ombus needs none", ""};
  return {"hugetlb", Health::kNote, fact + ": memory that only streams by path can use",
          "give streams as paths on a hugetlbfs, --stream /dev/hugepages/NAME; or sysctl -w "
          "vm.nr_hugepages=0, unless another program is to have them"};
}

Finding CheckBacklog(const std::string& root) {
  const uint64_t most = ReadNumber(root + "/proc/sys/net/core/somaxconn").value_or(4096);
  const std::string fact = "somaxconn " + std::to_string(most);
  if (most >= 1024) return {"backlog", Health::kOk, fact, ""};
  return {"backlog", Health::kWarn, fact + ": storms of connects are turned away",
          "sysctl -w net.core.somaxconn=4096"};
}

Finding CheckSlowStart(const std::string& root) {
  const bool on =
      ReadNumber(root + "/proc/sys/net/ipv4/tcp_slow_start_after_idle").value_or(0) != 0;
  if (!on) return {"tcp-idle", Health::kOk, "a connection keeps its pace over a pause", ""};
  return {"tcp-idle", Health::kNote, "after a pause a connection begins slowly again",
          "for bursts to distant clients: sysctl -w net.ipv4.tcp_slow_start_after_idle=0"};
}

Finding CheckCongestion(const std::string& root) {
  const std::string folder = root + "/proc/sys/net/ipv4/";
  const std::string now = ReadLine(folder + "tcp_congestion_control").value_or("unknown");
  const std::string all = ReadLine(folder + "tcp_available_congestion_control").value_or(now);
  return {"congestion", Health::kOk, now + " (available: " + all + ")", ""};
}

Finding CheckBusyPoll(const std::string& root, const HostLimits& limits) {
  if (!limits.busy_poll.ok()) {
    return FromRefusal("busy-poll", Health::kNote, limits.busy_poll,
                       "; --busy-poll-us of that and more fails");
  }
  const auto epoll_us = ReadNumber(root + "/proc/sys/net/core/busy_poll");
  return {"busy-poll", Health::kOk,
          "SO_BUSY_POLL is granted" + (epoll_us.has_value()
                                           ? "; net.core.busy_poll, by which epoll waits, is " +
                                                 std::to_string(*epoll_us) + " us"
                                           : ""),
          ""};
}

Finding CheckClock(const std::string& root) {
  const std::string path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
  const std::string source = ReadLine(root + path).value_or("unknown");
  const bool fast = source == "tsc" || source == "kvm-clock" ||
                    source == "hyperv_clocksource_tsc_page" || source == "arch_sys_counter";
  if (fast) return {"clock", Health::kOk, source + ": read without a system call", ""};
  return {"clock", Health::kWarn, source + ": reading it may be a system call",
          "boot with clocksource=tsc where the cpu's is stable"};
}

Finding CheckInotify(const std::string& root) {
  const uint64_t most = ReadNumber(root + "/proc/sys/fs/inotify/max_user_instances").value_or(128);
  const std::string fact = std::to_string(most) + " instances a user";
  if (most >= 16) return {"inotify", Health::kOk, fact, ""};
  return {"inotify", Health::kWarn, fact + ": a sleeping relay may have to poll instead",
          "sysctl -w fs.inotify.max_user_instances=128"};
}

#ifdef OMBUS_HAVE_IOURING
Finding CheckFixedWrites() {
  const auto flags = net::ProbeFixedWriteFlags();
  if (!flags.has_value()) {
    return {"io_uring-fixed", Health::kWarn, "registered buffers would wait at a full socket",
            "Linux 6.4 or later; until then sends are plain"};
  }
  const bool quiet = (*flags & net::kWriteNoSignal) != 0;
  return {"io_uring-fixed", Health::kOk,
          quiet ? "registered buffers, without SIGPIPE"
                : "registered buffers; SIGPIPE is masked for each call (Linux 6.18 needs no mask)",
          ""};
}

Finding CheckPollingThread() {
  const Status granted = net::ProbePollingThread();
  if (!granted.ok()) {
    return FromRefusal("io_uring-sqpoll", Health::kNote, granted, "; --sq-poll is left out");
  }
  return {"io_uring-sqpoll", Health::kOk, "SQPOLL is granted: a kernel thread, which takes a core",
          ""};
}

Finding CheckNapi() {
  const int result = net::ProbeNapiBusyPoll();
  if (result == 0) {
    return {"io_uring-napi", Health::kOk, "NAPI busy polling is granted, where a card has it", ""};
  }
  return {"io_uring-napi", Health::kNote,
          "no NAPI busy polling: " + ErrnoName(-result) + "; --napi-busy-poll-us is left out",
          "Linux 6.9 or later with CONFIG_NET_RX_BUSY_POLL"};
}

Finding CheckZeroCopy() {
  if (net::ProbeZeroCopySend()) return {"io_uring-zc", Health::kOk, "SEND_ZC is there", ""};
  return {"io_uring-zc", Health::kNote, "no SEND_ZC: --send-mode zc and auto are fixed",
          "Linux 6.2 or later"};
}
#endif

}  // namespace

HostLimits ReadHostLimits() {
  HostLimits limits;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limits.descriptors_soft = limit.rlim_cur;
  limits.descriptors_hard = limit.rlim_max;
  getrlimit(RLIMIT_MEMLOCK, &limit);
  limits.memlock = limit.rlim_cur;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
    limits.cpus = static_cast<uint32_t>(CPU_COUNT(&cpus));
  }
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("CapEff:")) continue;
    uint64_t capabilities = 0;
    std::istringstream(line.substr(7)) >> std::hex >> capabilities;
    limits.may_lock = (capabilities >> kCapIpcLock & 1) != 0;
  }
  limits.busy_poll = net::ProbeBusyPoll();
  return limits;
}

std::vector<Finding> CheckHost(const std::string& root, const HostLimits& limits,
                               const DoctorNeeds& needs) {
  return {CheckDescriptors(limits, needs),
          CheckMemlock(limits, needs),
          CheckCpus(limits),
          CheckIsolation(root),
          CheckGovernor(root),
          CheckSmt(root),
          CheckNuma(root),
          CheckHugePages(root),
          CheckHugetlb(root),
          CheckClock(root),
          CheckBacklog(root),
          CheckCongestion(root),
          CheckSlowStart(root),
          CheckBusyPoll(root, limits),
          CheckInotify(root)};
}

std::vector<Finding> CheckIoUring() {
  utsname name{};
  uname(&name);
  const Status usable = net::ProbeUring();
  if (!usable.ok()) return {FromRefusal("io_uring", Health::kWarn, usable, "; epoll is used")};
  std::vector<Finding> findings = {
      {"io_uring", Health::kOk, "all that ombus needs, on Linux " + std::string(name.release), ""}};
#ifdef OMBUS_HAVE_IOURING
  findings.push_back(CheckFixedWrites());
  findings.push_back(CheckZeroCopy());
  findings.push_back(CheckPollingThread());
  findings.push_back(CheckNapi());
#endif
  return findings;
}

Finding CheckShm(const std::string& path, uint64_t bytes) {
  struct statvfs fs {};
  if (statvfs(path.c_str(), &fs) != 0) {
    const Status gone = ErrnoStatus("statvfs", path, errno, "mount -t tmpfs tmpfs " + path);
    return FromRefusal("shm", Health::kFail, gone, "");
  }
  const uint64_t free = uint64_t{fs.f_bavail} * fs.f_frsize,
                 all = uint64_t{fs.f_blocks} * fs.f_frsize;
  const std::string fact = HumanBytes(static_cast<double>(free)) + " of " +
                           HumanBytes(static_cast<double>(all)) + " free in " + path +
                           "; rings need " + HumanBytes(static_cast<double>(bytes));
  if (free >= bytes) return {"shm", Health::kOk, fact, ""};
  return {"shm", Health::kFail, fact,
          "mount -o remount,size=" + std::to_string((all - free + bytes) >> 20) + "M " + path +
              ", or docker run --shm-size"};
}

const char* NameOf(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kNote:
      return "note";
    case Health::kWarn:
      return "warn";
    case Health::kFail:
      return "FAIL";
  }
  return "unknown";
}

}  // namespace ombus::tools

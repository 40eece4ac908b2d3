#include "tools/doctor_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace ombus::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const HostLimits kGoodLimits = {
    .descriptors_soft = 4096, .descriptors_hard = 4096, .memlock = 64u << 20, .cpus = 4};

// A host made of files.
class FakeHost : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ombus-doctor-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  Finding Find(const std::string& check, const HostLimits& limits = kGoodLimits,
               const DoctorNeeds& needs = {}) {
    for (Finding& finding : CheckHost(root_, limits, needs)) {
      if (finding.check == check) return finding;
    }
    ADD_FAILURE() << "no check " << check;
    return {};
  }

  std::string root_;
};

TEST_F(FakeHost, WithoutAnyFileHasNoFailure) {
  for (const Finding& finding : CheckHost(root_, kGoodLimits, {})) {
    EXPECT_NE(finding.health, Health::kFail) << finding.check << ": " << finding.fact;
    EXPECT_FALSE(finding.fact.empty()) << finding.check;
    EXPECT_EQ(finding.health >= Health::kNote, !finding.cure.empty()) << finding.check;
  }
}

TEST_F(FakeHost, DescriptorsAreJudgedByWhatTheClientsNeed) {
  HostLimits limits = kGoodLimits;
  EXPECT_EQ(Find("descriptors", limits).health, Health::kOk);
  limits.descriptors_soft = 1024;
  EXPECT_EQ(Find("descriptors", limits).health, Health::kWarn);
  EXPECT_EQ(Find("descriptors", limits).cure, "ulimit -n 1088");
  limits.descriptors_hard = 1024;
  EXPECT_EQ(Find("descriptors", limits).health, Health::kFail);
  EXPECT_EQ(Find("descriptors", limits, {.clients = 100}).health, Health::kOk);
}

TEST_F(FakeHost, LockedMemoryIsJudgedByTheLogAndTheCapability) {
  HostLimits limits = kGoodLimits;
  EXPECT_EQ(Find("memlock", limits).health, Health::kOk);
  limits.memlock = 64u << 10;
  EXPECT_EQ(Find("memlock", limits).health, Health::kWarn);
  EXPECT_THAT(Find("memlock", limits).cure, HasSubstr("cap_ipc_lock"));
  limits.may_lock = true;
  EXPECT_EQ(Find("memlock", limits).health, Health::kOk);
}

TEST_F(FakeHost, BusyPollingIsJudgedByWhatTheKernelAnsweredAndTheCureIsIts) {
  HostLimits limits = kGoodLimits;
  EXPECT_EQ(Find("busy-poll", limits).health, Health::kOk);
  EXPECT_THAT(Find("busy-poll", limits).fact, Not(HasSubstr("epoll")));
  Write("/proc/sys/net/core/busy_poll", "50");
  EXPECT_THAT(Find("busy-poll", limits).fact, HasSubstr("by which epoll waits, is 50 us"));
  limits.busy_poll = Status(StatusCode::kPermissionDenied,
                            "setsockopt(SO_BUSY_POLL) \"26 us\": EPERM; raise that sysctl");
  EXPECT_EQ(Find("busy-poll", limits).health, Health::kNote);
  EXPECT_EQ(Find("busy-poll", limits).fact,
            "setsockopt(SO_BUSY_POLL) \"26 us\": EPERM; --busy-poll-us of that and more fails");
  EXPECT_EQ(Find("busy-poll", limits).cure, "raise that sysctl");
}

TEST_F(FakeHost, IsolatedCpusAndNoneAreToldApart) {
  EXPECT_EQ(Find("cpu-isolation").health, Health::kNote);
  Write("/sys/devices/system/cpu/isolated", "2-3");
  EXPECT_EQ(Find("cpu-isolation").health, Health::kOk);
  EXPECT_THAT(Find("cpu-isolation").fact, HasSubstr("2-3"));
}

TEST_F(FakeHost, AGovernorThatSavesPowerIsWarnedOf) {
  EXPECT_EQ(Find("governor").health, Health::kOk);
  Write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave");
  EXPECT_EQ(Find("governor").health, Health::kWarn);
  Write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance");
  EXPECT_EQ(Find("governor").health, Health::kOk);
}

TEST_F(FakeHost, SeveralNumaNodesAreNotedAndBalancingWarnedOf) {
  EXPECT_EQ(Find("numa").health, Health::kOk);
  Write("/sys/devices/system/node/online", "0-1");
  EXPECT_EQ(Find("numa").health, Health::kNote);
  Write("/proc/sys/kernel/numa_balancing", "1");
  EXPECT_EQ(Find("numa").health, Health::kWarn);
}

TEST_F(FakeHost, HugePagesThatAreOffAreNoted) {
  Write("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]");
  EXPECT_EQ(Find("huge-pages").health, Health::kNote);
  Write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
  Write("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always advise [never] deny force");
  EXPECT_EQ(Find("huge-pages").health, Health::kOk);
  Write("/sys/kernel/mm/transparent_hugepage/defrag", "always defer [madvise] never");
  EXPECT_EQ(Find("huge-pages").fact, "madvise, shared memory never, defrag madvise");
}

TEST_F(FakeHost, HugePagesDeniedToSharedMemoryAreNoted) {
  Write("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
  Write("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always advise never [deny] force");
  EXPECT_EQ(Find("huge-pages").health, Health::kNote);
  EXPECT_THAT(Find("huge-pages").cure, HasSubstr("shmem_enabled"));
}

TEST_F(FakeHost, AHugetlbPoolThatLiesIdleIsNoted) {
  EXPECT_EQ(Find("hugetlb").health, Health::kOk);
  Write("/proc/meminfo",
        "MemTotal: 24000000 kB\nHugePages_Total:      64\nHugePages_Free:        0\n"
        "HugePages_Rsvd:        0\nHugepagesize:       2048 kB");
  EXPECT_EQ(Find("hugetlb").health, Health::kOk);
  EXPECT_THAT(Find("hugetlb").fact, HasSubstr("64 pages of 2,048 KiB in the pool, 0 free"));
  Write("/proc/meminfo",
        "HugePages_Total:    1500\nHugePages_Free:     1024\nHugepagesize:       2048 kB");
  EXPECT_EQ(Find("hugetlb").health, Health::kNote);
  EXPECT_THAT(Find("hugetlb").fact, HasSubstr("1,500 pages of 2,048 KiB in the pool, 1,024 free"));
  EXPECT_THAT(Find("hugetlb").fact, HasSubstr("streams by path"));
  EXPECT_THAT(Find("hugetlb").cure, HasSubstr("--stream /dev/hugepages/"));
}

TEST_F(FakeHost, SmallQueuesSlowClocksAndFewWatchesAreWarnedOf) {
  Write("/proc/sys/net/core/somaxconn", "128");
  EXPECT_EQ(Find("backlog").health, Health::kWarn);
  Write("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
  EXPECT_EQ(Find("clock").health, Health::kWarn);
  Write("/proc/sys/fs/inotify/max_user_instances", "1");
  EXPECT_EQ(Find("inotify").health, Health::kWarn);
  Write("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "1");
  EXPECT_EQ(Find("tcp-idle").health, Health::kNote);
  Write("/sys/devices/system/cpu/smt/active", "1");
  EXPECT_EQ(Find("smt").health, Health::kNote);
}

TEST_F(FakeHost, FilesWithNonsenseInThemDoNoHarm) {
  for (const char* path :
       {"/proc/sys/net/core/somaxconn", "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/devices/system/node/online", "/sys/devices/system/cpu/smt/active",
        "/sys/kernel/mm/transparent_hugepage/shmem_enabled"}) {
    Write(path, "]\x01[ 99999999999999999999");
  }
  Write("/proc/meminfo", "HugePages_Total:\nHugePages_Free: 99999999999999999999\nHugepagesize: x");
  for (const Finding& finding : CheckHost(root_, kGoodLimits, {})) {
    EXPECT_NE(finding.health, Health::kFail) << finding.check;
  }
}

TEST(DoctorChecks, ShmMustBeThereAndHaveRoom) {
  EXPECT_EQ(CheckShm("/dev/shm", 1).health, Health::kOk);
  const Finding full = CheckShm("/dev/shm", uint64_t{1} << 60);
  EXPECT_EQ(full.health, Health::kFail);
  EXPECT_THAT(full.cure, HasSubstr("remount,size="));
  const Finding gone = CheckShm("/nonesuch/shm", 1);
  EXPECT_EQ(gone.health, Health::kFail);
  EXPECT_THAT(gone.fact, HasSubstr("ENOENT"));
}

TEST(DoctorChecks, IoUringIsTriedOutAndNeverAFailure) {
  const auto findings = CheckIoUring();
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].check, "io_uring");
  for (const Finding& finding : findings) {
    EXPECT_NE(finding.health, Health::kFail);
    EXPECT_EQ(finding.health == Health::kOk, finding.cure.empty()) << finding.check;
  }
}

TEST(DoctorChecks, OwnLimitsAreReal) {
  const HostLimits limits = ReadHostLimits();
  EXPECT_GE(limits.cpus, 1u);
  EXPECT_GE(limits.descriptors_soft, 3u);
  EXPECT_LE(limits.descriptors_soft, limits.descriptors_hard);
}

}  // namespace
}  // namespace ombus::tools

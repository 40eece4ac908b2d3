#include "engine/cpu_pin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace ombus::engine {
namespace {

using ::testing::HasSubstr;

TEST(CpuPinTest, ACpuIsADecimalNumberAndNothingElse) {
  EXPECT_EQ(*ParseCpu("0"), 0);
  EXPECT_EQ(*ParseCpu("17"), 17);
  for (const char* bad : {"", "-1", "x", "1x", " 1", "1 ", "0x1", "8192", "99999999999999999999"}) {
    const Result<int> cpu = ParseCpu(bad);
    ASSERT_FALSE(cpu.ok()) << bad;
    EXPECT_EQ(cpu.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(cpu.status().message(), HasSubstr("one of"));
  }
}

TEST(CpuPinTest, APinnedThreadRunsOnThatCpuAlone) {
  // In a thread of its own, so that the other tests keep their cpus.
  std::thread([] {
    const int cpu = sched_getcpu();
    ASSERT_TRUE(PinThisThread(cpu).ok());
    EXPECT_EQ(AllowedCpus(), std::to_string(cpu));
    EXPECT_EQ(sched_getcpu(), cpu);
  }).join();
}

TEST(CpuPinTest, ACpuThatIsNotThereIsRefusedNamingThoseAllowed) {
  for (const int cpu : {-1, kCpuLimit - 1, kCpuLimit}) {
    const Status status = PinThisThread(cpu);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("EINVAL"));
    EXPECT_THAT(status.message(), HasSubstr(AllowedCpus()));
  }
}

TEST(CpuPinTest, ARefusedPinLeavesTheThreadWhereItWas) {
  const std::string before = AllowedCpus();
  EXPECT_FALSE(PinThisThread(kCpuLimit - 1).ok());
  EXPECT_EQ(AllowedCpus(), before);
}

class SysfsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "/sysfs-" + std::to_string(getpid());
    ASSERT_EQ(mkdir(root_.c_str(), 0700), 0);
    ASSERT_EQ(mkdir((root_ + "/cpu3").c_str(), 0700), 0);
  }
  void TearDown() override {
    for (const char* folder : {"/cpu3/node2", "/cpu3/nodeX", "/cpu3", ""}) {
      rmdir((root_ + folder).c_str());
    }
  }
  std::string root_;
};

TEST_F(SysfsTest, ACpusNodeIsTheOneItsFolderLinksTo) {
  ASSERT_EQ(mkdir((root_ + "/cpu3/node2").c_str(), 0700), 0);
  ASSERT_EQ(mkdir((root_ + "/cpu3/nodeX").c_str(), 0700), 0);
  EXPECT_EQ(NumaNodeOfCpu(3, root_), 2);
}

TEST_F(SysfsTest, ACpuWithoutANodeIsOnAnUnknownOne) {
  EXPECT_EQ(NumaNodeOfCpu(3, root_), kUnknownNode);
  EXPECT_EQ(NumaNodeOfCpu(4, root_), kUnknownNode);
}

TEST(NumaTest, TheNodeOfTouchedMemoryIsKnownOrSaidToBeUnknown) {
  const int touched = 1;
  EXPECT_GE(NumaNodeOfMemory(&touched), kUnknownNode);
  EXPECT_EQ(NumaNodeOfMemory(nullptr), kUnknownNode);
}

TEST(NumaTest, ANoteIsMadeOnlyWhenBothNodesAreKnownAndDiffer) {
  EXPECT_EQ(NumaNote(1, 0, 0, "/s"), "");
  EXPECT_EQ(NumaNote(1, kUnknownNode, 0, "/s"), "");
  EXPECT_EQ(NumaNote(1, 0, kUnknownNode, "/s"), "");
  EXPECT_THAT(NumaNote(1, 0, 1, "/s"), HasSubstr("pin the relay to a cpu of node 1"));
}

}  // namespace
}  // namespace ombus::engine

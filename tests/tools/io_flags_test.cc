#include "tools/io_flags.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace ombus::tools {
namespace {

IoOptions Parse(const std::vector<std::string_view>& args) {
  IoFlags io;
  FlagTable flags;
  io.AddTo(&flags);
  const Status status = ParseFlags(flags, args);
  EXPECT_TRUE(status.ok()) << status.message();
  return io.Options();
}

TEST(IoFlags, GivenNoneAreTheLibrarysDefaults) {
  const IoOptions options = Parse({}), defaults;
  EXPECT_EQ(options.send_mode, defaults.send_mode);
  EXPECT_EQ(options.busy_poll_us, defaults.busy_poll_us);
  EXPECT_EQ(options.napi_busy_poll_us, defaults.napi_busy_poll_us);
  EXPECT_EQ(options.congestion_control, defaults.congestion_control);
  EXPECT_EQ(options.incoming_cpu, defaults.incoming_cpu);
  EXPECT_EQ(options.sq_poll, defaults.sq_poll);
  EXPECT_EQ(options.sq_poll_cpu, defaults.sq_poll_cpu);
}

TEST(IoFlags, EachReachesItsOption) {
  const IoOptions options =
      Parse({"--send-mode", "zc", "--busy-poll-us", "7", "--napi-busy-poll-us", "8",
             "--congestion-control", "cubic", "--incoming-cpu", "1", "--sq-poll"});
  EXPECT_EQ(options.send_mode, SendMode::kZeroCopy);
  EXPECT_EQ(options.busy_poll_us, 7u);
  EXPECT_EQ(options.napi_busy_poll_us, 8u);
  EXPECT_EQ(options.congestion_control, "cubic");
  EXPECT_EQ(options.incoming_cpu, 1);
  EXPECT_TRUE(options.sq_poll);
}

TEST(IoFlags, ASecondCpuIsRefusedAndNotLeftOut) {
  for (const std::string_view name : {"--incoming-cpu", "--sq-poll-cpu"}) {
    IoFlags io;
    FlagTable flags;
    io.AddTo(&flags);
    const std::vector<std::string_view> args = {name, "0,1"};
    EXPECT_EQ(ParseFlags(flags, args).code(), StatusCode::kInvalidArgument) << name;
  }
}

TEST(IoFlags, AnyModeHasAWord) {
  EXPECT_EQ(Parse({"--send-mode", "fixed"}).send_mode, SendMode::kFixed);
  EXPECT_EQ(Parse({"--send-mode", "plain"}).send_mode, SendMode::kPlain);
  EXPECT_EQ(Parse({"--send-mode", "auto"}).send_mode, SendMode::kAuto);
}

TEST(IoFlags, ACpuForThePollingThreadAsksForOne) {
  const IoOptions options = Parse({"--sq-poll-cpu", "1"});
  EXPECT_TRUE(options.sq_poll);
  EXPECT_EQ(options.sq_poll_cpu, 1);
}

}  // namespace
}  // namespace ombus::tools

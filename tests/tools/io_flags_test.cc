#include "tools/io_flags.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "ombus/server.h"

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
  EXPECT_EQ(options.sq_poll_idle_ms, defaults.sq_poll_idle_ms);
}

TEST(IoFlags, EachReachesItsOption) {
  const IoOptions options = Parse({"--send-mode", "zc", "--busy-poll-us", "7",
                                   "--napi-busy-poll-us", "8", "--congestion-control", "cubic",
                                   "--incoming-cpu", "1", "--sq-poll", "--sq-poll-idle-ms", "2s"});
  EXPECT_EQ(options.send_mode, SendMode::kZeroCopy);
  EXPECT_EQ(options.busy_poll_us, 7u);
  EXPECT_EQ(options.napi_busy_poll_us, 8u);
  EXPECT_EQ(options.congestion_control, "cubic");
  EXPECT_EQ(options.incoming_cpu, 1);
  EXPECT_TRUE(options.sq_poll);
  EXPECT_EQ(options.sq_poll_idle_ms, 2000u);
}

TEST(IoFlags, ThePollingThreadIdlesFromAMillisecondToAMinute) {
  EXPECT_EQ(Parse({"--sq-poll-idle-ms", "1"}).sq_poll_idle_ms, 1u);
  EXPECT_EQ(Parse({"--sq-poll-idle-ms", "1min"}).sq_poll_idle_ms, 60'000u);
  for (const std::string_view value : {"0", "60001", "500us", "-1", "x", ""}) {
    IoFlags io;
    FlagTable flags;
    io.AddTo(&flags);
    const std::vector<std::string_view> args = {"--sq-poll-idle-ms", value};
    const Status status = ParseFlags(flags, args);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << value;
    EXPECT_NE(status.message().find("from 1 to 60000"), std::string::npos) << value;
  }
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

TEST(IoFlags, TheSendBufferIsTheKernelsUnlessGiven) {
  IoFlags io;
  FlagTable flags;
  io.AddTo(&flags);
  EXPECT_EQ(io.SendBufferBytes(), ServerOptions().send_buffer_bytes);
  const std::vector<std::string_view> args = {"--send-buffer-bytes", "64KiB"};
  ASSERT_TRUE(ParseFlags(flags, args).ok());
  EXPECT_EQ(io.SendBufferBytes(), 65536u);
}

TEST(IoFlags, AnyModeHasAWord) {
  EXPECT_EQ(Parse({"--send-mode", "fixed"}).send_mode, SendMode::kFixed);
  EXPECT_EQ(Parse({"--send-mode", "plain"}).send_mode, SendMode::kPlain);
  EXPECT_EQ(Parse({"--send-mode", "auto"}).send_mode, SendMode::kAuto);
}

TEST(IoFlags, ACpuOrAnIdleTimeForThePollingThreadAsksForOne) {
  const IoOptions options = Parse({"--sq-poll-cpu", "1"});
  EXPECT_TRUE(options.sq_poll);
  EXPECT_EQ(options.sq_poll_cpu, 1);
  EXPECT_TRUE(Parse({"--sq-poll-idle-ms", "100"}).sq_poll);
}

}  // namespace
}  // namespace ombus::tools

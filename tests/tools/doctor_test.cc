// ombus doctor, as a person runs it.
#include <gmock/gmock.h>

#include <sstream>
#include <string>

#include "command_fixture.h"

namespace ombus::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Doctor = CommandTest;

TEST_F(Doctor, WithModestNeedsThisHostWillDo) {
  CommandProcess doctor(folder_, {"doctor", "--clients", "1", "--ring-bytes", "4096"});
  EXPECT_EQ(doctor.Wait(), 0) << doctor.Out() << doctor.Err();
  for (const char* check : {"io_uring", "shm", "descriptors", "memlock", "cpus", "cpu-isolation",
                            "governor", "numa", "huge-pages", "backlog", "busy-poll"}) {
    EXPECT_THAT(doctor.Out(), HasSubstr(check));
  }
  EXPECT_THAT(doctor.Out(), Not(HasSubstr("FAIL")));
}

TEST_F(Doctor, WhatWillNotWorkIsExitCodeOneAndHasACure) {
  CommandProcess doctor(folder_, {"doctor", "--quiet", "--json", "--ring-bytes", "1048576GiB"});
  EXPECT_EQ(doctor.Wait(), 1) << doctor.Err();
  std::istringstream lines(doctor.Out());
  size_t failures = 0;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(line.front(), '{');
    EXPECT_EQ(line.back(), '}');
    EXPECT_THAT(line, Not(HasSubstr("\"verdict\":\"ok\"")));
    EXPECT_THAT(line, Not(HasSubstr("\"cure\":\"\"")));
    failures += line.find("\"verdict\":\"FAIL\"") != std::string::npos;
  }
  EXPECT_GE(failures, 1u);
  EXPECT_THAT(doctor.Out(), HasSubstr("--shm-size"));
}

TEST_F(Doctor, TakesNoOtherArguments) {
  ExpectFailure({"doctor", "--fix"}, 2, {"--fix", "no such flag"});
  ExpectFailure({"doctor", "--clients", "0"}, 2, {"--clients", "from 1"});
}

}  // namespace
}  // namespace ombus::tools

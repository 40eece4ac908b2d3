// CommandTest: a folder and a stream name of the test's own, both removed at its end.
#ifndef OMBUS_TESTS_TOOLS_COMMAND_FIXTURE_H_
#define OMBUS_TESTS_TOOLS_COMMAND_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "command_process.h"

namespace ombus::tools {

class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    const std::string id = std::to_string(getpid()) + "-" +
                           testing::UnitTest::GetInstance()->current_test_info()->name();
    stream_ = "/ombus-test-" + id;
    folder_ = (std::filesystem::temp_directory_path() / ("ombus-test-" + id)).string();
    std::filesystem::create_directories(folder_);
  }
  ~CommandTest() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::remove("/dev/shm" + stream_);
  }

  // Runs a command to its end and expects the code and, in what it wrote to stderr, every word.
  void ExpectFailure(std::vector<std::string> args, int code, std::vector<std::string> words) {
    std::string line;
    for (const std::string& arg : args) line += arg.substr(0, 80) + " ";
    SCOPED_TRACE(line);
    CommandProcess command(folder_, std::move(args));
    EXPECT_EQ(command.Wait(), code) << command.Err();
    for (const std::string& word : words) {
      EXPECT_NE(command.Err().find(word), std::string::npos)
          << "no \"" << word << "\" in: " << command.Err();
    }
  }

  // Whether this many consumers are attached to the stream.
  bool HasConsumers(size_t count) {
    CommandProcess stat(folder_, {"stat", "--stream", stream_, "--interval-ms", "0", "--json"});
    if (stat.Wait() != 0) return false;
    const std::string text = stat.Out();
    size_t found = 0;
    for (size_t at = 0; (at = text.find("\"state\":\"live\"", at)) != std::string::npos; ++at) {
      ++found;
    }
    return found == count;
  }

  std::string stream_, folder_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TESTS_TOOLS_COMMAND_FIXTURE_H_

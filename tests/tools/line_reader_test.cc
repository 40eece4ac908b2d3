#include "tools/line_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace ombus::tools {
namespace {

class LineReaderTest : public testing::Test {
 protected:
  LineReaderTest() { EXPECT_EQ(pipe(pipe_), 0); }
  ~LineReaderTest() override {
    CloseInput();
    close(pipe_[0]);
  }
  void Write(std::string_view text) {
    ASSERT_EQ(write(pipe_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void CloseInput() {
    if (pipe_[1] >= 0) close(pipe_[1]);
    pipe_[1] = -1;
  }
  // All lines until something else happens, which goes to *last.
  std::vector<std::string> ReadAll(LineReader* reader, LineReader::State* last) {
    std::vector<std::string> lines;
    std::array<std::string_view, 3> out;
    while (true) {
      const LineReader::Lines read = reader->Read(out, 0);
      for (size_t i = 0; i < read.count; ++i) lines.emplace_back(out[i]);
      *last = read.state;
      if (read.state != LineReader::State::kLines) return lines;
    }
  }
  int pipe_[2] = {-1, -1};
};

TEST_F(LineReaderTest, LinesKeepTheirNewlinesAndTheLastNeedsNone) {
  using namespace std::string_view_literals;  // NOLINT: a NUL byte
  Write("one\n\nth\0ree\nlast"sv);
  CloseInput();
  LineReader reader(pipe_[0], "pipe", 100);
  LineReader::State last;
  const auto lines = ReadAll(&reader, &last);
  EXPECT_EQ(lines, (std::vector<std::string>{"one\n", "\n", std::string("th\0ree\n", 7), "last"}));
  EXPECT_EQ(last, LineReader::State::kEnd);
  EXPECT_EQ(reader.lines_read(), 4u);
}

TEST_F(LineReaderTest, HalfALineWaitsForItsRest) {
  LineReader reader(pipe_[0], "pipe", 100);
  LineReader::State last;
  Write("ab");
  EXPECT_TRUE(ReadAll(&reader, &last).empty());
  EXPECT_EQ(last, LineReader::State::kWaiting);
  Write("c\nd");
  EXPECT_EQ(ReadAll(&reader, &last), std::vector<std::string>{"abc\n"});
}

TEST_F(LineReaderTest, ALineAtTheLimitPassesAndOneByteMoreDoesNot) {
  Write("1234567\n12345678\nnever\n");
  CloseInput();
  LineReader reader(pipe_[0], "pipe", 8);
  LineReader::State last;
  EXPECT_EQ(ReadAll(&reader, &last), std::vector<std::string>{"1234567\n"});
  EXPECT_EQ(last, LineReader::State::kTooLong);
  EXPECT_EQ(reader.lines_read(), 1u);
}

TEST_F(LineReaderTest, AnEmptyInputEndsAtOnce) {
  CloseInput();
  LineReader reader(pipe_[0], "pipe", 8);
  LineReader::State last;
  EXPECT_TRUE(ReadAll(&reader, &last).empty());
  EXPECT_EQ(last, LineReader::State::kEnd);
}

TEST_F(LineReaderTest, ADirectoryIsReportedWithItsNameAndTheCure) {
  const int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  LineReader reader(fd, "the input", 8);
  std::array<std::string_view, 3> out;
  EXPECT_EQ(reader.Read(out, 0).state, LineReader::State::kFailed);
  EXPECT_NE(reader.status().message().find("the input\": EISDIR; give a file"), std::string::npos);
  close(fd);
}

}  // namespace
}  // namespace ombus::tools

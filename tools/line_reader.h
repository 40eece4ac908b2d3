// LineReader: the lines of a file, a pipe or a terminal, newline included, as views into one
// buffer. A last line without a newline comes as it is, so that the lines put together are the
// input again.
//
// Threads: one. Views live until the next Read. Reads are as large as the input allows; a line
// longer than the limit is an error and not a reason to grow.
#ifndef OMBUS_TOOLS_LINE_READER_H_
#define OMBUS_TOOLS_LINE_READER_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ombus/status.h"

namespace ombus::tools {

class LineReader {
 public:
  enum class State : uint8_t {
    kLines,    // there are some
    kWaiting,  // none came within the time given
    kEnd,      // of the input
    kTooLong,  // line lines_read() + 1 has more than line_bytes_max bytes
    kFailed,   // status() says why
  };
  struct Lines {
    State state;
    size_t count;
  };

  LineReader(int fd, std::string name, size_t line_bytes_max);

  // Up to out.size() whole lines; waits for the first at most timeout_ms.
  Lines Read(std::span<std::string_view> out, int timeout_ms);

  uint64_t lines_read() const { return lines_; }
  const Status& status() const { return status_; }

 private:
  size_t TakeLines(std::span<std::string_view> out);
  State Refill(int timeout_ms);

  int fd_;
  std::string name_;
  size_t line_bytes_max_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // what is not handed out yet
  bool at_end_ = false;
  uint64_t lines_ = 0;
  Status status_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_LINE_READER_H_

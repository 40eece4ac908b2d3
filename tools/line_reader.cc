#include "tools/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/errno_status.h"

namespace ombus::tools {
namespace {
constexpr size_t kReadBytes = size_t{256} << 10;
}  // namespace

LineReader::LineReader(int fd, std::string name, size_t line_bytes_max)
    : fd_(fd),
      name_(std::move(name)),
      line_bytes_max_(line_bytes_max),
      buffer_(line_bytes_max + 1 + kReadBytes) {}

LineReader::Lines LineReader::Read(std::span<std::string_view> out, int timeout_ms) {
  while (true) {
    const size_t count = TakeLines(out);
    if (count > 0) return {State::kLines, count};
    if (end_ - begin_ > line_bytes_max_) return {State::kTooLong, 0};
    if (at_end_) return {State::kEnd, 0};
    const State refilled = Refill(timeout_ms);
    if (refilled != State::kLines) return {refilled, 0};
  }
}

size_t LineReader::TakeLines(std::span<std::string_view> out) {
  size_t count = 0;
  while (count < out.size() && begin_ < end_) {
    const char* from = buffer_.data() + begin_;
    const void* newline = std::memchr(from, '\n', end_ - begin_);
    if (newline == nullptr && !at_end_) break;
    const size_t bytes = newline == nullptr
                             ? end_ - begin_
                             : static_cast<size_t>(static_cast<const char*>(newline) - from) + 1;
    if (bytes > line_bytes_max_) break;
    out[count++] = {from, bytes};
    begin_ += bytes;
  }
  lines_ += count;
  return count;
}

LineReader::State LineReader::Refill(int timeout_ms) {
  // poll first: a signal that asks to stop must not be missed between its check and a read that
  // never returns.
  pollfd ready{fd_, POLLIN, 0};
  const int polled = poll(&ready, 1, timeout_ms);
  if (polled == 0 || (polled < 0 && errno == EINTR)) return State::kWaiting;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const ssize_t n = read(fd_, buffer_.data() + end_, buffer_.size() - end_);
  if (n > 0) end_ += static_cast<size_t>(n);
  if (n == 0) at_end_ = true;
  if (n >= 0) return State::kLines;
  if (errno == EINTR || errno == EAGAIN) return State::kWaiting;
  status_ = ErrnoStatus("read", name_, errno,
                        errno == EISDIR ? "give a file, not a directory"
                                        : "check the input; what came was published");
  return State::kFailed;
}

}  // namespace ombus::tools

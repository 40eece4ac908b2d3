#include "tools/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "tools/errno_status.h"
#include "tools/stop_signal.h"

namespace ombus::tools {

std::string_view WriteRemedy(int error) {
  switch (error) {
    case EPIPE:
      return "the program that read this output has ended";
    case ENOSPC:
      return "make room, or write elsewhere";
    case EBADF:
      return "it is closed; redirect it to a file or to /dev/null";
    default:
      return "check what the output is redirected to";
  }
}

Output::Output(int fd, std::string name, size_t buffer_bytes)
    : fd_(fd), name_(std::move(name)), limit_(buffer_bytes) {
  buffer_.reserve(buffer_bytes);
}

Status Output::Flush() {
  WriteBuffered();
  return status_;
}

void Output::WriteBuffered() {
  // Once asked to end: the signal itself, or the first nudge after it, and one more second.
  constexpr int kPatience = 2;
  size_t done = 0;
  int interrupted = 0;
  while (status_.ok() && done < buffer_.size()) {
    const ssize_t n = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n >= 0) {
      done += static_cast<size_t>(n);
      interrupted = 0;
    } else if (errno == EAGAIN) {
      // Somebody made the descriptor non-blocking (a terminal shared with another program).
      pollfd ready{fd_, POLLOUT, 0};
      (void)poll(&ready, 1, 100);
    } else if (errno != EINTR) {
      status_ = ErrnoStatus("write", name_, errno, WriteRemedy(errno));
    } else if (StopRequested() && ++interrupted == kPatience) {
      status_ = ErrnoStatus("write", name_, EINTR,
                            "asked to end while its reader takes nothing; " +
                                std::to_string(buffer_.size() - done) + " bytes are lost");
    }
  }
  buffer_.clear();
}

}  // namespace ombus::tools

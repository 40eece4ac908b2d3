// Output: a large buffer in front of a descriptor. Full buffers are written at once; the caller
// flushes when it has nothing else to do, so that a person sees lines as they come and a pipe gets
// few large writes.
//
// Threads: one. The first error stays: later calls do nothing, and Flush returns it.
#ifndef OMBUS_TOOLS_OUTPUT_H_
#define OMBUS_TOOLS_OUTPUT_H_

#include <string>
#include <string_view>

#include "ombus/status.h"

namespace ombus::tools {

class Output {
 public:
  // `name` is what errors call the descriptor. The descriptor stays the caller's.
  Output(int fd, std::string name, size_t buffer_bytes = size_t{256} << 10);
  // Not flushed by the destructor: an error there could not be told.

  void Append(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > limit_) WriteBuffered();
    buffer_.append(bytes);
  }
  // Room to append to directly; Append("") afterwards bounds it.
  std::string* buffer() { return &buffer_; }

  bool ok() const { return status_.ok(); }
  bool empty() const { return buffer_.empty(); }
  Status Flush();

 private:
  void WriteBuffered();

  int fd_;
  std::string name_;
  size_t limit_;
  std::string buffer_;
  Status status_;
};

// What to do about an errno of a write.
std::string_view WriteRemedy(int error);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_OUTPUT_H_

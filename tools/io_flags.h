// The flags by which commands that serve clients set IoOptions and the send buffer: the same words
// everywhere.
#ifndef OMBUS_TOOLS_IO_FLAGS_H_
#define OMBUS_TOOLS_IO_FLAGS_H_

#include <cstdint>
#include <string>

#include "ombus/io_options.h"
#include "tools/flags.h"

namespace ombus::tools {

class IoFlags {
 public:
  void AddTo(FlagTable* flags);  // this must outlive the parsing
  // What was parsed.
  IoOptions Options() const;
  uint32_t SendBufferBytes() const { return static_cast<uint32_t>(send_buffer_bytes_); }

 private:
  std::string send_mode_ = "fixed", congestion_control_;
  uint32_t busy_poll_us_ = 0, napi_busy_poll_us_ = 0;
  uint32_t sq_poll_idle_ms_ = 0;  // 0: not given
  uint64_t send_buffer_bytes_ = 0;
  int incoming_cpu_ = -1, sq_poll_cpu_ = -1;
  bool sq_poll_ = false;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_IO_FLAGS_H_

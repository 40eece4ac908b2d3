// HOST:PORT as people write it: 127.0.0.1:7001, [::1]:7001, feed.example:7001, or a port alone.
#ifndef OMBUS_TOOLS_ADDRESS_H_
#define OMBUS_TOOLS_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "ombus/status.h"

namespace ombus::tools {

struct HostPort {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
};

// kInvalidArgument with the cure otherwise.
Result<HostPort> ParseHostPort(std::string_view text);
// The same the other way round, with brackets around IPv6.
std::string FormatHostPort(const HostPort& address);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_ADDRESS_H_

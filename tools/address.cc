#include "tools/address.h"

#include "tools/flags.h"

namespace ombus::tools {

Result<HostPort> ParseHostPort(std::string_view text) {
  const Status refused(StatusCode::kInvalidArgument,
                       "address \"" + std::string(text) +
                           "\": not HOST:PORT; write 127.0.0.1:7001, [::1]:7001 or a port alone");
  HostPort address;
  std::string_view port = text;
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    std::string_view host = text.substr(0, colon);
    port = text.substr(colon + 1);
    const bool bracketed = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (host.empty() || (!bracketed && host.find(':') != std::string_view::npos)) return refused;
    address.host = host;
  }
  uint64_t number = 0;
  if (!ParseNumber(port, &number) || number > 65535) return refused;
  address.port = static_cast<uint16_t>(number);
  return address;
}

std::string FormatHostPort(const HostPort& address) {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace ombus::tools

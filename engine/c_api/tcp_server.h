// OmBusTcpServer: what is behind the handle. The relay of the C API keeps its clients' limit in
// mind.
//
// Threads: one at a time.
#ifndef OMBUS_ENGINE_C_API_TCP_SERVER_H_
#define OMBUS_ENGINE_C_API_TCP_SERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "engine/memory_guard.h"
#include "ombus/om_bus_tcp.h"
#include "ombus/server.h"

struct OmBusTcpServer {
  std::unique_ptr<ombus::Server> server;
  uint64_t lag_max;    // bytes
  uint32_t turns_max;  // of the back end, in one poll_io
  pid_t creator;
  ombus::engine::MemoryFailStop guard = {};
};

#endif  // OMBUS_ENGINE_C_API_TCP_SERVER_H_

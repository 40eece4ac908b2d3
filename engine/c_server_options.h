// The C API's options and statistics of a server, as C++ ones: a server and a relay both take them.
#ifndef OMBUS_ENGINE_C_SERVER_OPTIONS_H_
#define OMBUS_ENGINE_C_SERVER_OPTIONS_H_

#include "ombus/ombus_server.h"
#include "ombus/server.h"
#include "ombus/status.h"

namespace ombus::engine {

Result<ServerOptions> ReadServerOptions(const char* call, const ombus_server_options* options);
ombus_status FillServerStats(const ServerStats& from, ombus_server_stats* to);

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_SERVER_OPTIONS_H_

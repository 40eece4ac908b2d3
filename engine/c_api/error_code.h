// From a Status to the code of the libombus C API that its callers know.
//
// Threads: pure functions.
#ifndef OMBUS_ENGINE_C_API_ERROR_CODE_H_
#define OMBUS_ENGINE_C_API_ERROR_CODE_H_

#include "ombus/om_bus_error.h"
#include "ombus/status.h"

namespace ombus::engine {

// Of Producer::Create.
int CreateError(const Status& status);

// Of Consumer::Open.
int OpenError(const Status& status);

// Of Server::Create and Client::Connect: `refused` when the address is what is wrong.
int SocketError(const Status& status, int refused);

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_API_ERROR_CODE_H_

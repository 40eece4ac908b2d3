// BackendFromEnvironment: which back end servers and clients of the C API use. Its programs cannot
// say, having been written before there was a choice; their operator can.
//
// Unless told otherwise that is epoll: those programs connect in one thread and poll in another,
// and an io_uring set up for speed belongs to the thread that first used it.
//
// Threads: any, as long as none changes the environment.
#ifndef OMBUS_ENGINE_C_API_BACKEND_ENVIRONMENT_H_
#define OMBUS_ENGINE_C_API_BACKEND_ENVIRONMENT_H_

#include "ombus/backend_choice.h"
#include "ombus/status.h"

namespace ombus::engine {

// OMBUS_BACKEND: epoll (so too when unset, empty or auto) or uring; anything else is
// kInvalidArgument.
Result<BackendChoice> BackendFromEnvironment();

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_API_BACKEND_ENVIRONMENT_H_

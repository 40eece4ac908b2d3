// Bus errors: what a command says when the memory of a stream is gone under it, in place of dying
// without a word. The library takes no signals; this is for the ombus command alone.
#ifndef OMBUS_TOOLS_BUS_ERROR_H_
#define OMBUS_TOOLS_BUS_ERROR_H_

namespace ombus::tools {

// From now on SIGBUS ends this process with a message and exit code kExitFailure.
void ExplainBusErrors();

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_BUS_ERROR_H_

// What IoOptions ask of sockets and back ends. Threads: free functions without state.
#ifndef OMBUS_NET_IO_OPTIONS_H_
#define OMBUS_NET_IO_OPTIONS_H_

#include "net/backend_options.h"
#include "ombus/server.h"
#include "ombus/status.h"

namespace ombus::net {

// Sets on a listening socket what the clients' sockets inherit from it. An error names what the
// kernel refuses, and the cure.
Status PrepareListener(int fd, const IoOptions& io);

// Tries it out: the refusal that --busy-poll-us would meet, if a socket of this process may not
// have more SO_BUSY_POLL than it begins with.
Status ProbeBusyPoll();

// What a server's back end is created with.
BackendOptions BackendOptionsOf(const ServerOptions& options);

const char* NameOf(SendMode mode);  // "fixed", "plain", "zc", "auto"

}  // namespace ombus::net

#endif  // OMBUS_NET_IO_OPTIONS_H_

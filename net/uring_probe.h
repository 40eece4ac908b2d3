// What io_uring can do here, and in words a person can act on why it cannot.
//
// Needs Linux 6.1 (deferred task run; multishot receive is 6.0, provided-buffer rings 5.19).
// Threads: any. Each call makes and closes a tiny ring: tens of microseconds.
#ifndef OMBUS_NET_URING_PROBE_H_
#define OMBUS_NET_URING_PROBE_H_

#include <optional>

#include "net/uring_compat.h"
#include "ombus/status.h"

namespace ombus::net {

// Of every ring ombus makes; all are needed.
inline constexpr unsigned kRingFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                       IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                                       IORING_SETUP_TASKRUN_FLAG;

// The same where a kernel thread submits: deferred task run does not go with it.
inline constexpr unsigned kPollingRingFlags =
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQPOLL | IORING_SETUP_SUBMIT_ALL;

// The whole set, tried once: setup, buffer ring, an operation, the opcodes.
Status ProbeIoUring();

// io_uring_setup failed with this positive errno: cause and cure.
Status RingSetupError(int error);

// Whether the kernel has SEND_ZC and says whether it copied (Linux 6.2); whether a socket takes it
// shows when it is used.
bool ProbeZeroCopySend();

// Whether a kernel thread may submit (SQPOLL), tried out.
Status ProbePollingThread();

// It was refused with this positive errno on `cpu` (-1: anywhere): cause and cure.
Status PollingThreadError(int error, int cpu);

// Whether waiting may poll the network cards (IORING_REGISTER_NAPI, Linux 6.9): 0 or -errno.
int ProbeNapiBusyPoll();

// With which flags WRITE_FIXED to a full socket answers -EAGAIN at once. Without RWF_NOWAIT the
// kernel would wait with it, O_NONBLOCK or not. None: not on this kernel.
std::optional<unsigned> ProbeFixedWriteFlags();

}  // namespace ombus::net

#endif  // OMBUS_NET_URING_PROBE_H_

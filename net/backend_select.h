// ChooseBackend: which back end this process uses, found out by asking the kernel.
//
// io_uring needs Linux 6.1 (deferred task run; multishot receive is 6.0, multishot accept and
// provided-buffer rings 5.19) and a host that does not block it. Probing makes and closes a tiny
// ring: tens of microseconds, once. Threads: any.
#ifndef OMBUS_NET_BACKEND_SELECT_H_
#define OMBUS_NET_BACKEND_SELECT_H_

#include <cstdint>
#include <string>

#include "ombus/backend_choice.h"
#include "ombus/status.h"

namespace ombus::net {

enum class BackendKind : uint8_t { kUring, kEpoll };

// kAuto never fails: it falls back to epoll and puts one line about the reason into *why, which may
// be null and is emptied where there is nothing to say. A forced back end that the build or the
// kernel refuses is an error that names cause and cure.
Result<BackendKind> ChooseBackend(BackendChoice choice, std::string* why);

// That line, where io_uring is refused with `refusal`.
std::string WhyEpoll(const Status& refusal);

// Ok where io_uring works here with all that UringBackend needs; else cause and cure.
Status ProbeUring();

}  // namespace ombus::net

#endif  // OMBUS_NET_BACKEND_SELECT_H_

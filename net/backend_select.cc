#include "net/backend_select.h"

#ifdef OMBUS_HAVE_IOURING
#include "net/uring_probe.h"
#endif

namespace ombus::net {

Status ProbeUring() {
#ifdef OMBUS_HAVE_IOURING
  return ProbeIoUring();
#else
  return Status(StatusCode::kUnsupported,
                "io_uring_setup \"io_uring\": built without io_uring; rebuild with "
                "-Diouring=enabled");
#endif
}

Result<BackendKind> ChooseBackend(BackendChoice choice, std::string* why) {
  if (why != nullptr) why->clear();
  if (choice == BackendChoice::kEpoll) return BackendKind::kEpoll;
  Status status = ProbeUring();
  if (status.ok()) return BackendKind::kUring;
  if (choice == BackendChoice::kUring) return status;
  if (why != nullptr) *why = WhyEpoll(status);
  return BackendKind::kEpoll;
}

std::string WhyEpoll(const Status& refusal) {
  return "using epoll, since io_uring is not to be had: " + refusal.message();
}

}  // namespace ombus::net

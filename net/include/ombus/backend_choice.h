// BackendChoice: which of the kernel's two I/O interfaces a server, client or relay uses.
#ifndef OMBUS_BACKEND_CHOICE_H_
#define OMBUS_BACKEND_CHOICE_H_

#include <cstdint>

namespace ombus {

enum class BackendChoice : uint8_t {
  kAuto,   // io_uring where this build has it and the kernel allows it, else epoll, saying why
  kUring,  // io_uring or an error that names the cause and the cure
  kEpoll,
};

}  // namespace ombus

#endif  // OMBUS_BACKEND_CHOICE_H_

// BackendOptions: what every back end's Create takes.
#ifndef OMBUS_NET_BACKEND_OPTIONS_H_
#define OMBUS_NET_BACKEND_OPTIONS_H_

#include <cstdint>

#include "ombus/io_options.h"

namespace ombus::net {

struct BackendOptions {
  uint32_t sockets_hint = 1024;  // expected at once; more work too, with a little more cost each
  // For Receive; rounded up to a power of two. 0: none, for a client that only uses ReceiveInto;
  // then Receive completes with -ENOBUFS.
  uint32_t receive_buffers = 256;
  uint32_t receive_buffer_bytes = 4096;
  uint32_t queue_entries = 0;  // operations submitted per system call; 0: from sockets_hint
  // Of io_uring alone; epoll sends the plain way and notes that it leaves the rest out.
  SendMode send_mode = SendMode::kFixed;
  uint32_t napi_busy_poll_us = 0;
  bool sq_poll = false;
  int sq_poll_cpu = -1;
  uint32_t sq_poll_idle_ms = 100;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_BACKEND_OPTIONS_H_

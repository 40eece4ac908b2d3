// IoOptions: how a server's bytes reach the kernel and the wire. The defaults are what was measured
// best, or what cannot hurt (docs/decisions/io-options.md has the figures).
//
// Plain data. What the kernel refuses is an error of Create that names it, or, where it costs speed
// and nothing else, a note among the server's events, once, with the cure; also where it refuses
// it later.
#ifndef OMBUS_IO_OPTIONS_H_
#define OMBUS_IO_OPTIONS_H_

#include <cstdint>
#include <string>

namespace ombus {

// How io_uring sends frames of the broadcast log. epoll always sends the plain way, and so does a
// turn, without zero-copy, that has one thing to send.
enum class SendMode : uint8_t {
  kFixed,     // WRITE_FIXED from the registered log from 32 KiB up, which looks no pages up and
              // needs locked memory; SEND below
  kPlain,     // SEND
  kZeroCopy,  // SEND_ZC from 16 KiB up (Linux 6.2), SEND below. The log is pinned until the peer
              // has acknowledged, and a client has one such send under way at a time
  kAuto,  // kFixed; a client that has had 64 large sends is tried with SEND_ZC, and goes on that
          // way while the kernel does not report that it copied. On loopback it always does
};

struct IoOptions {
  SendMode send_mode = SendMode::kFixed;
  // SO_BUSY_POLL of the clients' sockets: a read that finds nothing polls the network card. Before
  // Linux 6.4 more than net.core.busy_read needs CAP_NET_ADMIN. 0: off. It does not make an epoll
  // poll while it waits: the sysctl net.core.busy_poll does, for the whole host.
  uint32_t busy_poll_us = 0;
  // An io_uring that waits polls the network cards of its sockets for so long
  // (IORING_REGISTER_NAPI, Linux 6.9). 0: off.
  uint32_t napi_busy_poll_us = 0;
  // TCP_CONGESTION, as "cubic"; empty: the system's.
  std::string congestion_control = {};
  // SO_INCOMING_CPU: of several sockets that listen on the port, this one is to take what arrives
  // on that cpu. -1: off.
  int incoming_cpu = -1;
  // A kernel thread submits (IORING_SETUP_SQPOLL): sends cost the server no system call, and that
  // thread a core. It sleeps after sq_poll_idle_ms without work, 0: a second. sq_poll_cpu: where;
  // -1: anywhere.
  bool sq_poll = false;
  int sq_poll_cpu = -1;
  uint32_t sq_poll_idle_ms = 100;
};

}  // namespace ombus

#endif  // OMBUS_IO_OPTIONS_H_

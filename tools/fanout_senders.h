// The senders that `ombus bench --mode fanout` compares. Each sends windows of frames to the same
// number of clients over connections of its own:
//   bare     send() of one and the same window to one socket after the other: the kernel's share
//   encoded  the same with a window of new records each time, in as much memory as ombus' log has:
//            what sends cost a server that has something to say
//   classic  a 256 KiB buffer per client, each record copied into each, poll, send: the usual
//   server ombus    a Server, over io_uring or epoll
//
// Threads: one.
#ifndef OMBUS_TOOLS_FANOUT_SENDERS_H_
#define OMBUS_TOOLS_FANOUT_SENDERS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "net/socket.h"
#include "ombus/backend_choice.h"
#include "ombus/io_options.h"
#include "ombus/status.h"

namespace ombus::tools {

struct FanoutSetting {
  uint32_t clients = 1;
  uint32_t window_frames = 256;
  uint32_t payload_bytes = 64;
  uint32_t idle_clients = 0;       // ombus: so many more that have yet to say HELLO
  uint64_t log_bytes = 4u << 20;   // ombus; encoded
  IoOptions io = {};               // ombus
  uint32_t send_buffer_bytes = 0;  // of each client of ombus; 0: the kernel's own tuning
  uint64_t deadline_ns = 0;
};

class FanoutSender {
 public:
  virtual ~FanoutSender() = default;
  // Publishes the port, then waits for all clients.
  virtual Status Open(const FanoutSetting& setting, std::atomic<uint32_t>* port) = 0;
  // Hands one window for each client to the kernel, or to its own queue; waits where that is full.
  virtual Status SendWindow() = 0;
  // Until the kernel has all.
  virtual Status Flush() = 0;
  virtual uint64_t system_calls() const = 0;  // so far
};

// Listens, tells the port, and takes so many clients: non-blocking, NODELAY. What servers without
// ombus do, here and in --mode latency.
Result<std::vector<net::UniqueFd>> AcceptClients(uint32_t clients, uint64_t deadline_ns,
                                                 const std::function<void(uint16_t)>& on_port);

std::unique_ptr<FanoutSender> NewBareSender();
std::unique_ptr<FanoutSender> NewEncodedSender();
std::unique_ptr<FanoutSender> NewClassicSender();
std::unique_ptr<FanoutSender> NewOmbusSender(BackendChoice backend);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_FANOUT_SENDERS_H_

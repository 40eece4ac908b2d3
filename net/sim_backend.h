// SimBackend: the Backend contract over SimNetwork, with a virtual clock and seeded faults, so that
// a test meets in a second what production meets in a year, and again with the same seed.
//
// The same seed, options and calls give the same completions, byte for byte. Time passes only in
// Turn: a microsecond each, and what it waits. A wait without anything to wait for returns at once.
// Descriptors are SimNetwork's. Threads: one at a time, the network's. Not for production.
#ifndef OMBUS_NET_SIM_BACKEND_H_
#define OMBUS_NET_SIM_BACKEND_H_

#include <string>
#include <vector>

#include "net/backend.h"
#include "net/backend_options.h"
#include "net/sim_network.h"
#include "net/socket_table.h"
#include "ring/base/random.h"

namespace ombus::net {

// How often, out of a thousand chances.
struct SimFaults {
  uint32_t short_send = 0;     // a part of what would have gone
  uint32_t send_again = 0;     // -EAGAIN though there is room
  uint32_t reset = 0;          // the connection breaks at a send or receive
  uint32_t delay = 0;          // a socket stays silent for up to delay_ns_max
  uint32_t accept_error = 0;   // -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM, accepting ends
  uint32_t end_multishot = 0;  // a good result, and the request ends with it
  uint32_t no_buffers = 0;     // -ENOBUFS
  uint32_t cancel = 0;         // -ECANCELED, for a receive or a poll that nobody cancelled
  uint64_t delay_ns_max = 1'000'000;
};

struct SimOptions {
  uint64_t seed = 1;
  SimFaults faults;
  bool shuffle = false;  // completions of different sockets in any order
  // At most so many operations submitted and completions delivered a turn, the rest in the next: a
  // full submission queue, an overflown completion queue. 0: all.
  uint32_t submit_max = 0, complete_max = 0;
  BackendOptions backend;
};

class SimBackend {
 public:
  // The network is the caller's and outlives the back end.
  SimBackend(SimNetwork* network, const SimOptions& options);
  ~SimBackend();  // closes what it has adopted
  SimBackend(const SimBackend&) = delete;
  SimBackend& operator=(const SimBackend&) = delete;

  Status RegisterMemory(std::span<std::byte> region);
  Result<SocketId> Adopt(int fd);
  void Accept(SocketId id, uint64_t token) { Queue({.op = Op::kAccept, .id = id, .token = token}); }
  void Receive(SocketId id, uint64_t token) {
    Queue({.op = Op::kReceive, .id = id, .token = token});
  }
  void ReceiveInto(SocketId id, std::span<std::byte> into, uint64_t token) {
    Queue({.op = Op::kReceive, .id = id, .token = token, .into = into, .once = true});
  }
  int32_t ReceiveNow(SocketId id, std::span<std::byte> into);
  void Send(SocketId id, std::span<const std::byte> bytes, uint64_t token) {
    Queue({.op = Op::kSend, .id = id, .token = token, .bytes = bytes});
  }
  int32_t SendNow(SocketId id, std::span<const std::byte> bytes);
  void PollOut(SocketId id, uint64_t token) {
    Queue({.op = Op::kPollOut, .id = id, .token = token});
  }
  void PollIn(SocketId id, uint64_t token) { Queue({.op = Op::kPollIn, .id = id, .token = token}); }
  void Connect(SocketId id, const sockaddr_storage& address, uint64_t token) {
    Queue({.op = Op::kConnect,
           .id = id,
           .token = token,
           .bytes = std::as_bytes(std::span(&address, 1))});
  }
  bool HeldByPeer(SocketId) const { return false; }
  void FinishSending(SocketId id);
  bool AllDelivered(SocketId id);
  void Close(SocketId id, uint64_t token) { Queue({.op = Op::kClose, .id = id, .token = token}); }

  template <typename Sink>
  Status Turn(Sink& sink, uint64_t timeout_ns) {
    RunTurn(timeout_ns);
    for (size_t i = 0; i < deliver_; ++i) sink.OnCompletion(Deliver(due_[i]));
    return Status();
  }

  // The process stands still for so long: the next turn begins what is queued and returns as after
  // a signal, without having looked at any socket.
  void StandStill(uint64_t ns) { stand_still_ns_ = ns; }

  uint64_t NowNs() const { return now_ns_; }
  BackendStats stats() const { return stats_; }
  const char* name() const { return "simulator"; }
  std::string TakeNote() { return {}; }

  // Changes with every completion delivered: equal for equal runs.
  uint64_t trace_hash() const { return trace_hash_; }

 private:
  struct Queued {
    Op op;
    SocketId id;
    uint64_t token;
    std::span<const std::byte> bytes = {};
    std::span<std::byte> into = {};
    bool once = false;  // kReceive: a ReceiveInto
  };
  struct Slot : SocketSlot {
    std::span<std::byte> into;
    bool once = false;
    int32_t connect_result = 0;
    uint64_t silent_until_ns = 0;
  };
  struct Due {
    SocketId id;
    Completion completion;
    std::string data;
  };

  void Queue(const Queued& queued) { queue_.push_back(queued); }
  void RunTurn(uint64_t timeout_ns);
  const Completion& Deliver(Due& due);
  void Start(const Queued& queued);
  void StartClose(SocketId id, Slot& slot, uint64_t token);
  void PollAll();
  void PollSlot(SocketId id, Slot& slot);
  void PollReceive(SocketId id, Slot& slot);
  void PollAccept(SocketId id, Slot& slot);
  bool CancelOne(SocketId id, Slot& slot);
  uint64_t NextSoundNs() const;  // when the first silent socket may speak; kForeverNs: none
  void Shuffle();
  void AddDue(SocketId id, Op op, uint64_t token, int32_t result, bool more = false);
  void Finish(SocketId id, Slot& slot, Op op, int32_t result);
  bool Roll(uint32_t per_mille) { return per_mille != 0 && random_.Below(1000) < per_mille; }

  SimNetwork* network_;
  SimOptions options_;
  SocketTable<Slot> table_;
  std::vector<Queued> queue_, working_;
  std::vector<Due> due_;
  size_t deliver_ = 0;  // of these, by this turn
  std::span<std::byte> region_;
  uint32_t buffers_left_ = 0;  // in this turn: they come back when the sink returns
  Random random_;
  uint64_t now_ns_ = 1'000'000'000, stand_still_ns_ = 0;
  uint64_t trace_hash_ = 0xCBF29CE484222325;
  BackendStats stats_;
};

static_assert(Backend<SimBackend>);

}  // namespace ombus::net

#endif  // OMBUS_NET_SIM_BACKEND_H_

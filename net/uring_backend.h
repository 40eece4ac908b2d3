// UringBackend: the Backend contract over io_uring. All that a turn queued goes to the kernel in
// one system call, and a turn with nothing to do makes none. Where one socket alone listens, a turn
// that only has news to fetch may make a recv in its place, and one that has a single thing to send
// makes a send.
//
// Requests that stay pending (accept, receive, poll, connect) use the plain descriptor, sends the
// registered one: on kernels before 6.10 a pending request on a registered file delays the release
// of every file that is unregistered after it started.
// Results of a kind come in order; a turn may return early without a completion, on a signal say.
//
// Threads: one at a time, the same from the first Turn on (the kernel holds a SINGLE_ISSUER ring to
// it). Create, RegisterMemory, Adopt and the queueing calls before that, and the destructor, may be
// in another thread. Not for regular files.
#ifndef OMBUS_NET_URING_BACKEND_H_
#define OMBUS_NET_URING_BACKEND_H_

#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "net/backend.h"
#include "net/backend_options.h"
#include "net/socket_table.h"
#include "net/uring_buffers.h"
#include "net/uring_compat.h"

namespace ombus::net {

class UringBackend {
 public:
  static Result<std::unique_ptr<UringBackend>> Create(const BackendOptions& options = {});
  ~UringBackend();  // cancels what is pending and closes what it has adopted; a forked child's copy
                    // closes its descriptors alone
  UringBackend(const UringBackend&) = delete;
  UringBackend& operator=(const UringBackend&) = delete;

  // Pins the region until the back end is destroyed, or the next call. Refused where the limit on
  // locked memory is lower than the region; then sends are plain and a note says so.
  Status RegisterMemory(std::span<std::byte> region);
  Result<SocketId> Adopt(int fd);  // when it fails, the descriptor stays the caller's
  void Accept(SocketId id, uint64_t token);
  void Receive(SocketId id, uint64_t token);
  void ReceiveInto(SocketId id, std::span<std::byte> into, uint64_t token);
  int32_t ReceiveNow(SocketId id, std::span<std::byte> into);
  int32_t SendNow(SocketId id, std::span<const std::byte> bytes);
  void Send(SocketId id, std::span<const std::byte> bytes, uint64_t token);
  void PollOut(SocketId id, uint64_t token);
  void PollIn(SocketId id, uint64_t token);
  void Connect(SocketId id, const sockaddr_storage& address, uint64_t token);
  bool HeldByPeer(SocketId id);
  void FinishSending(SocketId id);
  bool AllDelivered(SocketId id);
  void Close(SocketId id, uint64_t token);

  template <typename Sink>
  Status Turn(Sink& sink, uint64_t timeout_ns) {
    const Status status = Enter(timeout_ns);
    Completion completion;
    while (Next(&completion)) sink.OnCompletion(completion);
    return status;
  }

  uint64_t NowNs() const;
  BackendStats stats() const { return stats_; }
  const char* name() const { return "io_uring"; }
  std::string TakeNote();

  // For tests: without RWF_NOSIGNAL, as on kernels before 6.18, the signal mask does its work.
  void AvoidNoSignalWrites();

 private:
  struct Slot : SocketSlot {
    bool registered_file = false;
    uint8_t internal_pending = 0;  // cancel and unregister, while it closes
    bool held_by_peer = false;     // a SEND_ZC whose notification is still to come
    bool copied = false;           // kAuto: the kernel copied a SEND_ZC, so there is no more of it
    uint8_t large_sends = 0;       // kAuto: up to kTrialSends
    int32_t zero_copy_sent = 0;    // its result, until then
    std::byte* into = nullptr;     // of a pending ReceiveInto; null for Receive
    bool listens = false;          // a Receive is pending
    int32_t receive_error = 0;     // that ReceiveSole took from the socket; Receive ends with it
  };

  // All that was queued since the last turn.
  struct LoneSend {
    SocketId id = kNoSocket;
    std::span<const std::byte> bytes = {};
  };

  explicit UringBackend(const BackendOptions& options);
  Status SetUp(const BackendOptions& options);
  int MakeRing(uint32_t entries, bool sq_poll);  // 0 or -errno
  void RegisterNapiPolling();
  void RegisterFiles(const BackendOptions& options);
  Status Start();  // in the thread that runs it
  void CancelAll();
  void CloseCopy();

  // Queueing.
  Slot* Begin(SocketId id, Op op, uint64_t token);  // null: refused, and a completion says so
  io_uring_sqe* NewSqe();                           // never null
  void QueueSend(SocketId id, Slot& slot, std::span<const std::byte> bytes);
  void QueueLoneSend();
  bool InRegion(std::span<const std::byte> bytes) const;
  bool WantsZeroCopy(Slot& slot);
  void PrepareZeroCopy(io_uring_sqe* sqe, SocketId id, const Slot& slot,
                       std::span<const std::byte> bytes);
  void PrepareFixedWrite(io_uring_sqe* sqe, SocketId id, const Slot& slot,
                         std::span<const std::byte> bytes);

  // Submitting.
  Status Enter(uint64_t timeout_ns);
  void FillFromBacklog();
  bool KernelHasNews() const;
  bool ReceiveSole();
  void SendLone();
  int EnterOnce(uint64_t wait_ns);
  bool CallsKernel(uint64_t wait_ns) const;
  int CallKernel(uint64_t wait_ns);
  bool SawEpipe(unsigned ready_before) const;

  // Reaping: one completion a call, until it returns false.
  bool Next(Completion* completion);
  bool Convert(const io_uring_cqe& cqe, Completion* completion);
  bool ConvertZeroCopy(Slot& slot, const io_uring_cqe& cqe, Completion* completion);
  void GiveUpZeroCopy(int error);
  void ConvertReceive(SocketId id, Slot& slot, const io_uring_cqe& cqe, Completion* completion);
  void CheckClosed(SocketId id, const Slot& slot);
  void FinishClose(SocketId id, Completion* completion);

  UringBuffers buffers_;  // outlives the ring
  io_uring ring_{};
  SocketTable<Slot> table_;
  LoneSend lone_send_;
  std::vector<io_uring_sqe> backlog_;  // what did not fit into the submission queue, in order
  // Completions that the kernel does not tell: since this turn began, and those it tells.
  std::vector<Completion> untold_, telling_;
  std::vector<SocketId> closed_;  // ready for their kClose
  size_t next_telling_ = 0;
  std::span<std::byte> region_;
  unsigned write_flags_ = 0;
  uint32_t files_ = 0;         // registered file slots
  uint32_t fixed_queued_ = 0;  // WRITE_FIXED not yet submitted
  unsigned reap_left_ = 0;
  int held_buffer_ = -1;  // the sink is looking at it
  // How many sockets listen, and the sum of their ids: where it is one, the one.
  uint32_t listening_ = 0;
  SocketId listening_ids_ = 0;
  bool received_sole_ = false;  // since the last system call for the ring
  std::vector<std::byte> sole_buffer_;
  bool has_ring_ = false, started_ = false;
  pthread_t thread_{};  // once started
  const pid_t creator_ = getpid();
  const BackendOptions options_;
  bool sq_poll_ = false;    // as it came to be
  bool zero_copy_ = false;  // SEND_ZC may be used
  std::string set_up_note_, note_;
  BackendStats stats_;
};

static_assert(Backend<UringBackend>);

}  // namespace ombus::net

#endif  // OMBUS_NET_URING_BACKEND_H_

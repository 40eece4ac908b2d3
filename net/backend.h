// Backend: the concept behind which io_uring, epoll and the simulator stand. Completion style:
// queue operations, then take a Turn, which submits everything queued in one go, waits if asked to,
// and hands each completion to a sink. Chosen once, outside the loop, as a template parameter:
// there is no virtual call per operation.
//
// Contract, which tests/net/backend_conformance_test.cc holds every implementation to:
//   - A socket handed in by Adopt belongs to the backend until Close; it is set non-blocking.
//   - Every operation ends in at least one completion with `more` false. Accept and Receive are
//     multishot: they deliver completions with `more` true until one has it false, for whatever
//     reason (also with a good result); the owner then queues them again.
//   - ReceiveInto completes once, when there is something: a count, 0 at the end of the stream, or
//   an
//     error. It is for the client, which has one socket and keeps one large buffer; Receive is for
//     the server, where most sessions say nothing and a buffer each would be waste.
//   - ReceiveNow is one attempt outside the queue, while no receive is pending on the socket: a
//   count,
//     0 at the end of the stream, -EAGAIN if there is nothing, or another error. For who polls
//     busily: arming a receive and reaping it costs two more system calls a message.
//   - Send never waits in the kernel: a full socket completes with -EAGAIN at once, and the owner
//     parks on PollOut. At most one Send per socket at a time; a short count is a normal result.
//     Large pieces of the region given to RegisterMemory are sent from registered buffers where the
//     backend has them.
//   - SendNow is one attempt outside the queue, while no Send is pending on the socket: a count, or
//     -EAGAIN if it is full, or another error. For what is not to wait for a turn: a client's
//     heartbeat, last words to who is closed next.
//   - A Send completes when its memory is no longer read. HeldByPeer says whether the pending one
//     only waits for the peer's acknowledgement, as zero-copy sends do; Close then resets the
//     connection, so that it completes.
//   - FinishSending ends the stream towards the peer, at once and outside the queue; receiving goes
//   on.
//     AllDelivered then says whether the peer's kernel has all of it. To close earlier, or with
//     bytes of the peer's unread, can reset the connection and lose what the peer was still to
//     read.
//   - Close cancels what is pending on the socket, which completes with -ECANCELED (or with what
//     it managed), and completes itself last; after that the id may be reused.
//   - Results are >= 0 or -errno. Received data lives until the sink returns.
//   - The sink may queue operations; they are submitted by the next Turn.
//   - SIGPIPE never reaches the host program.
// Threads: one at a time, the same for the backend's whole life after the first Turn.
#ifndef OMBUS_NET_BACKEND_H_
#define OMBUS_NET_BACKEND_H_

#include <sys/socket.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ombus/status.h"

namespace ombus::net {

using SocketId = int32_t;  // names an adopted socket; small and dense, fit for indexing
inline constexpr SocketId kNoSocket = -1;

enum class Op : uint8_t { kAccept, kReceive, kSend, kPollOut, kPollIn, kConnect, kClose };

struct Completion {
  uint64_t token = 0;  // the caller's, as queued
  Op op = Op::kClose;
  bool more = false;
  int32_t result = 0;               // kAccept: a new descriptor, the caller's to Adopt or close
  std::span<const std::byte> data;  // kReceive
};

struct BackendStats {
  uint64_t enters = 0;  // system calls made to submit, reap or transfer
  uint64_t sends_fixed = 0, sends_plain = 0;
  uint64_t sends_zero_copy = 0, zero_copy_copied = 0;  // the second: so said the kernel
  uint64_t receive_buffer_shortages = 0, completion_overflows = 0;
};

inline constexpr uint64_t kForeverNs = ~uint64_t{0};

// Stands for any sink in the concept check.
struct NullSink {
  void OnCompletion(const Completion&) {}
};

template <typename B>
concept Backend = requires(B b, SocketId id, int fd, uint64_t token, NullSink sink,
                           std::span<const std::byte> bytes, std::span<std::byte> region,
                           const sockaddr_storage& address) {
  { b.RegisterMemory(region) } -> std::same_as<Status>;  // not ok: sends are plain; says why
  { b.Adopt(fd) } -> std::same_as<Result<SocketId>>;
  {b.Accept(id, token)};               // multishot, on a listening socket
  {b.Receive(id, token)};              // multishot, into the backend's buffers
  {b.ReceiveInto(id, region, token)};  // one shot, into the caller's memory
  { b.ReceiveNow(id, region) } -> std::same_as<int32_t>;
  {b.Send(id, bytes, token)};
  { b.SendNow(id, bytes) } -> std::same_as<int32_t>;
  {b.PollOut(id, token)};           // one shot
  {b.PollIn(id, token)};            // one shot: also for descriptors that are no sockets
  {b.Connect(id, address, token)};  // address must stay until completion
  { b.HeldByPeer(id) } -> std::same_as<bool>;
  {b.FinishSending(id)};
  { b.AllDelivered(id) } -> std::same_as<bool>;
  {b.Close(id, token)};
  { b.Turn(sink, uint64_t{}) } -> std::same_as<Status>;  // timeout in ns: 0 none, kForeverNs
  { b.NowNs() } -> std::same_as<uint64_t>;               // monotonic; the simulator's own
  { b.stats() } -> std::same_as<BackendStats>;
  { b.name() } -> std::same_as<const char*>;
  // What it could not have, or can have no longer, why, and the cure; since the last call.
  { b.TakeNote() } -> std::same_as<std::string>;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_BACKEND_H_

#include "net/uring_probe.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>

#include "net/socket.h"

namespace ombus::net {
namespace {

constexpr char kOrEpoll[] = ", or use the epoll back end";

// A ring that lives as long as a probe.
class TinyRing {
 public:
  explicit TinyRing(unsigned flags) : error_(-io_uring_queue_init(4, &ring_, flags)) {}
  TinyRing(const TinyRing&) = delete;
  TinyRing& operator=(const TinyRing&) = delete;
  ~TinyRing() {
    if (error_ == 0) io_uring_queue_exit(&ring_);
  }
  int error() const { return error_; }  // positive errno, 0 when it was made
  io_uring* get() { return &ring_; }

  // The result of one operation, prepared by the caller, if it completes at once.
  std::optional<int> SubmitOne() {
    const int submitted = io_uring_submit_and_get_events(&ring_);
    if (submitted < 0) return submitted;
    io_uring_cqe* cqe = nullptr;
    if (io_uring_peek_cqe(&ring_, &cqe) != 0) return std::nullopt;
    const int result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    return result;
  }

 private:
  io_uring ring_{};
  int error_;
};

// -1 where there is no such sysctl: before Linux 6.6.
int IoUringDisabledSysctl() {
  UniqueFd fd(open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC));
  char digit = 0;
  if (!fd.ok() || read(fd.get(), &digit, 1) != 1) return -1;
  return digit - '0';
}

std::string RefusalRemedy() {
  switch (IoUringDisabledSysctl()) {
    case 2:
      return "the sysctl kernel.io_uring_disabled is 2: set it to 0 (sysctl -w)";
    case 1:
      return "the sysctl kernel.io_uring_disabled is 1: set it to 0 (sysctl -w), or join the group "
             "in kernel.io_uring_group";
    default:
      return "a seccomp profile blocks it: let the container have io_uring_setup, io_uring_enter "
             "and io_uring_register";
  }
}

bool HasOpcodes(io_uring* ring) {
  const std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(
      io_uring_get_probe_ring(ring), io_uring_free_probe);
  if (probe == nullptr) return false;
  for (const int opcode :
       {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_WRITE_FIXED, IORING_OP_POLL_ADD,
        IORING_OP_CONNECT, IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE}) {
    if (!io_uring_opcode_supported(probe.get(), opcode)) return false;
  }
  return true;
}

int TryBufferRing(io_uring* ring) {
  const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  io_uring_buf_reg reg{};
  reg.ring_addr = reinterpret_cast<uint64_t>(memory);
  reg.ring_entries = 1;
  const int result = io_uring_register_buf_ring(ring, &reg, 0);
  if (result == 0) io_uring_unregister_buf_ring(ring, 0);
  munmap(memory, bytes);
  return result;
}

Status Refused(const char* call, int error) {
  return SystemStatus(call, "io_uring", error, RefusalRemedy() + kOrEpoll);
}

}  // namespace

Status RingSetupError(int error) {
  std::string remedy;
  switch (error) {
    case EPERM:
    case EACCES:
      remedy = RefusalRemedy();
      break;
    case ENOSYS:
      remedy =
          "this kernel has no io_uring, or a seccomp profile hides it: use Linux 6.1 or later "
          "and let the container have io_uring_setup, io_uring_enter and io_uring_register";
      break;
    case EINVAL:
      remedy = "this kernel is too old: use Linux 6.1 or later";
      break;
    case ENOMEM:
      remedy = "locked memory is used up: raise `ulimit -l` (LimitMEMLOCK= of a service)";
      break;
    default:
      remedy = "check the limits of this process (ulimit -a)";
  }
  return SystemStatus("io_uring_setup", "io_uring", error, remedy + kOrEpoll);
}

Status ProbeIoUring() {
  TinyRing ring(kRingFlags);
  if (ring.error() != 0) return RingSetupError(ring.error());
  if (const int result = TryBufferRing(ring.get()); result != 0) {
    return result == -ENOMEM ? RingSetupError(ENOMEM) : Refused("io_uring_register", -result);
  }
  io_uring_prep_nop(io_uring_get_sqe(ring.get()));
  const int result = ring.SubmitOne().value_or(-EAGAIN);
  if (result != 0) return Refused("io_uring_enter", -result);
  if (!HasOpcodes(ring.get())) {
    return Status(StatusCode::kUnsupported,
                  std::string("io_uring_register \"probe\": operations are missing; use Linux 6.1 "
                              "or later") +
                      kOrEpoll);
  }
  return Status();
}

bool ProbeZeroCopySend() {
  TinyRing ring(0);
  if (ring.error() != 0) return false;
  io_uring_prep_send_zc(io_uring_get_sqe(ring.get()), -1, nullptr, 0, 0, kZeroCopyReportUsage);
  return ring.SubmitOne() == std::optional<int>(-EBADF);  // -EINVAL before it looks for the file
}

Status PollingThreadError(int error, int cpu) {
  const char* remedy = "leave sq_poll out";
  if (error == EINVAL && cpu >= 0) remedy = "name a cpu that this process may use, or -1";
  if (error == EAGAIN) remedy = "raise the limit on threads: ulimit -u, TasksMax= of a service";
  if (error == EPERM || error == EACCES) remedy = "a security policy forbids it; leave sq_poll out";
  return SystemStatus("io_uring_setup", "SQPOLL, cpu " + std::to_string(cpu), error, remedy);
}

Status ProbePollingThread() {
  const int error = TinyRing(kPollingRingFlags).error();
  return error == 0 ? Status() : PollingThreadError(error, -1);
}

int ProbeNapiBusyPoll() {
  TinyRing ring(0);
  return ring.error() != 0 ? -ring.error() : RegisterNapi(*ring.get(), 1);
}

std::optional<unsigned> ProbeFixedWriteFlags() {
  TinyRing ring(0);
  int pair[2];
  if (ring.error() != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) {
    return std::nullopt;
  }
  const UniqueFd full(pair[0]);
  const UniqueFd peer(pair[1]);
  std::array<char, 4096> bytes{};
  while (send(full.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
  const iovec memory = {bytes.data(), bytes.size()};
  if (io_uring_register_buffers(ring.get(), &memory, 1) != 0) return std::nullopt;
  for (const unsigned flags : {kWriteNoWait | kWriteNoSignal, kWriteNoWait, 0u}) {
    io_uring_sqe* sqe = io_uring_get_sqe(ring.get());
    io_uring_prep_write_fixed(sqe, full.get(), bytes.data(), 1, 0, 0);
    sqe->rw_flags = static_cast<int>(flags);
    if (ring.SubmitOne() == std::optional<int>(-EAGAIN)) return flags;
  }
  return std::nullopt;
}

}  // namespace ombus::net

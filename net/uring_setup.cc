// UringBackend's beginning and end: the ring, its files and memory, and taking it all down.
#include <sys/resource.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "net/socket.h"
#include "net/uring_backend.h"
#include "net/uring_probe.h"
#include "net/uring_user_data.h"
#include "ring/base/errno_name.h"

namespace ombus::net {
namespace {

constexpr size_t kRegionBytesMax = size_t{1} << 30;  // the kernel's, for one registered buffer
constexpr uint32_t kQueueEntriesMin = 16, kQueueEntriesMax = 4096;
constexpr uint32_t kFilesMin = 64, kFilesMax = 32768;
constexpr int kCancelTurnsMax = 64;
constexpr uint64_t kCancelTurnNs = 1'000'000;

// A queue as long as a turn has sessions makes it one system call; longer than that only costs
// cache, since its entries are used in turn.
uint32_t QueueEntries(const BackendOptions& options) {
  const uint32_t wanted =
      options.queue_entries != 0 ? options.queue_entries : options.sockets_hint + 8;
  return std::bit_ceil(std::clamp(wanted, kQueueEntriesMin, kQueueEntriesMax));
}

std::string LockedLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return absl::StrCat(limit.rlim_cur >> 10, " KiB");
}

Status RegisterMemoryError(size_t bytes, int error) {
  const std::string object = absl::StrCat(bytes >> 10, " KiB");
  if (error != ENOMEM) {
    return SystemStatus("io_uring_register(BUFFERS)", object, error,
                        "sends from it are plain, which costs little");
  }
  return SystemStatus(
      "io_uring_register(BUFFERS)", object, error,
      absl::StrCat("sends from it are plain; locked memory is limited to ", LockedLimit(),
                   " for this user: raise `ulimit -l` (LimitMEMLOCK= of a "
                   "service) or grant CAP_IPC_LOCK (setcap cap_ipc_lock+ep)"));
}

}  // namespace

Result<std::unique_ptr<UringBackend>> UringBackend::Create(const BackendOptions& options) {
  std::unique_ptr<UringBackend> backend(new UringBackend(options));
  if (Status status = backend->SetUp(options); !status.ok()) return status;
  return backend;
}

UringBackend::UringBackend(const BackendOptions& options)
    : table_(options.sockets_hint),
      sole_buffer_(options.receive_buffers == 0 ? 0 : options.receive_buffer_bytes),
      options_(options) {
  closed_.reserve(options.sockets_hint);
  untold_.reserve(16);
  telling_.reserve(16);
}

// Queues count as locked memory on some kernels. Where there is little of it they get shorter: a
// long turn then takes more system calls.
int UringBackend::MakeRing(uint32_t entries, bool sq_poll) {
  for (;; entries /= 4) {
    io_uring_params params{};
    // Disabled until the first Turn: the ring binds to the thread that enables it. Registering
    // works before.
    params.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
    params.flags |= sq_poll ? kPollingRingFlags : kRingFlags;
    if (sq_poll && options_.sq_poll_cpu >= 0) {
      params.flags |= IORING_SETUP_SQ_AFF;
      params.sq_thread_cpu = static_cast<uint32_t>(options_.sq_poll_cpu);
    }
    params.sq_thread_idle = options_.sq_poll_idle_ms;
    params.cq_entries = 4 * entries;
    const int result = io_uring_queue_init_params(entries, &ring_, &params);
    if (result != -ENOMEM || entries < 4 * kQueueEntriesMin) return result;
  }
}

Status UringBackend::SetUp(const BackendOptions& options) {
  int result = MakeRing(QueueEntries(options), options.sq_poll);
  sq_poll_ = options.sq_poll && result == 0;
  if (options.sq_poll && result != 0) {
    set_up_note_ = absl::StrCat(PollingThreadError(-result, options.sq_poll_cpu).message(),
                                "; until then this thread submits itself");
    result = MakeRing(QueueEntries(options), false);
  }
  if (result != 0) return RingSetupError(-result);
  has_ring_ = true;
  if (options.napi_busy_poll_us != 0) RegisterNapiPolling();
  RegisterFiles(options);
  return buffers_.Register(&ring_, options.receive_buffers, options.receive_buffer_bytes);
}

void UringBackend::RegisterNapiPolling() {
  const int result = RegisterNapi(ring_, options_.napi_busy_poll_us);
  if (result == 0) return;
  absl::StrAppend(&set_up_note_, set_up_note_.empty() ? "" : "; ", "io_uring_register(NAPI) \"",
                  options_.napi_busy_poll_us, " us\": ", ErrnoName(-result),
                  "; the network card is not polled; use Linux 6.9 or later with "
                  "CONFIG_NET_RX_BUSY_POLL, or leave napi_busy_poll_us 0");
}

// Best effort: a socket without a registered file is a few nanoseconds slower to send to.
void UringBackend::RegisterFiles(const BackendOptions& options) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);  // the kernel's bound for the table too
  const uint32_t most =
      static_cast<uint32_t>(std::min<rlim_t>(std::max<rlim_t>(limit.rlim_cur, 1), kFilesMax));
  const uint32_t wanted =
      std::min(std::bit_ceil(std::clamp(options.sockets_hint + 16, kFilesMin, kFilesMax)), most);
  if (io_uring_register_files_sparse(&ring_, wanted) == 0) files_ = wanted;
}

Status UringBackend::RegisterMemory(std::span<std::byte> region) {
  if (!region_.empty()) io_uring_unregister_buffers(&ring_);
  region_ = {};
  note_.clear();
  zero_copy_ = false;
  if (options_.send_mode == SendMode::kPlain) return Status();
  const iovec memory = {region.data(), region.size()};
  int result = -EFBIG;
  if (region.size() <= kRegionBytesMax) result = io_uring_register_buffers(&ring_, &memory, 1);
  if (result != 0) {
    Status status = RegisterMemoryError(region.size(), -result);
    note_ = status.message();
    return status;
  }
  const std::optional<unsigned> flags = ProbeFixedWriteFlags();
  if (!flags.has_value()) {
    io_uring_unregister_buffers(&ring_);
    note_ =
        "write_fixed \"socket\": waits when the socket is full; sends are plain, use Linux 6.4 "
        "or later for registered buffers";
    return Status(StatusCode::kUnsupported, note_);
  }
  write_flags_ = *flags;
  region_ = region;
  if (options_.send_mode == SendMode::kFixed) return Status();
  zero_copy_ = ProbeZeroCopySend();
  if (!zero_copy_) note_ = "io_uring \"SEND_ZC\": not there; use Linux 6.2 or later";
  return Status();
}

// The kernel has the operation and refused it: from now on all sends go the other way. Others that
// were under way by then may be refused too.
void UringBackend::GiveUpZeroCopy(int error) {
  if (!std::exchange(zero_copy_, false)) return;
  note_ = absl::StrCat("io_uring \"SEND_ZC\": ", ErrnoName(error),
                       error == EINVAL ? "; this kernel does not say whether it copied: use Linux "
                                         "6.2 or later, or leave the send mode fixed"
                                       : "; these sockets cannot: leave the send mode fixed",
                       "; sends are fixed from now on");
}

std::string UringBackend::TakeNote() {
  const char* between = set_up_note_.empty() || note_.empty() ? "" : "; ";
  return absl::StrCat(std::exchange(set_up_note_, {}), between, std::exchange(note_, {}));
}

void UringBackend::AvoidNoSignalWrites() { write_flags_ &= ~kWriteNoSignal; }

Result<SocketId> UringBackend::Adopt(int fd) {
  if (Status status = MakeNonBlocking(fd); !status.ok()) return status;
  const SocketId id = table_.Open(fd);
  Slot& slot = *table_.Find(id);
  slot.registered_file =
      static_cast<uint32_t>(id) < files_ &&
      io_uring_register_files_update(&ring_, static_cast<unsigned>(id), &fd, 1) == 1;
  return id;
}

Status UringBackend::Start() {
  if (const int result = EnableRing(ring_); result != 0) {
    return SystemStatus("io_uring_register(ENABLE_RINGS)", "io_uring", -result,
                        "let the container have io_uring_register, or use the epoll back end");
  }
  io_uring_register_ring_fd(&ring_);  // saves a look-up per call; works without
  started_ = true;
  thread_ = pthread_self();
  return Status();
}

// Closing the ring alone would cancel in the background, with ports in use until it is done.
void UringBackend::CancelAll() {
  const auto pending = [this] {
    return std::any_of(table_.slots().begin(), table_.slots().end(),
                       [](const Slot& slot) { return slot.open && slot.pending != 0; });
  };
  if (!pending()) return;
  io_uring_sqe* sqe = NewSqe();
  io_uring_prep_cancel(sqe, nullptr, IORING_ASYNC_CANCEL_ANY);
  sqe->user_data = UserData{.kind = kInternal}.Pack();
  Completion completion;
  for (int turn = 0; turn < kCancelTurnsMax && pending(); ++turn) {
    if (!Enter(kCancelTurnNs).ok()) return;
    while (Next(&completion)) {
      if (completion.op == Op::kAccept && completion.result >= 0) close(completion.result);
    }
  }
}

// In a forked child: the ring is the parent's, with the memory through which it is told what to do,
// and so are the connections, which a shutdown would end for both.
void UringBackend::CloseCopy() {
  for (const Slot& slot : table_.slots()) {
    if (slot.open) close(slot.fd);
  }
  ring_.int_flags &= static_cast<uint8_t>(~kIntFlagRegisteredRing);
  io_uring_queue_exit(&ring_);
}

UringBackend::~UringBackend() {
  if (!has_ring_) return;
  if (getpid() != creator_) {
    CloseCopy();
    return;
  }
  const bool own_thread = started_ && pthread_equal(thread_, pthread_self()) != 0;
  for (const Slot& slot : table_.slots()) {
    if (slot.open && slot.held_by_peer) ResetConnection(slot.fd);
  }
  if (own_thread) CancelAll();
  if (files_ != 0) io_uring_unregister_files(&ring_);  // or it would keep them open for a while
  for (const Slot& slot : table_.slots()) {
    if (!slot.open) continue;
    if (started_ && !own_thread) shutdown(slot.fd, SHUT_RDWR);  // the peer need not wait
    close(slot.fd);
  }
  // The number under which the ring is registered means another ring in another thread.
  if (!own_thread) ring_.int_flags &= static_cast<uint8_t>(~kIntFlagRegisteredRing);
  io_uring_queue_exit(&ring_);
}

}  // namespace ombus::net

#include "net/broadcast_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <string>

#include "net/socket.h"
#include "ring/base/errno_name.h"

namespace ombus::net {
namespace {

constexpr uint64_t kHugePageBytes = 2u << 20;

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1
#endif

Status MemoryError(const char* call, uint64_t bytes, int error) {
  const auto code = error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOSPC
                        ? StatusCode::kResourceExhausted
                        : StatusCode::kInternal;
  return Status(code, std::string(call) + " \"broadcast log of " + std::to_string(bytes) +
                          " bytes\": " + ErrnoName(error) +
                          "; ask for a smaller log_bytes, or free memory or descriptors");
}

// Address space for both mappings, its start aligned to a huge page.
std::byte* ReserveAligned(uint64_t length) {
  void* raw = mmap(nullptr, length + kHugePageBytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = (start + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  const uint64_t before = aligned - start, after = kHugePageBytes - before;
  if (before != 0) munmap(raw, before);
  if (after != 0) munmap(reinterpret_cast<void*>(aligned + length), after);
  return reinterpret_cast<std::byte*>(aligned);
}

bool MapAt(std::byte* where, uint64_t bytes, int fd) {
  return mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) !=
         MAP_FAILED;
}

}  // namespace

void BroadcastLog::Unmap::operator()(std::byte* memory) const { munmap(memory, length); }

BroadcastLog::BroadcastLog(std::shared_ptr<std::byte> memory, uint64_t bytes)
    : memory_(std::move(memory)), bytes_(bytes), retained_(bytes), marks_(bytes / kMarkBytes + 2) {}

BroadcastLog BroadcastLog::View(uint64_t reach) const {
  BroadcastLog view = *this;
  view.retained_ = std::min(reach + kLagMarginBytes, bytes_);
  return view;
}

Result<BroadcastLog> BroadcastLog::Create(uint64_t bytes) {
  if (bytes > kLogBytesMax) {
    return Status(StatusCode::kInvalidArgument, "BroadcastLog::Create \"" + std::to_string(bytes) +
                                                    " bytes\": EINVAL; log_bytes is at most " +
                                                    std::to_string(kLogBytesMax));
  }
  bytes = std::bit_ceil(std::max(bytes, kLogBytesMin));
  const UniqueFd fd(memfd_create("ombus-broadcast-log", MFD_CLOEXEC));
  if (!fd.ok()) return MemoryError("memfd_create", bytes, errno);
  // Reserved first, so that a lack of memory is an error here and not a SIGBUS later.
  if (const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    return MemoryError("posix_fallocate", bytes, error);
  }
  std::byte* memory = ReserveAligned(2 * bytes);
  if (memory == nullptr) return MemoryError("mmap", bytes, errno);
  std::shared_ptr<std::byte> owned(memory, Unmap{2 * bytes});
  const bool mapped = MapAt(memory, bytes, fd.get()) && MapAt(memory + bytes, bytes, fd.get());
  if (!mapped) return MemoryError("mmap", bytes, errno);
  // Worth a try and no more: small pages cost a little speed, nothing else.
  if (bytes >= kHugePageBytes && madvise(memory, 2 * bytes, MADV_HUGEPAGE) == 0) {
    (void)madvise(memory, 2 * bytes, MADV_COLLAPSE);
  }
  return BroadcastLog(std::move(owned), bytes);
}

void BroadcastLog::AppendSlow(const Record& record) {
  if (head_ >= next_mark_) AddMarkSlow(record.wal_seq);
  Encode(record);
}

void BroadcastLog::AddMarkSlow(uint64_t wal_seq) {
  marks_[mark_count_++ % marks_.size()] = {head_, frames_, wal_seq};
  next_mark_ = head_ + kMarkBytes;
}

BroadcastLog::Place BroadcastLog::NextAfter(Place at) const {
  const uint64_t word = LoadWord(memory_.get() + Index(at.position));
  return {at.position + FrameBytes(word >> 48), at.frame + 1};
}

BroadcastLog::Place BroadcastLog::BoundaryBefore(uint64_t cursor) const {
  if (cursor == head_) return {head_, frames_};
  // Marks are less than kLagMarginBytes apart: one at or before the cursor is retained.
  uint64_t number = mark_count_;
  while (number > 0 && mark(number - 1).position > cursor) --number;
  Place at{mark(number - 1).position, mark(number - 1).frame};
  for (Place next = NextAfter(at); next.position <= cursor; next = NextAfter(at)) at = next;
  return at;
}

BroadcastLog::Place BroadcastLog::BoundaryAfter(uint64_t cursor) const {
  const Place at = BoundaryBefore(cursor);
  return at.position == cursor ? at : NextAfter(at);
}

std::optional<BroadcastLog::Place> BroadcastLog::Find(uint64_t wal_seq, Place from,
                                                      uint64_t end) const {
  const uint64_t gone = mark_count_ > marks_.size() ? mark_count_ - marks_.size() : 0;
  uint64_t number = mark_count_;
  while (number > gone && mark(number - 1).position > from.position &&
         (mark(number - 1).position >= end || mark(number - 1).wal_seq > wal_seq)) {
    --number;
  }
  Place at = from;
  if (number > gone && mark(number - 1).position >= from.position) {
    at = {mark(number - 1).position, mark(number - 1).frame};
  }
  // Beginning at a later sequence: what was asked for lies before all that is here.
  if (at.position >= end || !Retained(at.position) || WalSeqAt(at.position) > wal_seq) {
    return std::nullopt;
  }
  for (; at.position < end; at = NextAfter(at)) {
    if (WalSeqAt(at.position) >= wal_seq) return at;
  }
  return std::nullopt;
}

std::optional<BroadcastLog::Place> BroadcastLog::Oldest(uint64_t lag) const {
  std::optional<Place> oldest;
  const uint64_t gone = mark_count_ > marks_.size() ? mark_count_ - marks_.size() : 0;
  for (uint64_t number = mark_count_; number > gone; --number) {
    const Mark& at = mark(number - 1);
    if (!Retained(at.position) || head_ - at.position > lag) break;
    oldest = Place{at.position, at.frame};
  }
  return oldest;
}

}  // namespace ombus::net

#include "ring/cursor_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ring/base/unique_fd.h"
#include "ring/crc32c.h"
#include "ring/replace_file.h"
#include "ring/system_error.h"

namespace ombus {
namespace {

constexpr size_t kMagicAt = 0, kWalSeqAt = 4, kCrcAt = 12;

Status Damaged(const std::string& path, const std::string& what) {
  return Status(StatusCode::kCorrupt, "cursor file \"" + path + "\": " + what +
                                          "; remove it and resume from what the consumer knows");
}

}  // namespace

std::array<std::byte, kCursorFileBytes> EncodeCursor(uint64_t wal_seq) {
  std::array<std::byte, kCursorFileBytes> bytes;
  const uint32_t crc = ResolveCrc32c()(0, &wal_seq, sizeof wal_seq);
  std::memcpy(&bytes[kMagicAt], &kCursorMagic, sizeof kCursorMagic);
  std::memcpy(&bytes[kWalSeqAt], &wal_seq, sizeof wal_seq);
  std::memcpy(&bytes[kCrcAt], &crc, sizeof crc);
  return bytes;
}

CursorState DecodeCursor(std::span<const std::byte> bytes, uint64_t* wal_seq) {
  if (bytes.size() != kCursorFileBytes) return CursorState::kWrongSize;
  uint32_t magic, crc;
  uint64_t value;
  std::memcpy(&magic, &bytes[kMagicAt], sizeof magic);
  std::memcpy(&value, &bytes[kWalSeqAt], sizeof value);
  std::memcpy(&crc, &bytes[kCrcAt], sizeof crc);
  if (magic != kCursorMagic) return CursorState::kWrongMagic;
  if (crc != ResolveCrc32c()(0, &value, sizeof value)) return CursorState::kWrongCrc;
  *wal_seq = value;
  return CursorState::kSound;
}

Status SaveCursorFile(const std::string& path, uint64_t wal_seq) {
  if (Status status = CheckFilePath("cursor file", path); !status.ok()) return status;
  return ReplaceFile(path, EncodeCursor(wal_seq));
}

Result<uint64_t> LoadCursorFile(const std::string& path) {
  CursorState state;
  return LoadCursorFile(path, &state);
}

Result<uint64_t> LoadCursorFile(const std::string& path, CursorState* state) {
  *state = CursorState::kWrongSize;
  if (Status status = CheckFilePath("cursor file", path); !status.ok()) return status;
  // Not to wait for the other end of what may be a pipe.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.ok()) {
    return SystemError("open", path, errno, "save a cursor first, or check the path and its mode");
  }
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return SystemError("fstat", path, errno);
  if (!S_ISREG(info.st_mode)) return Damaged(path, "it is no regular file");
  std::array<std::byte, kCursorFileBytes + 1> bytes;  // one more, to notice a file that is longer
  const ssize_t got = pread(fd.get(), bytes.data(), bytes.size(), 0);
  if (got < 0) return SystemError("read", path, errno);
  const std::span<const std::byte> have(bytes.data(), static_cast<size_t>(got));
  uint64_t wal_seq = 0;
  *state = DecodeCursor(have, &wal_seq);
  switch (*state) {
    case CursorState::kSound:
      return wal_seq;
    case CursorState::kWrongSize:
      return Damaged(path, got > ssize_t{kCursorFileBytes}
                               ? "it is longer than 16 bytes"
                               : "it has " + std::to_string(got) + " of 16 bytes");
    case CursorState::kWrongMagic:
      return Damaged(path, "wrong magic");
    case CursorState::kWrongCrc:
      break;
  }
  return Damaged(path, "its CRC does not match");
}

}  // namespace ombus

// Cursor file: where a consumer keeps the last sequence it has dealt with, so that after a restart
// it knows from where to resume.
//
//   offset 0                 4          12                        16
//          | magic 0x4F4D4243 | wal_seq  | CRC32C of the wal_seq    |     little-endian, packed
//
// Written beside the old one and renamed over it: whatever happens in between, a crash, a kill, a
// full disk, the file holds the old cursor or the new one, whole. The temporary file is named
// PATH.tmp.PID.TID, with the time behind that where such a file is there; a crash can leave one
// behind, which may be removed.
//
// Threads: any; two that save to one path at once leave either's cursor. Not for the hot path: a
// save waits for the disk (two fsync calls).
#ifndef OMBUS_CURSOR_FILE_H_
#define OMBUS_CURSOR_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "ombus/status.h"

namespace ombus {

inline constexpr uint32_t kCursorMagic = 0x4F4D4243;
inline constexpr size_t kCursorFileBytes = 16;

// Saves wal_seq at path. A symbolic link at path is followed, and stays. A file that is replaced
// hands its permissions on; a new one gets 0644, less the umask. On an error the old file is
// untouched; but if it is the folder that cannot be written to its disk, the new one is there and a
// crash of the host may bring the old one back.
OMBUS_API Status SaveCursorFile(const std::string& path, uint64_t wal_seq);

// kNotFound when there is none, kCorrupt when it is not a whole, undamaged cursor file.
OMBUS_API Result<uint64_t> LoadCursorFile(const std::string& path);

}  // namespace ombus

#endif  // OMBUS_CURSOR_FILE_H_

// The bytes of a cursor file: see ombus/cursor_file.h for the format and the files.
//
// Threads: pure functions.
#ifndef OMBUS_RING_CURSOR_FILE_H_
#define OMBUS_RING_CURSOR_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ombus/cursor_file.h"

namespace ombus {

enum class [[nodiscard]] CursorState : uint8_t{kSound, kWrongSize, kWrongMagic, kWrongCrc};

std::array<std::byte, kCursorFileBytes> EncodeCursor(uint64_t wal_seq);

// Sets *wal_seq only when sound.
CursorState DecodeCursor(std::span<const std::byte> bytes, uint64_t* wal_seq);

// LoadCursorFile that also says, of a kCorrupt file, what is wrong with it.
Result<uint64_t> LoadCursorFile(const std::string& path, CursorState* state);

}  // namespace ombus

#endif  // OMBUS_RING_CURSOR_FILE_H_

// CRC32C (Castagnoli, reflected, as in iSCSI and SSE4.2), for the seal on records.
//
// Three implementations that agree: a table; the CRC instruction, serially; and from 128 bytes up
// the instruction on three streams at once (crc32c_inline.h).
//
// Threads: pure functions. Cost at 64 bytes: a few nanoseconds with the instruction.
#ifndef OMBUS_RING_CRC32C_H_
#define OMBUS_RING_CRC32C_H_

#include <cstddef>
#include <cstdint>

namespace ombus {

inline constexpr uint32_t kCrc32cPolynomial = 0x82F63B78;  // reflected

// Extends crc (0 to begin with) by size bytes.
using Crc32cFunction = uint32_t (*)(uint32_t crc, const void* data, size_t size);

uint32_t Crc32cByTable(uint32_t crc, const void* data, size_t size);

// The best for this processor. Resolve it once and keep it.
Crc32cFunction ResolveCrc32c();

// A record's seal: the crc of wal_seq, of the slot's third word with its crc field 0, and of the
// payload, in one call.
using SealFunction = uint32_t (*)(uint64_t wal_seq, uint64_t meta, const void* payload,
                                  size_t size);
SealFunction ResolveSeal();

// Sealed payloads below that size are summed in the code of who publishes and polls
// (ombus/seal_short.h); 0 where the processor has no instruction for that.
uint32_t ShortSealEnd(uint32_t payload_max);

#if defined(__x86_64__)
bool HaveCrc32cInstruction();
bool HaveCarrylessMultiply();
// Only where HaveCrc32cInstruction().
uint32_t Crc32cSerial(uint32_t crc, const void* data, size_t size);
// Only where there are both.
uint32_t Crc32cInterleaved(uint32_t crc, const void* data, size_t size);
#endif

}  // namespace ombus

#endif  // OMBUS_RING_CRC32C_H_

// CRC32C (Castagnoli, reflected, as in iSCSI and SSE4.2), for the seal on records.
//
// Three implementations that agree: a table; the CRC instruction, serially; and from 96 bytes up
// the instruction on three streams at once, whose results two carry-less multiplications join (the
// instruction has a latency of three cycles and a throughput of one). After V. Gopal et al., "Fast
// CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel, 2011.
//
// Threads: pure functions. Cost at 64 bytes: a few nanoseconds with the instruction.
#ifndef OMBUS_RING_CRC32C_H_
#define OMBUS_RING_CRC32C_H_

#include <cstddef>
#include <cstdint>

namespace ombus {

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

#if defined(__x86_64__)
inline constexpr size_t kCrc32cInterleaveBytesMin = 96;
bool HaveCrc32cInstruction();
bool HaveCarrylessMultiply();
// Only where HaveCrc32cInstruction().
uint32_t Crc32cSerial(uint32_t crc, const void* data, size_t size);
// Only where there are both.
uint32_t Crc32cInterleaved(uint32_t crc, const void* data, size_t size);
#endif

}  // namespace ombus

#endif  // OMBUS_RING_CRC32C_H_

// The yardstick of sealed records: BareLines whose writer also computes and stores a CRC32C over
// what a seal covers, and whose reader loads all of it, and computes and compares the sum. What
// that costs over bare is what a seal costs in a ring that hides none of it behind its protocol.
//
// Threads: as BareLines.
#ifndef OMBUS_TOOLS_RING_LIMITS_SUM_H_
#define OMBUS_TOOLS_RING_LIMITS_SUM_H_

#include <cstdint>

#include "ombus/slot_access.h"
#include "ring/crc32c_inline.h"
#include "tools/ring_limits_yardsticks.h"

#if defined(__x86_64__)
namespace ombus::tools {

template <bool kPrefetch, typename Size>
OMBUS_CLMUL_TARGET __attribute__((noinline)) void StoreAllSums(BareLines lines, uint64_t count,
                                                               const void* payload, Size size) {
  const auto* bytes = static_cast<const uint8_t*>(payload);
  for (uint64_t at = 0; at < count;) {
    const uint64_t end = lines.AwaitRoom(at, count);
    for (; at < end; ++at) {
      SlotHeader* slot = lines.SlotAt(at);
      const SlotHeader* ahead = lines.SlotAt(at + (kPrefetch ? kPrefetchAheadSlots : 0));
      const uint64_t meta = slot_access::PackMeta(1, size, 0);
      uint64_t crc;
      if (size < seal_short::kBytesEnd) {
        if (kPrefetch) PrefetchForWrite(ahead, size);
        crc = seal_short::Seal(at, meta, bytes, size);
        slot_access::CopyPayload(slot_access::Payload(slot), payload, size);
      } else {
        crc = crc32c::SealLongCopy(at, meta, bytes, size, slot,
                                   reinterpret_cast<const std::byte*>(ahead));
      }
      slot_access::StoreWord(&slot->wal_seq, at);
      slot_access::StoreWord(slot_access::MetaWord(slot), meta | crc << 32);
      slot->seq.store(at + 1, std::memory_order_relaxed);
    }
    lines.Written(at);
  }
}

// How many sums and seqs are wrong.
template <bool kPrefetch, typename Size>
OMBUS_CLMUL_TARGET __attribute__((noinline)) uint64_t CheckAllSums(BareLines lines, uint64_t count,
                                                                   Size size) {
  uint64_t wrong = 0;
  for (uint64_t at = 0; at < count;) {
    const uint64_t end = lines.AwaitRecords(at);
    for (; at < end; ++at) {
      const SlotHeader* slot = lines.SlotAt(at);
      const auto* payload = reinterpret_cast<const uint8_t*>(slot_access::Payload(slot));
      if (kPrefetch && at + kPrefetchAheadSlots < end) {
        const auto* ahead = reinterpret_cast<const char*>(lines.SlotAt(at + kPrefetchAheadSlots));
        for (size_t line = 0; line < kSlotHeaderBytes + size; line += slot_access::kCacheLineBytes)
          __builtin_prefetch(ahead + line);
      }
      const uint64_t meta = slot_access::LoadWord(slot_access::MetaWord(slot));
      const uint64_t wal_seq = slot->wal_seq, own = meta & 0xFFFFFFFF;
      const uint32_t crc = size < seal_short::kBytesEnd
                               ? seal_short::Seal(wal_seq, own, payload, size)
                               : crc32c::SealLong(wal_seq, own, payload, size, [] {});
      wrong += crc != slot_access::MetaCrc(meta);
      wrong += slot->seq.load(std::memory_order_relaxed) != at + 1;
    }
    lines.Read(at);
  }
  return wrong;
}

}  // namespace ombus::tools
#endif

#endif  // OMBUS_TOOLS_RING_LIMITS_SUM_H_

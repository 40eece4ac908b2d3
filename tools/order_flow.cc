#include "tools/order_flow.h"

#include <cstring>

namespace ombus::tools {
namespace {

// The odd constant of SplitMix64 (Steele, Lea, Flood 2014); successive words of a payload differ by
// it, so that a word out of place is found.
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;
constexpr size_t kWordBytes = 8;

}  // namespace

OrderFlow::OrderFlow(uint64_t seed) : seed_(seed * kGolden) {
  // Shares of 1024. The hash picks an entry, so the order within the table does not matter.
  size_t i = 0;
  for (size_t n = 0; n < 460; ++n) {
    shapes_[i++] = {static_cast<uint8_t>(OrderType::kInsert),
                    static_cast<uint16_t>(56 + 8 * (n % 13))};
  }
  for (size_t n = 0; n < 348; ++n) shapes_[i++] = {static_cast<uint8_t>(OrderType::kCancel), 24};
  for (size_t n = 0; n < 204; ++n) shapes_[i++] = {static_cast<uint8_t>(OrderType::kMatch), 40};
  for (size_t n = 0; n < 8; ++n) shapes_[i++] = {static_cast<uint8_t>(OrderType::kAmend), 64};
  for (uint16_t size : {uint16_t{0}, uint16_t{13}, kOrderBytesMax}) {
    shapes_[i++] = {static_cast<uint8_t>(OrderType::kNote), size};
  }
  while (i < shapes_.size()) shapes_[i++] = {static_cast<uint8_t>(OrderType::kHalt), 16};
}

uint64_t OrderFlow::Hash(uint64_t wal_seq) const {
  uint64_t z = wal_seq * kGolden + seed_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

uint16_t OrderFlow::Fill(uint64_t wal_seq, void* room) const {
  uint64_t word = Hash(wal_seq);
  const uint16_t size = shapes_[word >> (64 - kShapeBits)].size;
  auto* out = static_cast<unsigned char*>(room);
  size_t done = 0;
  for (; done + kWordBytes <= size; done += kWordBytes, word += kGolden) {
    std::memcpy(out + done, &word, kWordBytes);
  }
  std::memcpy(out + done, &word, size - done);
  return size;
}

bool OrderFlow::Matches(const Record& record, bool stamped) const {
  alignas(kWordBytes) unsigned char expected[kOrderBytesMax];
  const uint16_t size = Fill(record.wal_seq, expected);
  if (record.size != size || record.type != TypeOf(record.wal_seq)) return false;
  const size_t skip = stamped && size >= kStampBytes ? kStampBytes : 0;
  if (size == skip) return true;
  return std::memcmp(static_cast<const unsigned char*>(record.payload) + skip, expected + skip,
                     size - skip) == 0;
}

std::string OrderFlow::Explain(const Record& record, bool stamped) const {
  const std::string what = "record " + std::to_string(record.wal_seq) + ": ";
  unsigned char expected[kOrderBytesMax];
  const uint16_t size = Fill(record.wal_seq, expected);
  if (record.size != size) {
    return what + std::to_string(record.size) + " bytes instead of " + std::to_string(size);
  }
  if (record.type != TypeOf(record.wal_seq)) {
    return what + "type " + std::to_string(record.type) + " instead of " +
           std::to_string(TypeOf(record.wal_seq));
  }
  const auto* bytes = static_cast<const unsigned char*>(record.payload);
  for (size_t i = stamped && size >= kStampBytes ? kStampBytes : 0; i < size; ++i) {
    if (bytes[i] != expected[i]) return what + "byte " + std::to_string(i) + " is wrong";
  }
  return what + "as it should be";
}

}  // namespace ombus::tools

// Which slot size a stream should have: from a histogram of its payload sizes to what each class of
// slots, 64 to 4096 bytes, would cost, and the one to take.
//
//   ombus::PayloadHistogram sizes;
//   sizes.Record(sizeof(Order), 900);  // expected: so many of this size …
//   sizes.Record(sizeof(Trade), 100);  // … to so many of that
//   auto advice = ombus::AdviseSlotSize(sizes, options.capacity, options.max_consumers);
//   if (advice.ok()) options.slot_size = advice->slot_size;
//
// Threads: values; one at a time.
#ifndef OMBUS_SLOT_ADVICE_H_
#define OMBUS_SLOT_ADVICE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ombus/ring_layout.h"
#include "ombus/status.h"

namespace ombus {

class OMBUS_API PayloadHistogram {
 public:
  // Sizes beyond 65,535 count as 65,535. Allocates for a size not seen before.
  void Record(uint32_t size, uint64_t count = 1);

  bool empty() const { return counts_.empty(); }
  uint64_t count() const { return count_; }
  uint32_t max() const { return counts_.empty() ? 0 : counts_.rbegin()->first; }
  // The smallest size that at least percent (0…100) of the records do not exceed.
  uint32_t Percentile(double percent) const;
  const std::map<uint32_t, uint64_t>& counts() const { return counts_; }  // by size

  // A file of lines "SIZE COUNT", or "SIZE" for a count of 1; # begins a comment. Saved as a
  // cursor file is: a crash leaves the old one or the new one, a symbolic link stays, and what is
  // no regular file is left alone.
  Status Save(const std::string& path) const;
  static Result<PayloadHistogram> Load(const std::string& path);

 private:
  std::map<uint32_t, uint64_t> counts_;
  uint64_t count_ = 0;
};

struct SlotAdvice {
  uint32_t slot_size = 0;       // bytes
  uint32_t capacity = 0;        // slots
  uint64_t total_bytes = 0;     // of the object
  uint64_t too_large = 0;       // records that do not fit: they would be refused
  double lines_per_record = 0;  // cache lines that a record occupies, of those that fit
  double used = 0;              // share of the slots' bytes that records occupy, 0…1
};

inline constexpr uint32_t kSlotClassBytes[] = {64, 128, 256, 512, 1024, 2048, 4096};

// All classes, for such a ring; kCapacityBySlotSize: each for as many slots as a producer without a
// wish takes. kInvalidArgument for an empty histogram or a capacity that no ring has.
OMBUS_API Result<std::vector<SlotAdvice>> CompareSlotSizes(const PayloadHistogram& sizes,
                                                           uint32_t capacity,
                                                           uint32_t max_consumers);

// The one to take: the smallest into which every record fits, since a record that does not fit is
// refused, and a larger slot costs memory (docs/decisions/slot-size-classes.md).
// kInvalidArgument, too, where a record is larger than the largest class holds.
OMBUS_API Result<SlotAdvice> AdviseSlotSize(const PayloadHistogram& sizes, uint32_t capacity,
                                            uint32_t max_consumers);

}  // namespace ombus

#endif  // OMBUS_SLOT_ADVICE_H_

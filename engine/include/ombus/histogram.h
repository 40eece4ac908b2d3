// Histogram: counts of values in log-linear buckets, for latencies in nanoseconds. Each power of
// two is cut into 32 parts, so a percentile is at most 3.2 % off; the range is all of uint64.
//
// Threads: one writer. Record is a few nanoseconds, no allocation. Merge and copy are for readers
// with their own copy.
#ifndef OMBUS_HISTOGRAM_H_
#define OMBUS_HISTOGRAM_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "ombus/status.h"

namespace ombus {

class OMBUS_API Histogram {
 public:
  void Record(uint64_t value) { Record(value, 1); }
  void Record(uint64_t value, uint64_t count) {
    buckets_[BucketOf(value)] += count;
    count_ += count;
    sum_ += value * count;
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }
  void Merge(const Histogram& other);
  void Reset() { *this = Histogram(); }

  uint64_t count() const { return count_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0.0 : static_cast<double>(sum_) / count_; }
  // The smallest recorded value's bucket bound that at least percent (0…100) of the values do not
  // exceed; 0 when empty, never above max().
  uint64_t Percentile(double percent) const;

 private:
  static constexpr unsigned kSubBits = 5;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) << kSubBits;
  static size_t BucketOf(uint64_t value) {
    if (value < (1u << kSubBits)) return value;
    const unsigned shift = std::bit_width(value) - 1 - kSubBits;
    return ((size_t{shift} + 1) << kSubBits) + ((value >> shift) & ((1u << kSubBits) - 1));
  }
  static uint64_t UpperBoundOf(size_t bucket);

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0, sum_ = 0, max_ = 0, min_ = ~uint64_t{0};
};

}  // namespace ombus

#endif  // OMBUS_HISTOGRAM_H_

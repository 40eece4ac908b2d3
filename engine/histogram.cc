#include "ombus/histogram.h"

#include <algorithm>
#include <cmath>

namespace ombus {

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
  min_ = std::min(min_, other.min_);
}

uint64_t Histogram::UpperBoundOf(size_t bucket) {
  const size_t group = bucket >> kSubBits;
  if (group == 0) return bucket;
  const unsigned shift = static_cast<unsigned>(group) - 1;
  const uint64_t mantissa = (uint64_t{1} << kSubBits) | (bucket & ((1u << kSubBits) - 1));
  return (mantissa << shift) + ((uint64_t{1} << shift) - 1);
}

uint64_t Histogram::Percentile(double percent) const {
  if (count_ == 0) return 0;
  const double clamped = std::clamp(percent, 0.0, 100.0);
  const uint64_t rank =
      std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(clamped / 100.0 * count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(UpperBoundOf(i), max_);
  }
  return max_;
}

}  // namespace ombus

#include "ombus/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace ombus {
namespace {

TEST(HistogramTest, AnEmptyHistogramAnswersZeroToEverything) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.mean(), 0.0);
  EXPECT_EQ(histogram.Percentile(99), 0u);
}

TEST(HistogramTest, SmallValuesAreKeptExactly) {
  Histogram histogram;
  for (uint64_t value = 0; value < 32; ++value) histogram.Record(value);
  EXPECT_EQ(histogram.Percentile(0), 0u);
  EXPECT_EQ(histogram.Percentile(50), 15u);
  EXPECT_EQ(histogram.Percentile(100), 31u);
  EXPECT_DOUBLE_EQ(histogram.mean(), 15.5);
}

TEST(HistogramTest, APercentileIsAtMostThreePointTwoPercentAboveTheExactOne) {
  std::mt19937_64 random(7);
  Histogram histogram;
  std::vector<uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(random() >> (random() % 60));
    histogram.Record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 25.0, 50.0, 90.0, 99.0, 99.9}) {
    const auto rank = static_cast<size_t>(std::max(1.0, std::ceil(percent / 100 * 20'000)));
    const uint64_t exact = values[rank - 1];
    EXPECT_GE(histogram.Percentile(percent), exact) << percent;
    EXPECT_LE(static_cast<double>(histogram.Percentile(percent)),
              static_cast<double>(exact) * 1.032 + 1)
        << percent;
  }
}

TEST(HistogramTest, TheLargestValueOfTheRangeIsCounted) {
  Histogram histogram;
  histogram.Record(~uint64_t{0});
  EXPECT_EQ(histogram.max(), ~uint64_t{0});
  EXPECT_EQ(histogram.Percentile(50), ~uint64_t{0});
}

TEST(HistogramTest, NoPercentileIsAboveTheMaximum) {
  Histogram histogram;
  histogram.Record(1'000'001);
  EXPECT_EQ(histogram.Percentile(100), 1'000'001u);
  EXPECT_EQ(histogram.Percentile(0), 1'000'001u);
}

TEST(HistogramTest, PercentsOutsideTheirRangeAreClamped) {
  Histogram histogram;
  histogram.Record(1);
  histogram.Record(9);
  EXPECT_EQ(histogram.Percentile(-5), 1u);
  EXPECT_EQ(histogram.Percentile(500), 9u);
}

TEST(HistogramTest, RecordingAValueManyTimesEqualsRecordingItOneByOne) {
  Histogram many, single;
  many.Record(4242, 10);
  for (int i = 0; i < 10; ++i) single.Record(4242);
  EXPECT_EQ(many.count(), single.count());
  EXPECT_EQ(many.mean(), single.mean());
  EXPECT_EQ(many.Percentile(50), single.Percentile(50));
}

TEST(HistogramTest, MergingEqualsRecordingBothInOne) {
  Histogram low, high, both;
  for (uint64_t value = 0; value < 1000; ++value) {
    low.Record(value);
    high.Record(value * 1000);
    both.Record(value);
    both.Record(value * 1000);
  }
  low.Merge(high);
  EXPECT_EQ(low.count(), both.count());
  EXPECT_EQ(low.min(), both.min());
  EXPECT_EQ(low.max(), both.max());
  for (const double percent : {10.0, 50.0, 99.0}) {
    EXPECT_EQ(low.Percentile(percent), both.Percentile(percent));
  }
}

TEST(HistogramTest, MergingAnEmptyOneChangesNothing) {
  Histogram histogram;
  histogram.Record(17);
  histogram.Merge(Histogram());
  EXPECT_EQ(histogram.min(), 17u);
  EXPECT_EQ(histogram.count(), 1u);
}

TEST(HistogramTest, ResetForgetsEverything) {
  Histogram histogram;
  histogram.Record(17);
  histogram.Reset();
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

}  // namespace
}  // namespace ombus

#include "tools/order_flow.h"

#include <gtest/gtest.h>

#include <cstring>

namespace ombus::tools {
namespace {

struct Made {
  unsigned char bytes[kOrderBytesMax];
  Record record;
};

void Make(const OrderFlow& flow, uint64_t wal_seq, Made* made) {
  const uint16_t size = flow.Fill(wal_seq, made->bytes);
  made->record = {wal_seq, made->bytes, size, flow.TypeOf(wal_seq), 0};
}

TEST(OrderFlow, TheMixIsThatOfAMatchingEngine) {
  const OrderFlow flow;
  constexpr uint64_t kRecords = 200'000;
  uint64_t inserts = 0, cancels = 0, matches = 0;
  for (uint64_t seq = 1; seq <= kRecords; ++seq) {
    const auto type = static_cast<OrderType>(flow.TypeOf(seq));
    const uint16_t size = flow.SizeOf(seq);
    if (type == OrderType::kInsert) {
      ++inserts;
      EXPECT_TRUE(size >= 56 && size <= 152);
    } else if (type == OrderType::kCancel) {
      ++cancels;
      EXPECT_EQ(size, 24);
    } else if (type == OrderType::kMatch) {
      ++matches;
      EXPECT_EQ(size, 40);
    }
    EXPECT_LE(size, kOrderBytesMax);
  }
  EXPECT_NEAR(static_cast<double>(inserts) / kRecords, 0.45, 0.01);
  EXPECT_NEAR(static_cast<double>(cancels) / kRecords, 0.34, 0.01);
  EXPECT_NEAR(static_cast<double>(matches) / kRecords, 0.20, 0.01);
  EXPECT_LT(inserts + cancels + matches, kRecords);
}

TEST(OrderFlow, EveryRecordMatchesItself) {
  const OrderFlow flow(7);
  Made made;
  for (uint64_t seq = 0; seq < 10'000; ++seq) {
    Make(flow, seq, &made);
    ASSERT_TRUE(flow.Matches(made.record, false)) << flow.Explain(made.record, false);
  }
}

TEST(OrderFlow, AWrongBitAnywhereIsFoundAndExplained) {
  const OrderFlow flow;
  Made made;
  for (uint64_t seq = 1; seq < 200; ++seq) {
    Make(flow, seq, &made);
    for (uint16_t i = 0; i < made.record.size; ++i) {
      made.bytes[i] ^= 0x10;
      EXPECT_FALSE(flow.Matches(made.record, false));
      EXPECT_NE(flow.Explain(made.record, false).find("byte " + std::to_string(i)),
                std::string::npos);
      made.bytes[i] ^= 0x10;
    }
  }
}

TEST(OrderFlow, AnotherSizeTypeSequenceOrSeedIsFound) {
  const OrderFlow flow(1), other(2);
  Made made;
  Make(flow, 5, &made);
  EXPECT_FALSE(other.Matches(made.record, false));
  made.record.type ^= 1;
  EXPECT_FALSE(flow.Matches(made.record, false));
  made.record.type ^= 1;
  ++made.record.size;
  EXPECT_FALSE(flow.Matches(made.record, false));
  --made.record.size;
  ++made.record.wal_seq;
  EXPECT_FALSE(flow.Matches(made.record, false));
}

TEST(OrderFlow, AStampIsNotPartOfTheContent) {
  const OrderFlow flow;
  Made made;
  Make(flow, 5, &made);
  ASSERT_GT(made.record.size, kStampBytes);
  std::memset(made.bytes, 0, kStampBytes);
  EXPECT_TRUE(flow.Matches(made.record, true));
  EXPECT_FALSE(flow.Matches(made.record, false));
}

}  // namespace
}  // namespace ombus::tools

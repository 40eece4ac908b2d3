#include "tools/slot_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace ombus::tools {
namespace {

using testing::HasSubstr;

PayloadHistogram Orders() {
  PayloadHistogram sizes;
  sizes.Record(40, 90);
  sizes.Record(100, 10);
  return sizes;
}

TEST(SlotReport, MarksTheAdvisedClassAndTellsWhatEachCosts) {
  const auto text = SlotReport(Orders(), 4096, 8, false);
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("payloads of 100 records: median 40 bytes"));
  EXPECT_THAT(*text, HasSubstr("4,096      528,896              1.10   55 %          0  advised"));
  const auto json = SlotReport(Orders(), 4096, 8, true);
  ASSERT_TRUE(json.ok());
  EXPECT_THAT(
      *json,
      HasSubstr("{\"slot_size\":64,\"capacity\":4096,\"total_bytes\":266752,\"lines_per_record\":1,"
                "\"used\":1,\"records_too_large\":10,\"advised\":false}\n"));
}

TEST(SlotReport, SaysWhyNoClassWillDo) {
  PayloadHistogram sizes;
  sizes.Record(5000);
  const auto text = SlotReport(sizes, 4096, 8, false);
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("more than a slot of 4096 holds"));
  EXPECT_FALSE(SlotReport({}, 4096, 8, false).ok());
}

TEST(SlotSize, IsANumberOrTheAdviceForAFile) {
  const std::string path = testing::TempDir() + "ombus-sizes-" + std::to_string(getpid());
  ASSERT_TRUE(Orders().Save(path).ok());
  EXPECT_EQ(*ChooseSlotSize("512", "", 4096, 8), 512u);
  EXPECT_EQ(*ChooseSlotSize("1KiB", "", 4096, 8), 1024u);
  EXPECT_EQ(*ChooseSlotSize("auto", path, 4096, 8), 128u);
  unlink(path.c_str());
  EXPECT_EQ(ChooseSlotSize("auto", path, 4096, 8).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(ChooseSlotSize("auto", "", 4096, 8).status().message(), HasSubstr("--sizes"));
  EXPECT_THAT(ChooseSlotSize("much", "", 4096, 8).status().message(), HasSubstr("auto"));
  EXPECT_FALSE(ChooseSlotSize("1GiB", "", 4096, 8).ok());
}

}  // namespace
}  // namespace ombus::tools

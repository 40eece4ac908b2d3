#include "ombus/slot_advice.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "ombus/ring_snapshot.h"
#include "tests/ring/ring_fixture.h"

namespace ombus {
namespace {

uint32_t AdvisedFor(uint32_t size) {
  PayloadHistogram sizes;
  sizes.Record(size);
  const auto advice = AdviseSlotSize(sizes, 4096, 8);
  return advice.ok() ? advice->slot_size : 0;
}

std::string TemporaryPath(const std::string& name) {
  return testing::TempDir() + "ombus-" + std::to_string(getpid()) + "-" + name;
}

TEST(SlotAdvice, IsTheSmallestClassThatHoldsEveryRecord) {
  EXPECT_EQ(AdvisedFor(0), 64u);
  EXPECT_EQ(AdvisedFor(40), 64u);
  EXPECT_EQ(AdvisedFor(41), 128u);
  EXPECT_EQ(AdvisedFor(104), 128u);
  EXPECT_EQ(AdvisedFor(105), 256u);
  EXPECT_EQ(AdvisedFor(4072), 4096u);
}

TEST(SlotAdvice, RefusesWhatNoClassHoldsAndSaysWhichSlotSizeWould) {
  PayloadHistogram sizes;
  sizes.Record(4073);
  const auto advice = AdviseSlotSize(sizes, 4096, 8);
  ASSERT_FALSE(advice.ok());
  EXPECT_EQ(advice.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(advice.status().message().find("at least 4104"), std::string::npos);
  EXPECT_FALSE(AdviseSlotSize({}, 4096, 8).ok());
  sizes = {};
  sizes.Record(1);
  EXPECT_FALSE(AdviseSlotSize(sizes, 1000, 8).ok());
}

TEST(SlotAdvice, ComparesMemoryLinesAndRefusalsOfAllClasses) {
  PayloadHistogram sizes;
  sizes.Record(40, 900);   // one line
  sizes.Record(200, 100);  // four lines
  const auto all = CompareSlotSizes(sizes, 4096, 8);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), std::size(kSlotClassBytes));
  EXPECT_EQ((*all)[0].too_large, 100u);
  EXPECT_DOUBLE_EQ((*all)[0].lines_per_record, 1.0);
  EXPECT_DOUBLE_EQ((*all)[0].used, 1.0);
  EXPECT_EQ((*all)[2].slot_size, 256u);
  EXPECT_EQ((*all)[2].total_bytes, 4096u + 8 * 64 + 4096 * 256);
  EXPECT_EQ((*all)[2].too_large, 0u);
  EXPECT_NEAR((*all)[2].lines_per_record, 1.3, 1e-9);
}

TEST(SlotAdvice, GoesByTheSlotsThatAProducerWithoutAWishTakes) {
  PayloadHistogram sizes;
  sizes.Record(200);
  const auto advice = AdviseSlotSize(sizes, kCapacityBySlotSize, 8);
  ASSERT_TRUE(advice.ok());
  EXPECT_EQ(advice->capacity, 16'384u);
  EXPECT_EQ(advice->total_bytes, 4096u + 8 * 64 + 16'384 * 256);
}

TEST(PayloadHistogram, SurvivesAFile) {
  PayloadHistogram sizes;
  sizes.Record(8, 5);
  sizes.Record(100);
  sizes.Record(1 << 20, 2);
  const std::string path = TemporaryPath("sizes");
  ASSERT_TRUE(sizes.Save(path).ok());
  const auto loaded = PayloadHistogram::Load(path);
  unlink(path.c_str());
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->counts(), sizes.counts());
  EXPECT_EQ(loaded->count(), 8u);
  EXPECT_EQ(loaded->max(), 65535u);
  EXPECT_EQ(loaded->Percentile(50), 8u);
  EXPECT_EQ(loaded->Percentile(70), 100u);
}

TEST(PayloadHistogram, TellsTheLineThatItCannotRead) {
  const std::string path = TemporaryPath("bad");
  for (const char* line : {"x", "70000", "8 x", "8 0", "8 1 1", "-1", "8 18446744073709551616"}) {
    std::ofstream(path) << "# sizes\n\n8\t3 # fine\n" << line << "\n";
    const auto loaded = PayloadHistogram::Load(path);
    ASSERT_FALSE(loaded.ok()) << line;
    EXPECT_NE(loaded.status().message().find("line 4"), std::string::npos) << line;
  }
  unlink(path.c_str());
  EXPECT_EQ(PayloadHistogram::Load(path).status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(PayloadHistogram().Save("/nowhere/at/all").ok());
  for (const std::string path : {"", "/tmp/", "/tmp"}) {
    const std::string said = PayloadHistogram().Save(path).message();
    EXPECT_NE(said.find("give the path of"), std::string::npos) << said;
  }
  const std::string folder = PayloadHistogram::Load(testing::TempDir()).status().message();
  EXPECT_EQ(folder.find("remove"), std::string::npos)
      << "a folder is not to be removed: " << folder;
}

// Renaming over it would make a file of a device: of /dev/null for all of the host, where root
// asks.
TEST(PayloadHistogram, IsNotSavedOverWhatIsNoFileAndALinkStays) {
  PayloadHistogram sizes;
  sizes.Record(8, 5);
  const std::string pipe = TemporaryPath("pipe"), link = TemporaryPath("link"),
                    file = TemporaryPath("file");
  struct stat info = {};
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(sizes.Save(pipe).ok());
  ASSERT_EQ(lstat(pipe.c_str(), &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode));
  ASSERT_EQ(symlink(file.c_str(), link.c_str()), 0);
  EXPECT_TRUE(sizes.Save(link).ok());
  ASSERT_EQ(lstat(link.c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
  EXPECT_TRUE(PayloadHistogram::Load(file).ok());
  for (const std::string& path : {pipe, link, file}) unlink(path.c_str());
}

class SizesInTheRing : public RingFixture {};

TEST_F(SizesInTheRing, AreReadFromOutside) {
  auto producer = MakeProducer({.capacity = 8});
  char payload[100] = {};
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_EQ(producer->TryPublish({.wal_seq = i, .payload = payload, .size = 100}),
              PublishResult::kOk);
  }
  ASSERT_EQ(producer->TryPublish({.wal_seq = 10, .payload = payload, .size = 8}),
            PublishResult::kOk);
  const auto sizes = ReadPayloadHistogram(name_.str());
  ASSERT_TRUE(sizes.ok());
  EXPECT_EQ(sizes->count(), 8u);
  EXPECT_EQ(sizes->counts().at(8), 1u);
  EXPECT_EQ(sizes->counts().at(100), 7u);
  EXPECT_FALSE(ReadPayloadHistogram("/ombus-no-such-stream").ok());
}

}  // namespace
}  // namespace ombus

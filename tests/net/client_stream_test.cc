#include "net/client_stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace ombus::net {
namespace {

void AppendRecord(std::vector<std::byte>* out, uint64_t wal_seq) {
  const size_t at = out->size();
  out->resize(at + FrameBytes(4));
  EncodeFrame(out->data() + at, {.wal_seq = wal_seq, .payload = "data", .size = 4, .type = 1});
}

void Feed(ClientStream* stream, const std::vector<std::byte>& bytes) {
  const auto room = stream->Compact();
  ASSERT_GE(room.size(), bytes.size());
  std::copy(bytes.begin(), bytes.end(), room.begin());
  stream->Received(bytes.size());
}

TEST(ClientStreamTest, NothingFollowsTheEndEvenInSequence) {
  std::vector<std::byte> bytes;
  AppendRecord(&bytes, 1);
  AppendBye(&bytes, ByeReason::kEndOfStream, "");
  AppendRecord(&bytes, 2);
  ClientStream stream(1, false, 0);
  Feed(&stream, bytes);
  Record record;
  EXPECT_EQ(stream.Next(&record), ClientResult::kRecord);
  EXPECT_EQ(stream.Next(&record), ClientResult::kEndOfStream);
  EXPECT_EQ(stream.Next(&record), ClientResult::kEndOfStream);
  EXPECT_EQ(stream.expected(), 2u) << "the expectation outlives the connection";
}

TEST(ClientStreamTest, NoSequenceGetsPastAResumingClientBeforeWelcome) {
  for (const uint64_t wal_seq : {uint64_t{0}, uint64_t{5}, ~uint64_t{0}}) {
    ClientStream stream(1, false, 5);
    stream.Reset(/*resuming=*/true);
    std::vector<std::byte> bytes;
    AppendRecord(&bytes, wal_seq);
    Feed(&stream, bytes);
    Record record;
    EXPECT_EQ(stream.Next(&record), ClientResult::kEmpty) << wal_seq;
    EXPECT_TRUE(stream.skipping());
    EXPECT_EQ(stream.expected(), 5u);
  }
}

TEST(ClientStreamTest, TheHighestSequenceIsARecordLikeAnyOther) {
  ClientStream stream(1, false, 0);
  std::vector<std::byte> bytes;
  AppendRecord(&bytes, ~uint64_t{0});
  Feed(&stream, bytes);
  Record record;
  EXPECT_EQ(stream.Next(&record), ClientResult::kRecord);
  EXPECT_EQ(stream.resume_from(), 0u) << "2^64 does not exist";
  EXPECT_EQ(stream.Next(&record), ClientResult::kEmpty);
}

// A relay that was started anew may not have found its stream yet when it answers.
TEST(ClientStreamTest, IsToldOfAnotherEpochAlsoByAServerThatFirstNamedNone) {
  ClientStream stream(1, /*reject_reorder=*/true, 0);
  std::vector<std::byte> bytes;
  AppendWelcome(&bytes, {.epoch = 7});
  AppendRecord(&bytes, 100);
  Feed(&stream, bytes);
  Record record;
  ASSERT_EQ(stream.Next(&record), ClientResult::kRecord);
  stream.Reset(/*resuming=*/true);
  bytes.clear();
  AppendWelcome(&bytes, {.epoch = 0});
  AppendWelcome(&bytes, {.epoch = 8});
  AppendRecord(&bytes, 1);
  Feed(&stream, bytes);
  EXPECT_EQ(stream.Next(&record), ClientResult::kEpochChanged);
  EXPECT_EQ(stream.resume_epoch(), 7u) << "no record of the other has come";
  EXPECT_EQ(stream.Next(&record), ClientResult::kRecord);
  EXPECT_EQ(stream.resume_epoch(), 8u);
}

TEST(ClientStreamTest, ANameThatFollowsRecordsWithoutOneIsAnotherEpochs) {
  ClientStream stream(1, /*reject_reorder=*/true, 0);
  std::vector<std::byte> bytes;
  AppendWelcome(&bytes, {.epoch = 0});
  AppendRecord(&bytes, 100);
  AppendWelcome(&bytes, {.epoch = 8});
  AppendRecord(&bytes, 1);
  Feed(&stream, bytes);
  Record record;
  EXPECT_EQ(stream.Next(&record), ClientResult::kRecord);
  EXPECT_EQ(stream.Next(&record), ClientResult::kEpochChanged);
  EXPECT_EQ(stream.Next(&record), ClientResult::kRecord);
}

// A reason of a newer server, or one with a bit flipped: what is missing is told all the same.
TEST(ClientStreamTest, AGapForAnUnknownReasonIsToldWithTheNextRecord) {
  for (const uint32_t why : {0u, 3u, 1u << 31}) {
    ClientStream stream(1, false, 0);
    std::vector<std::byte> bytes;
    AppendRecord(&bytes, 1);
    AppendGap(&bytes, {0, 1, why});
    AppendRecord(&bytes, 2);
    AppendRecord(&bytes, 3);
    Feed(&stream, bytes);
    Record record;
    EXPECT_EQ(stream.Next(&record), ClientResult::kRecord);
    EXPECT_EQ(stream.Next(&record), ClientResult::kGap) << why;
    EXPECT_EQ(stream.Next(&record), ClientResult::kRecord);
  }
}

}  // namespace
}  // namespace ombus::net

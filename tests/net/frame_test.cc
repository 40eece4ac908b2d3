#include "net/frame.h"

#include <gtest/gtest.h>

#include "net/client_stream.h"
#include "net/session.h"

namespace ombus::net {
namespace {

std::vector<std::byte> StreamOfFrames() {
  std::vector<std::byte> bytes;
  for (uint16_t size : {0, 1, 7, 8, 15, 16, 17, 40, 64}) {
    std::vector<std::byte> payload(size, std::byte{0x5A});
    const size_t at = bytes.size();
    bytes.resize(at + FrameBytes(size));
    EncodeFrame(&bytes[at], {.wal_seq = at, .payload = payload.data(), .size = size, .type = 4});
  }
  AppendWelcome(&bytes, {kWireVersion, 3, 9});
  AppendGap(&bytes, {1, 2, 1});
  AppendBye(&bytes, ByeReason::kShutdown, "bye");
  return bytes;
}

TEST(FrameTest, CopiesEveryLengthExactlyAndNotAByteMore) {
  std::vector<std::byte> from(600), to(602);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + 1);
  for (size_t n = 0; n <= from.size(); ++n) {
    std::fill(to.begin(), to.end(), std::byte{0xEE});
    CopyPayload(&to[1], from.data(), n);
    ASSERT_EQ(std::memcmp(&to[1], from.data(), n), 0) << n;
    ASSERT_EQ(to[0], std::byte{0xEE});
    ASSERT_EQ(to[n + 1], std::byte{0xEE}) << n;
  }
}

TEST(FrameTest, TruncatedAnywhereIsPartialAndNeverAFrame) {
  const auto bytes = StreamOfFrames();
  std::span<const std::byte> left(bytes);
  while (!left.empty()) {
    Frame frame;
    ASSERT_EQ(ParseFrame(left, &frame), ParseResult::kFrame);
    for (size_t n = 0; n < frame.bytes(); ++n) {
      Frame cut;
      ASSERT_EQ(ParseFrame(left.first(n), &cut), ParseResult::kPartial);
    }
    left = left.subspan(frame.bytes());
  }
}

// Whatever one bit does, parsers stay within the bytes (which the sanitizers watch) and end.
TEST(FrameTest, FlippedBitsAreDetectedOrHarmless) {
  const auto good = StreamOfFrames();
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<std::byte> bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    ClientStream client(1, true, 0);
    auto room = client.Compact();
    ASSERT_GE(room.size(), bytes.size());
    std::copy(bytes.begin(), bytes.end(), room.begin());
    client.Received(bytes.size());
    Record record;
    for (int results = 0; results < 100; ++results) {
      const ClientResult result = client.Next(&record);
      if (result == ClientResult::kEmpty || result >= ClientResult::kEndOfStream) break;
      ASSERT_LT(results, 20);
    }
    ControlReader reader;
    std::span<const std::byte> left(bytes);
    Frame frame;
    while (reader.Read(&left, &frame) == ControlReader::Outcome::kFrame && !left.empty()) {
    }
  }
}

// However the peer cuts its bytes, and though it may never send the rest.
TEST(FrameTest, AFrameTooLongForAClientIsRefusedWithItsHeader) {
  std::vector<std::byte> bytes;
  AppendBye(&bytes, ByeReason::kShutdown, std::string(60, 'x'));
  ControlReader reader;
  std::span<const std::byte> header = std::span(bytes).first(kFrameHeaderBytes);
  Frame frame;
  ASSERT_EQ(reader.Read(&header, &frame), ControlReader::Outcome::kBad);
  EXPECT_STREQ(reader.problem(), "a frame too long for a client to send");
}

TEST(FrameTest, ControlFramesComeBackAsTheyWere) {
  std::vector<std::byte> bytes;
  AppendHello(&bytes, {kWireVersion, 77, 88});
  AppendSlowWarning(&bytes, {5, 6});
  Frame frame;
  ASSERT_EQ(ParseFrame(bytes, &frame), ParseResult::kFrame);
  ASSERT_EQ(frame.bytes(), 40u);
  Hello hello;
  ASSERT_TRUE(ParseHello(frame, &hello));
  EXPECT_EQ(hello.resume_from, 77u);
  EXPECT_EQ(hello.epoch, 88u);
  SlowWarningFrame warning;
  ASSERT_EQ(ParseFrame(std::span(bytes).subspan(40), &frame), ParseResult::kFrame);
  ASSERT_TRUE(ParseSlowWarning(frame, &warning));
  EXPECT_EQ(warning.pending_bytes, 5u);
  EXPECT_EQ(warning.limit_bytes, 6u);
}

}  // namespace
}  // namespace ombus::net

#include "tools/format.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tools/address.h"
#include "tools/json.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

using namespace std::string_view_literals;  // NOLINT: payloads with NUL bytes

std::string Formatted(std::string_view payload, Format format, uint8_t flags = 0) {
  std::string out;
  AppendRecord({7, payload.data(), static_cast<uint16_t>(payload.size()), 1, flags}, format, &out);
  return out;
}

TEST(Format, LineEndsEveryRecordWithExactlyOneNewline) {
  EXPECT_EQ(Formatted("abc", Format::kLine), "abc\n");
  EXPECT_EQ(Formatted("abc\n", Format::kLine), "abc\n");
  EXPECT_EQ(Formatted("", Format::kLine), "\n");
}

TEST(Format, RawIsThePayloadByteForByte) {
  EXPECT_EQ(Formatted("a\0b"sv, Format::kRaw), "a\0b"sv);
  EXPECT_EQ(Formatted("", Format::kRaw), "");
}

TEST(Format, HexShowsSequenceTypeSizeAndBytes) {
  EXPECT_EQ(Formatted("\x01\xff"sv, Format::kHex), "7 1 2 01ff\n");
}

TEST(Format, JsonEscapesTextAndGivesOtherBytesInHex) {
  EXPECT_EQ(Formatted("a\"\\\n\x01"sv, Format::kJson),
            "{\"wal_seq\":7,\"type\":1,\"size\":5,\"text\":\"a\\\"\\\\\\n\\u0001\"}\n");
  EXPECT_EQ(Formatted("\xff", Format::kJson),
            "{\"wal_seq\":7,\"type\":1,\"size\":1,\"hex\":\"ff\"}\n");
  EXPECT_NE(Formatted("x", Format::kJson, kRecordGap).find("\"gap\":true"), std::string::npos);
}

TEST(Format, Utf8IsToldFromWhatOnlyLooksLikeIt) {
  EXPECT_TRUE(IsUtf8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x80"));
  for (std::string_view wrong : {"\x80"sv, "\xc3"sv, "\xc0\x80"sv, "\xe0\x80\x80"sv,
                                 "\xed\xa0\x80"sv, "\xf4\x90\x80\x80"sv, "\xf8\x88\x80\x80"sv}) {
    EXPECT_FALSE(IsUtf8(wrong));
  }
}

TEST(Format, AnUnknownNameIsRefused) {
  Format format;
  EXPECT_FALSE(ParseFormat("xml", &format));
  EXPECT_TRUE(ParseFormat("none", &format) && format == Format::kNone);
}

TEST(Address, HostsPortsAndBracketsAreRead) {
  EXPECT_EQ(FormatHostPort(*ParseHostPort("[::1]:7001")), "[::1]:7001");
  EXPECT_EQ(FormatHostPort(*ParseHostPort("7001")), "127.0.0.1:7001");
  EXPECT_EQ(FormatHostPort(*ParseHostPort("feed.example:9")), "feed.example:9");
  for (std::string_view wrong : {"", ":", "host:", ":7001", "::1:7001", "host:70000", "host:-1"}) {
    EXPECT_FALSE(ParseHostPort(wrong).ok()) << wrong;
  }
}

TEST(Json, ObjectsNestAndNumbersThatAreNoneBecomeNull) {
  EXPECT_EQ(JsonObject().Add("a", 1).Add("b", true).Add("c", "x").text(),
            R"({"a":1,"b":true,"c":"x"})");
  EXPECT_EQ(JsonObject().Add("n", 0.0 / 0.0).Add("l", std::vector<JsonObject>(2)).text(),
            R"({"n":null,"l":[{},{}]})");
}

TEST(Table, NumbersStandOnTheRight) {
  Table table({"name", "count"});
  table.Add({"a", "5"});
  table.Add({"long", "1,234"});
  EXPECT_EQ(table.Text(), "name  count\na         5\nlong  1,234\n");
}

}  // namespace
}  // namespace ombus::tools

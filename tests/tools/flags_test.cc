#include "tools/flags.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace ombus::tools {
namespace {

struct Values {
  bool crc = false;
  std::string name;
  std::vector<std::string> streams;
  uint64_t count = 0, time_ns = 0, size = 0, small = 0;
  uint32_t wait_ms = 0;
  std::string word = "auto";
  std::vector<int> cpus;
  int node = -1;
};

FlagTable TableOf(Values* v) {
  return {{"crc", "", "a switch", &v->crc},
          {"name", "TEXT", "free text", &v->name},
          {"stream", "NAME", "repeated", &v->streams},
          {"count", "N", "a number", Number{&v->count, 1, 100}},
          {"time-ms", "TIME", "a time", Duration{&v->time_ns}},
          {"wait-ms", "TIME", "a time that is sent in milliseconds", Millis{&v->wait_ms}},
          {"size", "BYTES", "a size", Bytes{&v->size}},
          {"small", "BYTES", "a size with a limit", Bytes{&v->small, 1u << 20}},
          {"backend", "WORD", "a word", Choice{&v->word, {"auto", "uring", "epoll"}}},
          {"cpus", "N,M", "cpus", CpuList{&v->cpus}},
          {"node", "N", "a number with a sign", Integer{&v->node, -1, 9}}};
}

Status Parse(Values* values, std::vector<std::string_view> args) {
  return ParseFlags(TableOf(values), args);
}

TEST(Flags, EveryKindOfValueIsSetWithEitherSpelling) {
  Values v;
  ASSERT_TRUE(Parse(&v, {"--crc", "--name=a=b", "--stream", "/x", "--stream=/y", "--count", "7",
                         "--time-ms=250", "--size", "4MiB", "--backend", "epoll", "--cpus=0,-1",
                         "--node", "9"})
                  .ok());
  EXPECT_TRUE(v.crc);
  EXPECT_EQ(v.name, "a=b");
  EXPECT_EQ(v.streams, (std::vector<std::string>{"/x", "/y"}));
  EXPECT_EQ(v.count, 7u);
  EXPECT_EQ(v.time_ns, 250'000'000u);
  EXPECT_EQ(v.size, 4u << 20);
  EXPECT_EQ(v.word, "epoll");
  EXPECT_EQ(v.cpus, (std::vector<int>{0, -1}));
  EXPECT_EQ(v.node, 9);
}

TEST(Flags, ATimeInMillisecondsIsNeverCutToAnother) {
  Values v;
  ASSERT_TRUE(Parse(&v, {"--wait-ms", "250"}).ok());
  EXPECT_EQ(v.wait_ms, 250u);
  ASSERT_TRUE(Parse(&v, {"--wait-ms", "71582min"}).ok());
  EXPECT_EQ(v.wait_ms, 4'294'920'000u);
  for (const char* wrong : {"500us", "1500us", "4294967296", "71583min"}) {
    const Status status = Parse(&v, {"--wait-ms", wrong});
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << wrong;
    EXPECT_NE(status.message().find("whole milliseconds"), std::string::npos) << status.message();
  }
}

TEST(Flags, ASizeWithALimitNamesIt) {
  Values v;
  ASSERT_TRUE(Parse(&v, {"--small", "1MiB"}).ok());
  EXPECT_EQ(v.small, 1u << 20);
  const Status status = Parse(&v, {"--small", "2MiB"});
  EXPECT_NE(status.message().find("at most 1048576"), std::string::npos) << status.message();
  EXPECT_EQ(v.small, 1u << 20);
}

TEST(Flags, AnUnknownFlagIsRefusedWithTheNearestName) {
  Values v;
  const Status status = Parse(&v, {"--cuont", "7"});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("did you mean --count?"), std::string::npos) << status.message();
}

TEST(Flags, AMissingValueIsNamed) {
  Values v;
  const Status status = Parse(&v, {"--count"});
  EXPECT_NE(status.message().find("--count: no value"), std::string::npos) << status.message();
}

TEST(Flags, ValuesOutOfRangeOrOfAnotherKindAreRefusedWithTheCure) {
  for (std::vector<std::string_view> args :
       std::vector<std::vector<std::string_view>>{{"--count", "0"},
                                                  {"--count", "101"},
                                                  {"--count", "-1"},
                                                  {"--count", "1x"},
                                                  {"--count", ""},
                                                  {"--count", "99999999999999999999"},
                                                  {"--time-ms", "10 parsecs"},
                                                  {"--time-ms", "99999999999999999999s"},
                                                  {"--size", "18446744073709551615KiB"},
                                                  {"--backend", "iocp"},
                                                  {"--cpus", "0,,1"},
                                                  {"--cpus", "2000"},
                                                  {"--node", "1,2"},
                                                  {"--node", "10"},
                                                  {"--node", "-2"},
                                                  {"--node", ""},
                                                  {"--crc=yes"},
                                                  {"count", "1"},
                                                  {"--"}}) {
    Values v;
    const Status status = Parse(&v, args);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << args.back();
    EXPECT_NE(status.message().find("; "), std::string::npos) << status.message();
  }
}

TEST(Flags, TimesAndSizesTakeUnits) {
  uint64_t value = 0;
  EXPECT_TRUE(ParseDuration("10s", 1, &value) && value == 10'000'000'000);
  EXPECT_TRUE(ParseDuration("3us", 1, &value) && value == 3'000);
  EXPECT_TRUE(ParseDuration("5", 1'000, &value) && value == 5'000);
  EXPECT_TRUE(ParseDuration("2min", 1, &value) && value == 120'000'000'000);
  EXPECT_TRUE(ParseBytes("64KiB", &value) && value == 65536);
  EXPECT_TRUE(ParseBytes("7", &value) && value == 7);
  EXPECT_FALSE(ParseBytes("MiB", &value));
}

TEST(Flags, TheHelpListsEveryFlagWithItsDefault) {
  Values v;
  const std::string help = DescribeFlags(TableOf(&v));
  EXPECT_NE(help.find("--backend WORD"), std::string::npos);
  EXPECT_NE(help.find("(default auto)"), std::string::npos);
}

TEST(Flags, NothingIsSuggestedForAWordUnlikeAll) {
  constexpr std::string_view kWords[] = {"pub", "sub", "relay"};
  EXPECT_EQ(NearestWord("rellay", kWords), "relay");
  EXPECT_EQ(NearestWord("zzzzzz", kWords), "");
}

}  // namespace
}  // namespace ombus::tools

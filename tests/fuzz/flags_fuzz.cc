// The command line: any words, for a table with a flag of every kind, and every single value.
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_input.h"
#include "tools/address.h"
#include "tools/flags.h"

namespace ombus::tools {
namespace {

// The input's lines.
std::vector<std::string> WordsOf(std::span<const std::byte> bytes) {
  std::vector<std::string> words(1);
  for (const std::byte byte : bytes) {
    if (byte == std::byte{'\n'}) {
      words.emplace_back();
    } else {
      words.back().push_back(static_cast<char>(byte));
    }
  }
  return words;
}

void ParseTable(const std::vector<std::string>& words) {
  bool quiet = false;
  std::string stream, policy = "wait";
  std::vector<std::string> many;
  uint64_t count = 5, timeout_ns = 0, bytes = 0;
  uint32_t clients = 7;
  std::vector<int> cpus;
  std::vector<uint32_t> windows;
  const FlagTable flags = {
      {"quiet", "", "a switch", &quiet},
      {"stream", "NAME", "text", &stream},
      {"also", "NAME", "again and again", &many},
      {"count", "N", "a number", Number{&count, 5, 100}},
      {"clients", "N", "a small number", Number32{&clients, 7, 70}},
      {"timeout", "TIME", "a time", Duration{&timeout_ns}},
      {"log", "SIZE", "a size", Bytes{&bytes}},
      {"policy", "WORD", "a word", Choice{&policy, {"wait", "skip"}}},
      {"cpus", "LIST", "cpus", CpuList{&cpus}},
      {"windows", "LIST", "numbers", NumberList{&windows, 1, 1000}},
  };
  const std::vector<std::string_view> args(words.begin(), words.end());
  const Status status = ParseFlags(flags, args);
  FUZZ_CHECK(status.ok() || (status.code() == StatusCode::kInvalidArgument &&
                             status.message().find(';') != std::string::npos));
  FUZZ_CHECK(count >= 5 && count <= 100 && clients >= 7 && clients <= 70);
  FUZZ_CHECK(policy == "wait" || policy == "skip");
  for (const int cpu : cpus) FUZZ_CHECK(cpu >= -1);
  for (const uint32_t window : windows) FUZZ_CHECK(window >= 1 && window <= 1000);
  FUZZ_CHECK(!DescribeFlags(flags).empty());
}

void ParseValues(const std::string& word) {
  uint64_t value = 0;
  if (ParseNumber(word, &value)) {
    uint64_t again = 0;
    FUZZ_CHECK(ParseNumber(std::to_string(value), &again) && again == value);
  }
  (void)ParseBytes(word, &value);
  (void)ParseDuration(word, 1'000'000, &value);
  const Result<HostPort> address = ParseHostPort(word);
  if (!address.ok()) {
    FUZZ_CHECK(!address.status().message().empty());
    return;
  }
  const Result<HostPort> again = ParseHostPort(FormatHostPort(*address));
  FUZZ_CHECK(again.ok() && again->host == address->host && again->port == address->port);
}

}  // namespace
}  // namespace ombus::tools

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ombus::FuzzInput input(data, size);
  const auto words = ombus::tools::WordsOf(input.Bytes(size));
  ombus::tools::ParseTable(words);
  for (const std::string& word : words) ombus::tools::ParseValues(word);
  return 0;
}

// Flags: a command's options as a table of data. A row binds a name, a kind of value and a line of
// help to a variable; parsing, range checks, suggestions and --help all come from the table.
//
//   Options options;
//   const FlagTable flags = {
//       {"stream", "NAME", "the stream, a slash and a name", &options.stream},
//       {"count", "N", "stop after N records", Number{&options.count}},
//   };
//   Status parsed = ParseFlags(flags, args);
//
// Accepts `--flag value` and `--flag=value`; a switch takes no value. Threads: plain data.
// Not for positional arguments: no command has any.
#ifndef OMBUS_TOOLS_FLAGS_H_
#define OMBUS_TOOLS_FLAGS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ombus/status.h"

namespace ombus::tools {

// A whole number in [min, max].
struct Number {
  uint64_t* value;
  uint64_t min = 0;
  uint64_t max = ~uint64_t{0};
};

struct Number32 {
  uint32_t* value;
  uint32_t min = 0;
  uint32_t max = ~uint32_t{0};
};

// The same, with a sign.
struct Integer {
  int* value;
  int min;
  int max;
};

// A time, kept in nanoseconds: "250ms", "10s"; a bare number counts default_unit_ns.
struct Duration {
  uint64_t* ns;
  uint64_t default_unit_ns = 1'000'000;
};

// A time of whole milliseconds, which a bare number counts.
struct Millis {
  uint32_t* ms;
  uint32_t min = 0, max = UINT32_MAX;
};

// A size in bytes: "4MiB", "64k", "4096".
struct Bytes {
  uint64_t* value;
  uint64_t max = ~uint64_t{0};
};

// One of a fixed set of words.
struct Choice {
  std::string* value;
  std::vector<std::string_view> words;
};

inline constexpr int kCpuMax = 1023;

// "0,1": cpu numbers, -1 for "leave it".
struct CpuList {
  std::vector<int>* cpus;
};

// "1,16,256": whole numbers in [min, max].
struct NumberList {
  std::vector<uint32_t>* values;
  uint32_t min = 0;
  uint32_t max = ~uint32_t{0};
};

struct Flag {
  std::string_view name;   // without the dashes
  std::string_view value;  // what stands for the value in the help; empty for a switch
  std::string_view help;
  // bool: a switch; string: free text; vector of strings: may be given again and again.
  std::variant<bool*, std::string*, std::vector<std::string>*, Number, Number32, Integer, Duration,
               Millis, Bytes, Choice, CpuList, NumberList>
      target;
};

using FlagTable = std::vector<Flag>;

// Sets the variables that args name. kInvalidArgument with cause and cure otherwise; variables may
// have been set up to the fault.
Status ParseFlags(const FlagTable& flags, std::span<const std::string_view> args);

// The table as indented lines, with the defaults the variables hold now.
std::string DescribeFlags(const FlagTable& flags);

// The word of `words` that `typed` was most likely meant to be; empty if none is near.
std::string_view NearestWord(std::string_view typed, std::span<const std::string_view> words);

// Single values, as the flags read them.
bool ParseNumber(std::string_view text, uint64_t* value);
bool ParseBytes(std::string_view text, uint64_t* value);
bool ParseDuration(std::string_view text, uint64_t default_unit_ns, uint64_t* ns);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_FLAGS_H_

// How single values are written: numbers, sizes, times.
#include <charconv>
#include <span>

#include "tools/flags.h"

namespace ombus::tools {
namespace {

struct Unit {
  std::string_view suffix;
  uint64_t factor;
};

// Longest suffix first, so that "ms" is not read as "s".
constexpr Unit kByteUnits[] = {{"KiB", uint64_t{1} << 10}, {"MiB", uint64_t{1} << 20},
                               {"GiB", uint64_t{1} << 30}, {"k", uint64_t{1} << 10},
                               {"K", uint64_t{1} << 10},   {"M", uint64_t{1} << 20},
                               {"G", uint64_t{1} << 30},   {"B", 1}};
constexpr Unit kTimeUnits[] = {
    {"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"min", 60'000'000'000}, {"s", 1'000'000'000}};

bool ParseWithUnits(std::string_view text, std::span<const Unit> units, uint64_t factor,
                    uint64_t* value) {
  for (const Unit& unit : units) {
    if (!text.ends_with(unit.suffix)) continue;
    text.remove_suffix(unit.suffix.size());
    factor = unit.factor;
    break;
  }
  uint64_t number = 0;
  if (!ParseNumber(text, &number)) return false;
  return !__builtin_mul_overflow(number, factor, value);
}

}  // namespace

bool ParseNumber(std::string_view text, uint64_t* value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return !text.empty() && error == std::errc() && stop == end;
}

bool ParseBytes(std::string_view text, uint64_t* value) {
  return ParseWithUnits(text, kByteUnits, 1, value);
}

bool ParseDuration(std::string_view text, uint64_t default_unit_ns, uint64_t* ns) {
  return ParseWithUnits(text, kTimeUnits, default_unit_ns, ns);
}

}  // namespace ombus::tools

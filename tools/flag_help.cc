// What a table of flags tells people: the help text, and the suggestion after a slip of the key.
#include <algorithm>
#include <numeric>

#include "tools/flags.h"

namespace ombus::tools {
namespace {

std::string FormatDuration(uint64_t ns) {
  if (ns % 1'000'000'000 == 0) return std::to_string(ns / 1'000'000'000) + "s";
  if (ns % 1'000'000 == 0) return std::to_string(ns / 1'000'000) + "ms";
  if (ns % 1'000 == 0) return std::to_string(ns / 1'000) + "us";
  return std::to_string(ns) + "ns";
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes % (1u << 20) == 0) return std::to_string(bytes >> 20) + "MiB";
  if (bytes % (1u << 10) == 0) return std::to_string(bytes >> 10) + "KiB";
  return std::to_string(bytes);
}

// What a variable holds before parsing; empty where there is nothing to tell.
struct DefaultText {
  std::string operator()(const bool*) const { return ""; }
  std::string operator()(const std::string* target) const { return *target; }
  std::string operator()(const std::vector<std::string>*) const { return ""; }
  std::string operator()(const Number& target) const {
    // A value outside the range stands for "not given".
    return *target.value == 0 || *target.value > target.max ? "" : std::to_string(*target.value);
  }
  std::string operator()(const Number32& target) const {
    return *target.value == 0 ? "" : std::to_string(*target.value);
  }
  std::string operator()(const Integer& target) const { return std::to_string(*target.value); }
  std::string operator()(const Duration& target) const {
    return *target.ns == 0 ? "" : FormatDuration(*target.ns);
  }
  std::string operator()(const Millis& target) const {
    return *target.ms == 0 ? "" : FormatDuration(uint64_t{*target.ms} * 1'000'000);
  }
  std::string operator()(const Bytes& target) const {
    return *target.value == 0 ? "" : FormatBytes(*target.value);
  }
  std::string operator()(const Choice& target) const { return *target.value; }
  std::string operator()(const CpuList& target) const {
    std::string text;
    for (int cpu : *target.cpus) text += (text.empty() ? "" : ",") + std::to_string(cpu);
    return text;
  }
  std::string operator()(const NumberList& target) const {
    std::string text;
    for (uint32_t value : *target.values) {
      text += (text.empty() ? "" : ",") + std::to_string(value);
    }
    return text;
  }
};

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string DescribeFlags(const FlagTable& flags) {
  size_t width = 0;
  for (const Flag& flag : flags) {
    width = std::max(width, flag.name.size() + (flag.value.empty() ? 0 : flag.value.size() + 1));
  }
  std::string text;
  for (const Flag& flag : flags) {
    std::string left = std::string(flag.name);
    if (!flag.value.empty()) left += " " + std::string(flag.value);
    left.resize(width + 2, ' ');
    text += "  --" + left + std::string(flag.help);
    const std::string value = std::visit(DefaultText{}, flag.target);
    if (!value.empty()) text += " (default " + value + ")";
    text += "\n";
  }
  return text;
}

std::string_view NearestWord(std::string_view typed, std::span<const std::string_view> words) {
  std::string_view best;
  // Half of what was typed may be wrong, but no more than three letters.
  size_t best_distance = std::min<size_t>(3, typed.size() / 2) + 1;
  for (std::string_view word : words) {
    const bool is_beginning = typed.size() >= 2 && word.starts_with(typed);
    const size_t distance = is_beginning ? 1 : EditDistance(typed, word);
    if (distance < best_distance) {
      best_distance = distance;
      best = word;
    }
  }
  return best;
}

}  // namespace ombus::tools

#include "tools/flags.h"

#include <algorithm>
#include <charconv>

namespace ombus::tools {
namespace {

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

Status Refuse(const Flag& flag, std::string_view text, const std::string& remedy) {
  return {StatusCode::kInvalidArgument,
          "flag --" + std::string(flag.name) + " " + Quoted(text) + ": not a value; " + remedy};
}

Status SetNumber(const Flag& flag, std::string_view text, uint64_t min, uint64_t max,
                 uint64_t* out) {
  uint64_t value = 0;
  if (ParseNumber(text, &value) && value >= min && value <= max) {
    *out = value;
    return {};
  }
  std::string range = "give a whole number";
  if (max != ~uint64_t{0}) {
    range += " from " + std::to_string(min) + " to " + std::to_string(max);
  } else if (min > 0) {
    range += " from " + std::to_string(min) + " up";
  }
  return Refuse(flag, text, range);
}

// Sets one flag's variable: an overload per kind of value.
struct Setter {
  const Flag& flag;
  std::string_view text;

  Status operator()(bool* target) const {
    *target = true;
    return {};
  }
  Status operator()(std::string* target) const {
    *target = text;
    return {};
  }
  Status operator()(std::vector<std::string>* target) const {
    target->emplace_back(text);
    return {};
  }
  Status operator()(const Number& target) const {
    return SetNumber(flag, text, target.min, target.max, target.value);
  }
  Status operator()(const Number32& target) const {
    uint64_t value = 0;
    Status set = SetNumber(flag, text, target.min, target.max, &value);
    if (set.ok()) *target.value = static_cast<uint32_t>(value);
    return set;
  }
  Status operator()(const Integer& target) const {
    int value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc() || stop != end || value < target.min ||
        value > target.max) {
      return Refuse(flag, text,
                    "give a whole number from " + std::to_string(target.min) + " to " +
                        std::to_string(target.max));
    }
    *target.value = value;
    return {};
  }
  Status operator()(const Duration& target) const {
    if (ParseDuration(text, target.default_unit_ns, target.ns)) return {};
    return Refuse(flag, text, "give a time such as 250ms, 10s or 2min");
  }
  Status operator()(const Millis& target) const {
    constexpr uint64_t kNsPerMs = 1'000'000;
    uint64_t ns = 0;
    if (ParseDuration(text, kNsPerMs, &ns) && ns % kNsPerMs == 0 && ns / kNsPerMs >= target.min &&
        ns / kNsPerMs <= target.max) {
      *target.ms = static_cast<uint32_t>(ns / kNsPerMs);
      return {};
    }
    return Refuse(
        flag, text,
        target.max == UINT32_MAX
            ? "give a time of whole milliseconds such as 250, 10s or 2min, at most 71582min"
            : "give a time of whole milliseconds from " + std::to_string(target.min) + " to " +
                  std::to_string(target.max) + ", such as 250 or 10s");
  }
  Status operator()(const Bytes& target) const {
    uint64_t bytes = 0;
    if (ParseBytes(text, &bytes) && bytes <= target.max) {
      *target.value = bytes;
      return {};
    }
    std::string remedy = "give a size such as 4096, 64KiB or 4MiB";
    if (target.max != ~uint64_t{0}) remedy += ", at most " + std::to_string(target.max);
    return Refuse(flag, text, remedy);
  }
  Status operator()(const Choice& target) const {
    if (std::find(target.words.begin(), target.words.end(), text) != target.words.end()) {
      *target.value = text;
      return {};
    }
    std::string remedy = "give one of";
    for (std::string_view word : target.words) remedy += " " + std::string(word);
    return Refuse(flag, text, remedy);
  }
  Status operator()(const CpuList& target) const {
    std::vector<int> cpus;
    std::string_view rest = text;
    while (true) {
      const size_t comma = rest.find(',');
      const std::string_view word = rest.substr(0, comma);
      int cpu = 0;
      const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), cpu);
      if (word.empty() || error != std::errc() || stop != word.data() + word.size() || cpu < -1 ||
          cpu > kCpuMax) {
        return Refuse(flag, text, "give cpu numbers such as 0,1; -1 leaves a thread where it is");
      }
      cpus.push_back(cpu);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    *target.cpus = std::move(cpus);
    return {};
  }
  Status operator()(const NumberList& target) const {
    std::vector<uint32_t> values;
    std::string_view rest = text;
    while (true) {
      const size_t comma = rest.find(',');
      uint64_t value = 0;
      if (!ParseNumber(rest.substr(0, comma), &value) || value < target.min || value > target.max) {
        return Refuse(flag, text,
                      "give numbers from " + std::to_string(target.min) + " to " +
                          std::to_string(target.max) + " such as 1,16,256");
      }
      values.push_back(static_cast<uint32_t>(value));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    *target.values = std::move(values);
    return {};
  }
};

const Flag* Find(const FlagTable& flags, std::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

Status UnknownFlag(const FlagTable& flags, std::string_view name) {
  std::vector<std::string_view> names;
  for (const Flag& flag : flags) names.push_back(flag.name);
  const std::string_view near = NearestWord(name, names);
  return {StatusCode::kInvalidArgument,
          "flag --" + std::string(name) + ": no such flag; " +
              (near.empty() ? "see --help" : "did you mean --" + std::string(near) + "?")};
}

}  // namespace

Status ParseFlags(const FlagTable& flags, std::span<const std::string_view> args) {
  for (size_t i = 0; i < args.size(); ++i) {
    std::string_view arg = args[i];
    if (!arg.starts_with("--") || arg.size() == 2) {
      return {StatusCode::kInvalidArgument,
              "argument " + Quoted(arg) + ": not a flag; all arguments are --flag value"};
    }
    arg.remove_prefix(2);
    const size_t equals = arg.find('=');
    const bool inline_value = equals != std::string_view::npos;
    const std::string_view name = arg.substr(0, equals);
    const Flag* flag = Find(flags, name);
    if (flag == nullptr) return UnknownFlag(flags, name);
    const bool is_switch = std::holds_alternative<bool*>(flag->target);
    if (is_switch && inline_value) {
      return {StatusCode::kInvalidArgument,
              "flag --" + std::string(name) + ": takes no value; write it alone"};
    }
    if (!is_switch && !inline_value && i + 1 == args.size()) {
      return {StatusCode::kInvalidArgument, "flag --" + std::string(name) + ": no value; write --" +
                                                std::string(name) + " " + std::string(flag->value)};
    }
    std::string_view text;
    if (inline_value) text = arg.substr(equals + 1);
    if (!is_switch && !inline_value) text = args[++i];
    Status set = std::visit(Setter{*flag, text}, flag->target);
    if (!set.ok()) return set;
  }
  return {};
}

}  // namespace ombus::tools

#include "tools/table.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace ombus::tools {
namespace {

bool LooksNumeric(const std::string& text) {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-');
}

}  // namespace

std::string Table::Text() const {
  std::vector<size_t> widths;
  std::vector<bool> numeric;
  for (const auto& row : rows_) {
    if (widths.size() < row.size()) widths.resize(row.size(), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  numeric.assign(widths.size(), rows_.size() > 1);
  for (size_t r = 1; r < rows_.size(); ++r) {
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      if (!LooksNumeric(rows_[r][i])) numeric[i] = false;
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      if (i > 0) line += "  ";
      line += numeric[i] ? padding + row[i] : row[i] + padding;
    }
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
  }
  return text;
}

std::string WithThousands(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

std::string Fixed(double number, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, number);
  return text;
}

std::string HumanRate(double per_second) {
  if (per_second >= 1e6) return Fixed(per_second / 1e6, 2) + " M/s";
  if (per_second >= 1e4) return Fixed(per_second / 1e3, 1) + " k/s";
  return Fixed(per_second, 0) + " /s";
}

std::string HumanBytes(double bytes) {
  if (bytes >= 1e9) return Fixed(bytes / 1e9, 2) + " GB";
  if (bytes >= 1e6) return Fixed(bytes / 1e6, 1) + " MB";
  if (bytes >= 1e3) return Fixed(bytes / 1e3, 1) + " kB";
  return Fixed(bytes, 0) + " B";
}

std::string HumanNs(double ns) {
  if (ns >= 1e9) return Fixed(ns / 1e9, 2) + " s";
  if (ns >= 1e6) return Fixed(ns / 1e6, 1) + " ms";
  if (ns >= 1e4) return Fixed(ns / 1e3, 1) + " us";
  return Fixed(ns, 1) + " ns";
}

}  // namespace ombus::tools

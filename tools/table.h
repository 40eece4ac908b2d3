// Table: rows of text in columns as wide as they need to be. Numbers stand on the right.
#ifndef OMBUS_TOOLS_TABLE_H_
#define OMBUS_TOOLS_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace ombus::tools {

class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Two spaces between columns, a line each, the head first.
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string WithThousands(uint64_t number);      // 1234567 → "1,234,567"
std::string Fixed(double number, int decimals);  // 7.25, 1 → "7.3"
std::string HumanRate(double per_second);        // 12.3 M/s, 456 k/s, 78 /s
std::string HumanBytes(double bytes);            // 1.5 GB, 3.2 MB (powers of ten)
std::string HumanNs(double ns);                  // 133 ns, 8.5 us, 1.2 ms, 3.0 s

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_TABLE_H_

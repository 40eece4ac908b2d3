// FuzzInput: an input of a fuzz target, read from the front as bytes and numbers; and FUZZ_CHECK,
// which ends the process where an invariant does not hold. An input that is used up gives zeroes.
#ifndef OMBUS_TESTS_FUZZ_FUZZ_INPUT_H_
#define OMBUS_TESTS_FUZZ_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

// Each target defines it; libFuzzer calls it, or standalone_main.cc.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

namespace ombus {

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  size_t left() const { return left_.size(); }

  template <typename T>
  T Number() {
    T value{};
    const size_t n = std::min(sizeof value, left_.size());
    if (n != 0) std::memcpy(&value, left_.data(), n);
    left_ = left_.subspan(n);
    return value;
  }
  uint8_t Byte() { return Number<uint8_t>(); }

  // At most so many; fewer where the input ends.
  std::span<const std::byte> Bytes(size_t most) {
    const auto taken = left_.first(std::min(most, left_.size()));
    left_ = left_.subspan(taken.size());
    return std::as_bytes(taken);
  }

 private:
  std::span<const uint8_t> left_;
};

}  // namespace ombus

#endif  // OMBUS_TESTS_FUZZ_FUZZ_INPUT_H_

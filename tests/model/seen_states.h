// SeenStates: a set of 64-bit hashes, which takes nothing from operator new.
#ifndef OMBUS_TESTS_MODEL_SEEN_STATES_H_
#define OMBUS_TESTS_MODEL_SEEN_STATES_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace ombus::model {

class SeenStates {
 public:
  SeenStates() = default;
  ~SeenStates() { std::free(table_); }
  SeenStates(const SeenStates&) = delete;
  SeenStates& operator=(const SeenStates&) = delete;

  size_t count() const { return count_; }

  void Clear() {
    if (size_ > kSizeMin) Resize(kSizeMin);
    if (table_ != nullptr) std::memset(table_, 0, size_ * sizeof *table_);
    count_ = 0;
  }

  // False: it was there.
  bool Insert(uint64_t hash) {
    if (2 * count_ >= size_) Grow();
    if (hash == 0) hash = 1;
    size_t at = hash & (size_ - 1);
    for (; table_[at] != 0; at = (at + 1) & (size_ - 1)) {
      if (table_[at] == hash) return false;
    }
    table_[at] = hash;
    ++count_;
    return true;
  }

 private:
  static constexpr size_t kSizeMin = 1 << 12;

  void Resize(size_t size) {
    std::free(table_);
    size_ = size;
    table_ = static_cast<uint64_t*>(std::calloc(size, sizeof *table_));
    if (table_ == nullptr) std::abort();
  }

  void Grow() {
    uint64_t* const before = table_;
    const size_t size_before = size_;
    table_ = nullptr;
    Resize(size_before == 0 ? kSizeMin : 2 * size_before);
    count_ = 0;
    for (size_t i = 0; i < size_before; ++i) {
      if (before[i] != 0) (void)Insert(before[i]);
    }
    std::free(before);
  }

  uint64_t* table_ = nullptr;
  size_t size_ = 0, count_ = 0;
};

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_SEEN_STATES_H_

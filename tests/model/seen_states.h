// SeenStates: a set of 64-bit hashes, which takes nothing from operator new, and says so when it
// has no room for more.
#ifndef OMBUS_TESTS_MODEL_SEEN_STATES_H_
#define OMBUS_TESTS_MODEL_SEEN_STATES_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace ombus::model {

class SeenStates {
 public:
  SeenStates() = default;
  ~SeenStates() { std::free(table_); }
  SeenStates(const SeenStates&) = delete;
  SeenStates& operator=(const SeenStates&) = delete;

  size_t count() const { return count_; }
  size_t bytes() const { return size_ * sizeof *table_; }

  void Clear() {
    std::free(table_);
    table_ = nullptr;
    size_ = count_ = 0;
  }

  enum class Inserted : uint8_t { kNew, kThere, kNoRoom };
  Inserted Insert(uint64_t hash) {
    if (2 * count_ >= size_ && !Grow()) return Inserted::kNoRoom;
    if (hash == 0) hash = 1;
    if (!Put(hash)) return Inserted::kThere;
    ++count_;
    return Inserted::kNew;
  }

 private:
  static constexpr size_t kSizeMin = 1 << 12;
  static constexpr size_t kSizeMax = size_t{1} << 29;  // 4 GiB; while it grows to that, 6

  bool Put(uint64_t hash) {
    size_t at = hash & (size_ - 1);
    for (; table_[at] != 0; at = (at + 1) & (size_ - 1)) {
      if (table_[at] == hash) return false;
    }
    table_[at] = hash;
    return true;
  }

  bool Grow() {
    const size_t size = size_ == 0 ? kSizeMin : 2 * size_;
    auto* const table =
        size > kSizeMax ? nullptr : static_cast<uint64_t*>(std::calloc(size, sizeof *table_));
    if (table == nullptr) return false;
    uint64_t* const before = std::exchange(table_, table);
    const size_t size_before = std::exchange(size_, size);
    for (size_t i = 0; i < size_before; ++i) {
      if (before[i] != 0) (void)Put(before[i]);
    }
    std::free(before);
    return true;
  }

  uint64_t* table_ = nullptr;
  size_t size_ = 0, count_ = 0;
};

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_SEEN_STATES_H_

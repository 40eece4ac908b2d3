// FrameStore: a catch-up source of frames in a file without a name, with an index in memory.
#ifndef OMBUS_TESTS_NET_FRAME_STORE_H_
#define OMBUS_TESTS_NET_FRAME_STORE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "net/frame.h"
#include "ombus/catch_up.h"

namespace ombus::net {

class FrameStore final : public CatchUpSource {
 public:
  FrameStore() : file_(std::tmpfile(), &std::fclose) { EXPECT_NE(file_, nullptr); }

  void Append(uint64_t epoch, const Record& record) {
    std::vector<std::byte> frame(FrameBytes(record.size));
    EncodeFrame(frame.data(), record);
    ASSERT_EQ(std::fseek(file_.get(), static_cast<long>(end_), SEEK_SET), 0);
    ASSERT_EQ(std::fwrite(frame.data(), 1, frame.size(), file_.get()), frame.size());
    index_.push_back({epoch, record.wal_seq, end_, frame.size()});
    end_ += frame.size();
  }
  void Forget(size_t oldest) { begin_ = std::min(begin_ + oldest, index_.size()); }
  void HoldBack(size_t newest) { held_back_ = newest; }  // not readable yet
  void Break() { broken_ = true; }                       // gives garbage from now on
  uint64_t reads() const { return reads_; }

  size_t Read(uint64_t epoch, uint64_t from, std::span<std::byte> into) override {
    ++reads_;
    const size_t end = index_.size() - std::min(held_back_, index_.size());
    size_t at = begin_;
    while (at < end && (index_[at].epoch != epoch || index_[at].wal_seq < from)) ++at;
    size_t bytes = 0;
    for (size_t i = at; i < end && index_[i].epoch == epoch; ++i) {
      if (bytes + index_[i].bytes > into.size()) break;
      bytes += index_[i].bytes;
    }
    if (bytes == 0) return 0;
    EXPECT_EQ(std::fseek(file_.get(), static_cast<long>(index_[at].offset), SEEK_SET), 0);
    EXPECT_EQ(std::fread(into.data(), 1, bytes, file_.get()), bytes);
    if (broken_) into[bytes / 2] ^= std::byte{0xFF}, into[0] ^= std::byte{0x10};
    return bytes;
  }

 private:
  struct Entry {
    uint64_t epoch, wal_seq;
    size_t offset, bytes;
  };

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::vector<Entry> index_;
  size_t begin_ = 0, end_ = 0, held_back_ = 0;
  uint64_t reads_ = 0;
  bool broken_ = false;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_FRAME_STORE_H_

// What a server's clients may expect: the records that were broadcast, the epochs they were in, and
// a catch-up source that has most of them.
#ifndef OMBUS_TESTS_FUZZ_SESSION_MODEL_H_
#define OMBUS_TESTS_FUZZ_SESSION_MODEL_H_

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "net/frame.h"
#include "ombus/catch_up.h"
#include "tests/fuzz/fuzz_input.h"

namespace ombus::net {

// All that was broadcast, in order. A payload begins with its record's index. Epochs have numbers
// from 0, as the server counts them; their names are unique but for 0, which is none.
class BroadcastModel {
 public:
  struct Entry {
    uint64_t wal_seq, epoch_number;
    uint16_t size;
  };
  struct Epoch {
    uint64_t name;
    bool whole;
    size_t first;                         // the index of its first record
    std::vector<uint64_t> replaced = {};  // the names of those that were here and had no record
  };

  explicit BroadcastModel(uint64_t epoch) : epochs_{{epoch, true, 0}} {}

  // False: it goes on with the same.
  bool BeginEpoch(uint64_t name, bool whole) {
    if (name == epochs_.back().name) return false;
    std::vector<uint64_t> replaced;
    if (epochs_.back().first == count()) {  // only who resumed in that one was told of it
      whole &= epochs_.back().whole;
      replaced = std::move(epochs_.back().replaced);
      replaced.push_back(epochs_.back().name);
      epochs_.pop_back();
    }
    epochs_.push_back({name, whole, count(), std::move(replaced)});
    return true;
  }
  // The payload of the next record, which Add then says was taken.
  const std::vector<std::byte>& NextPayload(uint16_t size) {
    Fill(count(), size, &payload_);
    return payload_;
  }
  void Add(uint64_t wal_seq, uint16_t size) {
    entries_.push_back({wal_seq, epochs_.size() - 1, size});
  }

  size_t count() const { return entries_.size(); }
  const Entry& at(size_t index) const { return entries_[index]; }
  const Epoch& epoch_of(size_t index) const { return epochs_[entries_[index].epoch_number]; }
  const std::vector<Epoch>& epochs() const { return epochs_; }
  // The number of the epoch, the latest for 0.
  std::optional<uint64_t> Find(uint64_t name) const {
    if (name == 0) return epochs_.size() - 1;
    for (size_t i = 0; i < epochs_.size(); ++i) {
      if (epochs_[i].name == name) return i;
    }
    return std::nullopt;
  }

  // The first record after an epoch that had none and was replaced; 0 where it never was here.
  size_t FirstAfter(uint64_t name) const {
    for (const Epoch& epoch : epochs_) {
      if (std::count(epoch.replaced.begin(), epoch.replaced.end(), name) != 0) return epoch.first;
    }
    return 0;
  }

  // The record that the frame carries, which is exactly as it was broadcast.
  size_t IndexOf(const Frame& frame) const {
    FUZZ_CHECK(frame.size >= 8);
    const uint64_t index = LoadWord(frame.payload);
    FUZZ_CHECK(index < entries_.size());
    const Entry& entry = entries_[index];
    FUZZ_CHECK(frame.wal_seq == entry.wal_seq && frame.size == entry.size && frame.type == 1);
    for (size_t i = 8; i < frame.size; ++i) {
      FUZZ_CHECK(frame.payload[i] == static_cast<std::byte>(index));
    }
    return index;
  }
  void AppendFrame(size_t index, std::vector<std::byte>* to) const {
    std::vector<std::byte> payload;
    Fill(index, entries_[index].size, &payload);
    const size_t had = to->size();
    to->resize(had + FrameBytes(payload.size()));
    EncodeFrame(to->data() + had, {.wal_seq = entries_[index].wal_seq,
                                   .payload = payload.data(),
                                   .size = entries_[index].size,
                                   .type = 1});
  }

  // Whether a client that asks for resume_from in the epoch of that number wants this record.
  bool Wanted(size_t index, uint64_t resume_from, uint64_t epoch_number) const {
    const Entry& entry = entries_[index];
    if (entry.epoch_number != epoch_number) return entry.epoch_number > epoch_number;
    return entry.wal_seq >= resume_from;
  }

 private:
  static void Fill(size_t index, uint16_t size, std::vector<std::byte>* payload) {
    payload->assign(size, static_cast<std::byte>(index));
    StoreWord(payload->data(), index);
  }

  std::vector<Entry> entries_;
  std::vector<Epoch> epochs_;
  std::vector<std::byte> payload_;
};

// Has what the model has, but for the oldest and the newest, and may go bad.
class ModelSource final : public CatchUpSource {
 public:
  explicit ModelSource(const BroadcastModel* model) : model_(model) {}

  void Forget(size_t oldest) { begin_ = std::min(begin_ + oldest, model_->count()); }
  void HoldBack(size_t newest) { held_back_ = newest; }
  void Spoil(bool bad) { bad_ = bad; }

  size_t Read(uint64_t epoch, uint64_t from, std::span<std::byte> into) override {
    const size_t end = model_->count() - std::min(held_back_, model_->count());
    std::vector<std::byte> frames;
    // Epochs without a name cannot be told apart.
    if (epoch == 0 && model_->epochs().size() > 1) return 0;
    for (size_t i = begin_; i < end; ++i) {
      if (model_->epoch_of(i).name != epoch || model_->at(i).wal_seq < from) continue;
      if (frames.size() + FrameBytes(model_->at(i).size) > into.size()) break;
      model_->AppendFrame(i, &frames);
    }
    std::copy(frames.begin(), frames.end(), into.begin());
    return bad_ && !frames.empty() ? frames.size() - 1 : frames.size();
  }

 private:
  const BroadcastModel* model_;
  size_t begin_ = 0, held_back_ = 0;
  bool bad_ = false;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_FUZZ_SESSION_MODEL_H_

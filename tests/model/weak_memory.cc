#include "tests/model/weak_memory.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

namespace ombus::model {

void View::Join(const View& other) {
  JoinLocations(other);
  for (size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], other.clock[i]);
}

void View::JoinLocations(const View& other) {
  for (size_t i = 0; i < at.size(); ++i) at[i] = std::max(at[i], other.at[i]);
}

uint64_t View::Hash(uint64_t seed) const {
  const auto words = std::bit_cast<std::array<uint64_t, sizeof(View) / 8>>(*this);
  for (size_t i = 0; i < words.size(); i += 2) seed = Mix(seed ^ words[i], words[i + 1] + i);
  return seed;
}

void WeakMemory::Reset(int locations) {
  locations_ = locations;
  counts_.fill(0);
  for (auto* views : {&current_, &acquired_, &released_, &floor_}) views->fill(View());
  fences_ = View();
  for (auto& reads : reads_) reads.fill(0);
  messages_hash_ = 0;
}

void WeakMemory::SetInitial(int location, uint64_t value) {
  messages_[location][0] = {.value = value, .writer = -1, .writer_clock = 0, .view = View()};
  counts_[location] = 1;
}

int WeakMemory::OldestReadable(int thread, int location) const {
  return std::max(current_[thread].at[location], floor_[thread].at[location]);
}

uint64_t WeakMemory::OwnLast(int thread, int location) const {
  for (int i = Newest(location); i > 0; --i) {
    if (messages_[location][i].writer == thread) return messages_[location][i].value;
  }
  return messages_[location][0].value;
}

uint64_t WeakMemory::Read(int thread, int location, int timestamp, Order order) {
  const Message& message = messages_[location][timestamp];
  const auto at = static_cast<uint8_t>(timestamp);
  for (View* view : {&current_[thread], &acquired_[thread]}) {
    view->at[location] = std::max(view->at[location], at);
  }
  acquired_[thread].Join(message.view);
  if (Acquires(order)) current_[thread].Join(message.view);
  return message.value;
}

void WeakMemory::Append(int thread, int location, uint64_t value, const View& view) {
  const int timestamp = counts_[location]++;
  if (timestamp >= kMessagesMax) {
    std::fprintf(stderr, "model: more than %d messages at one location\n", kMessagesMax);
    std::abort();
  }
  Message& message = messages_[location][timestamp];
  message = {.value = value,
             .writer = thread,
             .writer_clock = current_[thread].clock[thread],
             .view = view};
  message.view.at[location] = static_cast<uint8_t>(timestamp);
  const uint64_t place = static_cast<uint64_t>(location) << 16 |
                         static_cast<uint64_t>(timestamp) << 8 | static_cast<uint64_t>(thread);
  messages_hash_ += message.view.Hash(Mix(value + 1, place));
}

void WeakMemory::Write(int thread, int location, uint64_t value, Order order) {
  const auto timestamp = static_cast<uint8_t>(counts_[location]);
  current_[thread].at[location] = timestamp;
  acquired_[thread].at[location] = timestamp;
  Append(thread, location, value, Releases(order) ? current_[thread] : released_[thread]);
}

void WeakMemory::ReadModifyWrite(int thread, int location, uint64_t value, Order order) {
  const int newest = Newest(location);
  (void)Read(thread, location, newest, order);
  const View carried = messages_[location][newest].view;
  current_[thread].at[location] = static_cast<uint8_t>(newest + 1);
  acquired_[thread].at[location] = static_cast<uint8_t>(newest + 1);
  View view = Releases(order) ? current_[thread] : released_[thread];
  view.Join(carried);
  Append(thread, location, value, view);
}

void WeakMemory::Fence(int thread, Order order) {
  if (Acquires(order)) current_[thread] = acquired_[thread];
  if (order == Order::kSeqCst) {
    fences_.JoinLocations(current_[thread]);
    current_[thread].JoinLocations(fences_);
    acquired_[thread].JoinLocations(fences_);
  }
  if (Releases(order)) released_[thread] = current_[thread];
}

bool WeakMemory::ReadRaces(int thread, int location) const {
  const Message& newest = messages_[location][counts_[location] - 1];
  if (newest.writer < 0 || newest.writer == thread) return false;
  return current_[thread].clock[newest.writer] < newest.writer_clock;
}

int WeakMemory::WriteRaces(int thread, int location, uint32_t excused) const {
  for (int reader = 0; reader < kThreadsMax; ++reader) {
    if (reader == thread || (excused >> reader & 1) != 0) continue;
    const uint8_t clock = reads_[location][reader];
    if (clock > current_[thread].clock[reader]) return reader;
  }
  return -1;
}

void WeakMemory::CountDataRead(int thread, int location) {
  const uint8_t clock = ++current_[thread].clock[thread];
  acquired_[thread].clock[thread] = clock;
  reads_[location][thread] = clock;
}

void WeakMemory::CountDataWrite(int thread) {
  ++current_[thread].clock[thread];
  ++acquired_[thread].clock[thread];
}

void WeakMemory::ForgetDataReads(int thread) {
  for (auto& reads : reads_) reads[thread] = 0;
}

uint64_t WeakMemory::Hash() const {
  uint64_t hash = fences_.Hash(messages_hash_);
  for (int thread = 0; thread < kThreadsMax; ++thread) {
    for (const auto* views : {&current_, &acquired_, &released_, &floor_}) {
      hash = (*views)[thread].Hash(hash);
    }
  }
  uint64_t word = 0;
  int filled = 0;
  for (int location = 0; location < locations_; ++location) {
    for (const uint8_t clock : reads_[location]) {
      word = word << 8 | clock;
      if (++filled % 8 == 0) hash = Mix(hash, word);
    }
  }
  return Mix(hash, word);
}

}  // namespace ombus::model

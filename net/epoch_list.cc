#include "net/epoch_list.h"

namespace ombus::net {

void EpochList::Begin(const EpochStart& start) {
  EpochStart next = start;
  if (starts_.back().position == next.position) {
    next.last_wal_seq = starts_.back().last_wal_seq;
    next.whole &= starts_.back().whole;
    starts_.back() = next;
  } else {
    starts_.push_back(next);
  }
}

void EpochList::ForgetBefore(uint64_t position) {
  while (starts_.size() > kKept && starts_[1].position <= position) {
    starts_.pop_front();
    ++forgotten_;
  }
}

uint64_t EpochList::NumberAt(uint64_t position) const {
  uint64_t number = count() - 1;
  while (number > forgotten_ && at(number).position > position) --number;
  return number;
}

std::optional<uint64_t> EpochList::Find(uint64_t epoch) const {
  if (epoch == 0) return count() - 1;
  for (uint64_t number = count(); number > forgotten_; --number) {
    if (at(number - 1).epoch == epoch) return number - 1;
  }
  return std::nullopt;
}

}  // namespace ombus::net

#include "net/drain_log.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ombus::net {

DrainPiece OwnDrainPiece(std::vector<std::byte> bytes) {
  auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const std::span<const std::byte> span(*kept);
  return {std::move(kept), span};
}

DrainLog::Chunk::Chunk(const BroadcastLog& log, uint64_t from, uint64_t to, uint64_t room,
                       uint64_t* counter)
    : begin(from),
      capacity(to + room),
      end(from),
      bytes(new std::byte[to + room - from]),
      total(counter) {
  Grow(log, to);
}

void DrainLog::Chunk::Grow(const BroadcastLog& log, uint64_t to) {
  to = std::min(to, capacity);
  std::memcpy(bytes.get() + (end - begin), log.Window(end, to - end).data(), to - end);
  *total += to - end;
  end = to;
}

// Keeps the latest run of chunks that are all there.
void DrainLog::ForgetGone() {
  const auto gone = std::find_if(chunks_.rbegin(), chunks_.rend(),
                                 [](const auto& chunk) { return chunk.expired(); });
  chunks_.erase(chunks_.begin(), gone.base());
}

// Makes chunks_ hold [from, to). *fresh keeps those that nobody else keeps yet.
void DrainLog::Cover(const BroadcastLog& log, uint64_t from, uint64_t to,
                     std::vector<std::shared_ptr<Chunk>>* fresh) {
  // Of a view no more than that is there for certain, but for what the client itself holds.
  const auto there = log.Oldest(log.bytes());
  const uint64_t oldest = there.has_value() ? std::min(from, there->position) : from;
  const uint64_t begin = std::max(from / kStepBytes * kStepBytes, oldest);
  const auto add = [&](uint64_t first, uint64_t last, uint64_t room) {
    return fresh->emplace_back(std::make_shared<Chunk>(log, first, last, room, &bytes_));
  };
  if (!chunks_.empty()) {
    const uint64_t all_begin = chunks_.front().lock()->begin, all_end = chunks_.back().lock()->end;
    if (from > all_end || to < all_begin) chunks_.clear();
    if (!chunks_.empty() && from < all_begin) chunks_.push_front(add(begin, all_begin, 0));
  }
  if (chunks_.empty()) {
    chunks_.push_back(add(begin, to, kStepBytes));
    return;
  }
  const auto last = chunks_.back().lock();
  if (to > last->end) last->Grow(log, to);
  if (to > last->end) chunks_.push_back(add(last->end, to, kStepBytes));
}

void DrainLog::Hold(const BroadcastLog& log, uint64_t from, uint64_t to,
                    std::vector<DrainPiece>* pieces) {
  if (from == to) return;
  ForgetGone();
  std::vector<std::shared_ptr<Chunk>> fresh;
  Cover(log, from, to, &fresh);
  for (const auto& weak : chunks_) {
    const auto chunk = weak.lock();
    const uint64_t first = std::max(from, chunk->begin), last = std::min(to, chunk->end);
    if (first >= last) continue;
    pieces->push_back({chunk, {chunk->bytes.get() + (first - chunk->begin), last - first}});
  }
}

}  // namespace ombus::net

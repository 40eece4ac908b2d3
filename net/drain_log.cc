#include "net/drain_log.h"

#include <cstring>

namespace ombus::net {
namespace {

bool Unused(const std::shared_ptr<DrainChunk>& chunk) { return chunk.use_count() == 1; }
bool Unsaved(const std::shared_ptr<DrainChunk>& chunk) {
  return !Unused(chunk) && chunk->saved < chunk->end;
}

}  // namespace

DrainChunk::DrainChunk(uint64_t from, uint64_t to, uint64_t most)
    : begin(from), capacity(most), end(to), saved(from), bytes(new std::byte[most - from]) {}

std::span<const std::byte> DrainPiece::Ready(size_t sent) const {
  if (chunk_ == nullptr) return std::span<const std::byte>(own_).subspan(sent);
  const uint64_t at = from_ + sent, end = std::min(to_, chunk_->saved);
  if (at >= end) return {};
  return {chunk_->bytes.get() + (at - chunk_->begin), end - at};
}

uint64_t DrainLog::unsaved() const {
  const auto first = std::find_if(chunks_.begin(), chunks_.end(), Unsaved);
  return first == chunks_.end() ? kAllSaved : (*first)->saved;
}

bool DrainLog::busy() const {
  return std::any_of(chunks_.begin(), chunks_.end(),
                     [](const auto& chunk) { return Unused(chunk) || Unsaved(chunk); });
}

uint64_t DrainLog::bytes() const {
  uint64_t bytes = 0;
  for (const auto& chunk : chunks_) bytes += chunk->end - chunk->begin;
  return bytes;
}

// Copying goes first: the log waits for it.
void DrainLog::Step(const BroadcastLog& log, uint64_t bytes) {
  if (unsaved() != kAllSaved) return Save(log, bytes);
  const auto unused = std::find_if(chunks_.begin(), chunks_.end(), Unused);
  if (unused != chunks_.end()) chunks_.erase(unused);
}

// Of one chunk, which may have less.
void DrainLog::Save(const BroadcastLog& log, uint64_t bytes) {
  const auto first = std::find_if(chunks_.begin(), chunks_.end(), Unsaved);
  if (first == chunks_.end()) return;
  DrainChunk& chunk = **first;
  const auto from = log.Window(chunk.saved, std::min(chunk.end - chunk.saved, bytes));
  std::memcpy(chunk.bytes.get() + (chunk.saved - chunk.begin), from.data(), from.size());
  chunk.saved += from.size();
}

// What nobody was owed any more was not kept in the log.
void DrainLog::ForgetUnsaved() {
  for (const auto& chunk : chunks_) {
    if (Unused(chunk)) chunk->end = chunk->saved;
  }
  std::erase_if(chunks_, [](const auto& chunk) { return chunk->begin == chunk->end; });
}

// A chunk that has the byte at `at`, and as much up to `to` as fits; `next` is the first that ends
// beyond it, and begins beyond it.
DrainLog::Chunks::iterator DrainLog::Cover(Chunks::iterator next, uint64_t size, uint64_t floor,
                                           uint64_t at, uint64_t to) {
  if (next != chunks_.end()) to = std::min(to, (*next)->begin);
  const uint64_t last_end = next == chunks_.begin() ? 0 : (*std::prev(next))->end;
  if (next != chunks_.begin() && last_end == at && (*std::prev(next))->capacity > at) {
    --next;
    (*next)->end = std::min(to, (*next)->capacity);
    return next;
  }
  const uint64_t begin = std::max({at / size * size, std::min(at, floor), last_end});
  uint64_t most = (at / size + 1) * size;
  if (next != chunks_.end()) most = std::min(most, (*next)->begin);
  return chunks_.insert(next, std::make_shared<DrainChunk>(begin, std::min(to, most), most));
}

void DrainLog::Hold(const BroadcastLog& log, uint64_t floor, uint64_t from, uint64_t to,
                    std::vector<DrainPiece>* pieces) {
  ForgetUnsaved();
  const uint64_t size = std::clamp(log.bytes() / kChunksOfLog, kChunkBytesMin, kChunkBytesMax);
  auto chunk = std::find_if(chunks_.begin(), chunks_.end(),
                            [&](const auto& other) { return other->end > from; });
  for (uint64_t at = from; at < to; ++chunk) {
    if (chunk == chunks_.end() || (*chunk)->begin > at) chunk = Cover(chunk, size, floor, at, to);
    const uint64_t end = std::min(to, (*chunk)->end);
    pieces->emplace_back(*chunk, at, end);
    at = end;
  }
}

}  // namespace ombus::net

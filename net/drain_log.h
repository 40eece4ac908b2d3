// DrainLog: what clients that were cut are still owed of the broadcast log, kept while the log goes
// on over it. A byte is copied once, however many clients are owed it, and not as they are cut but
// in steps, one a turn, so that nobody waits for more than a step. Until then it is in the log
// alone, whose owner writes over nothing from unsaved() on.
//
//   chunk   begin          saved              end               capacity
//             | copied       | in the log       | nobody is owed    |
//
// Chunks do not overlap. One that nobody is owed any more is freed, too, in a turn of its own.
//
// Threads: one at a time. Lives longer than the pieces it gave out.
#ifndef OMBUS_NET_DRAIN_LOG_H_
#define OMBUS_NET_DRAIN_LOG_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "net/broadcast_log.h"

namespace ombus::net {

struct DrainChunk {
  DrainChunk(uint64_t from, uint64_t to, uint64_t most);

  const uint64_t begin, capacity;  // positions of the log
  uint64_t end, saved;
  const std::unique_ptr<std::byte[]> bytes;
};

// Bytes that go to one client, and what keeps them.
class DrainPiece {
 public:
  explicit DrainPiece(std::vector<std::byte> own) : to_(own.size()), own_(std::move(own)) {}
  DrainPiece(std::shared_ptr<const DrainChunk> chunk, uint64_t from, uint64_t to)
      : from_(from), to_(to), chunk_(std::move(chunk)) {}

  size_t size() const { return to_ - from_; }
  // What can be sent after the first `sent` bytes: less than is left, or nothing, where the rest is
  // still in the log alone. Good until Forget.
  std::span<const std::byte> Ready(size_t sent) const;
  void Forget() {
    chunk_.reset();
    own_ = {};
  }

 private:
  uint64_t from_ = 0, to_ = 0;
  std::vector<std::byte> own_;
  std::shared_ptr<const DrainChunk> chunk_;
};

class DrainLog {
 public:
  DrainLog() = default;
  DrainLog(const DrainLog&) = delete;
  DrainLog& operator=(const DrainLog&) = delete;

  // Adds the log's bytes from `from` to `to` to *pieces, in order. All of them are still in the
  // log, and so is what lies between `floor` and there, which others may yet be owed. Copies
  // nothing.
  void Hold(const BroadcastLog& log, uint64_t floor, uint64_t from, uint64_t to,
            std::vector<DrainPiece>* pieces);

  // The first byte that somebody is owed and that is not copied; kAllSaved: all are.
  static constexpr uint64_t kAllSaved = ~uint64_t{0};
  uint64_t unsaved() const;
  // Copies until that is at least `position`.
  void SaveUpTo(const BroadcastLog& log, uint64_t position) {
    while (unsaved() < position) Save(log, kStepBytes);
  }

  // Whether there is anything to copy or to free. A turn then takes one step: copies so many bytes,
  // or frees a chunk; 12 us and 25 us where that is the least a step copies, and 256 KiB.
  static constexpr uint64_t kStepBytes = 16u << 10;
  bool busy() const;
  void Step(const BroadcastLog& log, uint64_t bytes);

  uint64_t bytes() const;  // of the log, that all chunks are for

 private:
  // A chunk is for so many bytes, from a multiple of them on: clients whose cursors differ by a
  // frame are not to have a chunk each. Of a large log for more, so that a client has few pieces,
  // and never for so many that freeing it would take long.
  static constexpr uint64_t kChunkBytesMin = 256u << 10, kChunkBytesMax = 16u << 20;
  static constexpr uint64_t kChunksOfLog = 64;

  using Chunks = std::deque<std::shared_ptr<DrainChunk>>;  // in the order of the log
  void ForgetUnsaved();
  void Save(const BroadcastLog& log, uint64_t bytes);
  Chunks::iterator Cover(Chunks::iterator next, uint64_t size, uint64_t floor, uint64_t at,
                         uint64_t to);

  Chunks chunks_;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_DRAIN_LOG_H_

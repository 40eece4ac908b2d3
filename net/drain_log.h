// DrainLog: what clients that were cut are still owed of the broadcast log, kept while the log goes
// on over it. A byte is copied once, however many clients are owed it: those cut together, or one
// soon after the other, share chunks. A chunk goes when the last of them has sent it or left.
//
// Threads: one at a time. Cost: a cut copies at most what nobody else is owed. Lives longer than
// the chunks it gave out.
#ifndef OMBUS_NET_DRAIN_LOG_H_
#define OMBUS_NET_DRAIN_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "net/broadcast_log.h"

namespace ombus::net {

// Bytes that go to one client, and what keeps them.
struct DrainPiece {
  std::shared_ptr<const void> keep;
  std::span<const std::byte> bytes;
};

DrainPiece OwnDrainPiece(std::vector<std::byte> bytes);

class DrainLog {
 public:
  DrainLog() = default;
  ~DrainLog() = default;
  DrainLog(const DrainLog&) = delete;
  DrainLog& operator=(const DrainLog&) = delete;

  // Adds the log's bytes from `from` to `to` to *pieces, in order. All of them are still in the
  // log.
  void Hold(const BroadcastLog& log, uint64_t from, uint64_t to, std::vector<DrainPiece>* pieces);

  uint64_t bytes() const { return bytes_; }  // in all chunks

 private:
  // Chunks begin and grow in steps of so many bytes: clients whose cursors differ by a frame are
  // not to have a chunk each.
  static constexpr uint64_t kStepBytes = 256u << 10;

  struct Chunk {
    Chunk(const BroadcastLog& log, uint64_t from, uint64_t to, uint64_t room, uint64_t* counter);
    ~Chunk() { *total -= end - begin; }
    Chunk(const Chunk&) = delete;
    Chunk& operator=(const Chunk&) = delete;

    // As far as there is room, without moving what is there.
    void Grow(const BroadcastLog& log, uint64_t to);

    const uint64_t begin, capacity;  // a position of the log; how far the chunk may reach
    uint64_t end;
    const std::unique_ptr<std::byte[]> bytes;
    uint64_t* const total;
  };

  void ForgetGone();
  void Cover(const BroadcastLog& log, uint64_t from, uint64_t to,
             std::vector<std::shared_ptr<Chunk>>* fresh);

  std::deque<std::weak_ptr<Chunk>> chunks_;  // each begins where the one before it ends
  uint64_t bytes_ = 0;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_DRAIN_LOG_H_

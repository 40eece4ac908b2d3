// SharedLog: one broadcast log that one thread writes and several servers, each in a thread of its
// own, send from. A record is encoded once; each server sees the log through a view of its own and
// decides about its own clients alone.
//
//   writer: Broadcast … Publish     [egress-head]  ->  reader: head(), takes over up to there
//   reader: Report(reads_from)      [egress-low]   ->  writer: may write over what lies below
//
// Invariant: no byte is written over that a reader's session, its kernel or its look back for a
// resume may still read: head <= the least reads_from + bytes - kLagMarginBytes. A reader whose
// clients lag as far as they may still leaves the writer kLeadBytes, so that it sees the bytes that
// make it part with such a client.
//
// Threads: the first part is the writer's; the second each reader's, with its own number; Drained
// is the writer's too. No lock, but for epochs.
#ifndef OMBUS_NET_SHARED_LOG_H_
#define OMBUS_NET_SHARED_LOG_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "net/broadcast_log.h"
#include "ombus/server.h"

namespace ombus::net {

class SharedLog {
 public:
  static constexpr uint64_t kLeadBytes = 256u << 10;
  static_assert(kLeadBytes > kFrameBytesMax);

  // For options that SessionTable::CheckOptions has seen.
  static Result<std::unique_ptr<SharedLog>> Create(const ServerOptions& options, uint32_t readers);

  // Encodes for all readers, which see it after Publish. kFull: a reader still reads what would be
  // written over, whatever the policy; it gets on without the writer's doing.
  BroadcastResult Broadcast(const Record& record) {
    const uint64_t bytes = FrameBytes(record.size);
    if (log_.head() + bytes > limit_ || bytes > frame_bytes_max_) [[unlikely]] {
      if (const auto result = MakeRoomSlow(record.size); result != BroadcastResult::kOk) {
        return result;
      }
    }
    log_.Append(record);
    return BroadcastResult::kOk;
  }
  // Whether there was anything new.
  bool Publish() {
    const bool records = log_.head() != head_.load(std::memory_order_relaxed);
    head_.store(log_.head(), std::memory_order_release);  // [egress-head]
    return std::exchange(epoch_news_, false) || records;
  }
  void BeginEpoch(uint64_t epoch, bool whole);
  // How many bytes of frames find room for certain; after a look at all readers.
  uint64_t room() {
    limit_ = Limit();
    return limit_ - log_.head();
  }
  // Whether every reader's clients have all that was broadcast.
  bool Drained() const;
  const BroadcastLog& log() const { return log_; }

  // What has been published.
  uint64_t head() const { return head_.load(std::memory_order_acquire); }  // [egress-head]
  // Before the first Broadcast.
  BroadcastLog View() const { return log_.View(reach_); }
  struct Epoch {
    uint64_t epoch = 0, position = 0;
    bool whole = true;
  };
  // All that began at positions below a head() loaded before.
  uint64_t epochs() const { return epochs_begun_.load(std::memory_order_acquire); }
  // Adds those from number `from` on to *to, and returns how many have begun.
  uint64_t CopyEpochs(uint64_t from, std::vector<Epoch>* to) const;
  // What the reader still reads from, and up to where its clients have everything.
  void Report(uint32_t reader, uint64_t reads_from, uint64_t drained) {
    Reader& line = readers_[reader];
    line.drained.store(drained, std::memory_order_relaxed);
    line.reads_from.store(reads_from, std::memory_order_release);  // [egress-low]
  }
  // It has failed: nobody waits for its clients any more. What it reads stays as it is.
  void GiveUp(uint32_t reader) {
    readers_[reader].drained.store(~uint64_t{0}, std::memory_order_relaxed);
  }

 private:
  // Nothing of another thread's within a pair of cache lines.
  struct alignas(128) Reader {
    std::atomic<uint64_t> reads_from{0};
    std::atomic<uint64_t> drained{0};
  };

  SharedLog(BroadcastLog log, const ServerOptions& options, uint32_t readers);
  uint64_t LeastRead() const;
  uint64_t Limit() const { return LeastRead() + log_.bytes() - kLagMarginBytes; }
  [[gnu::cold, gnu::noinline]] BroadcastResult MakeRoomSlow(uint16_t size);

  // The writer's.
  BroadcastLog log_;
  const uint64_t reach_, frame_bytes_max_;
  uint64_t limit_ = 0;  // up to where it may write, for certain
  bool epoch_news_ = false;

  alignas(128) std::atomic<uint64_t> head_{0};
  std::atomic<uint64_t> epochs_begun_{0};
  std::vector<Reader> readers_;
  mutable std::mutex epochs_mutex_;
  std::deque<Epoch> epochs_;  // those that a reader may not know yet, the last of epochs_begun_
};

}  // namespace ombus::net

#endif  // OMBUS_NET_SHARED_LOG_H_

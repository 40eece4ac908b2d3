// EpochList: where in the broadcast log each producer's incarnation of the stream begins. Sequences
// rise within an epoch only, so a resume is looked for in the epoch the client names, and a client
// is told before the first record of another one.
//
// Epochs are numbered from 0, also those forgotten since, so that a session keeps a number and no
// index. Data and arithmetic; one thread at a time.
#ifndef OMBUS_NET_EPOCH_LIST_H_
#define OMBUS_NET_EPOCH_LIST_H_

#include <cstdint>
#include <deque>
#include <optional>

namespace ombus::net {

struct EpochStart {
  uint64_t epoch = 0;         // 0: not known
  uint64_t position = 0;      // in the log, a frame boundary: its first record begins here
  uint64_t frame = 0;         // how many frames lie before it
  uint64_t last_wal_seq = 0;  // of the epoch before
  bool whole = true;          // false: its first records never reached this server
  // Of its first record here; nothing until that was broadcast and seen.
  std::optional<uint64_t> first_wal_seq = std::nullopt;
};

class EpochList {
 public:
  explicit EpochList(uint64_t epoch) { starts_.push_back({.epoch = epoch}); }

  // From `start.position` on, which is the log's head, another epoch. One without a record of its
  // own is replaced: who was told of it is told of the other before its first record.
  void Begin(const EpochStart& start);
  // Forgets epochs of which nothing is retained from `position` on, except for the latest kKept: a
  // catch-up source may have them.
  static constexpr size_t kKept = 256;
  void ForgetBefore(uint64_t position);

  uint64_t count() const { return forgotten_ + starts_.size(); }  // begun so far
  uint64_t first() const { return forgotten_; }                   // the oldest known
  const EpochStart& at(uint64_t number) const { return starts_[number - forgotten_]; }
  const EpochStart& latest() const { return starts_.back(); }
  void NoteFirst(uint64_t wal_seq) { starts_.back().first_wal_seq = wal_seq; }

  // The number of the epoch in which a position of the log lies, the oldest known at the least.
  uint64_t NumberAt(uint64_t position) const;
  // The number of `epoch`, the latest for 0; nothing where it is not known any more.
  std::optional<uint64_t> Find(uint64_t epoch) const;

 private:
  std::deque<EpochStart> starts_;  // never empty, positions rise
  uint64_t forgotten_ = 0;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_EPOCH_LIST_H_

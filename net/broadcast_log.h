// BroadcastLog: the ring of bytes that every client is sent from. A record is encoded into it once;
// a client is a cursor, a 64-bit position that never wraps.
//
//   memory   |  first mapping, `bytes`  |  second mapping, the same pages  |
//                 ^ index(cursor)            so that [cursor, cursor + n) is contiguous for any n
//
//   index(position) = position & (bytes - 1)
//
// Invariant: the log does not know the cursors. Its owner makes sure before each Append that
// head + frame - cursor <= bytes for every position still to be read, by a session or the kernel.
//
// A view is a log over the same memory in which nothing is appended: it takes over what the log it
// is of has encoded (net/shared_log.h).
//
// Threads: one at a time, for each view too. It is not for sharing between processes: the memory is
// private.
#ifndef OMBUS_NET_BROADCAST_LOG_H_
#define OMBUS_NET_BROADCAST_LOG_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "net/frame.h"
#include "ombus/record.h"
#include "ombus/status.h"

namespace ombus::net {

inline constexpr uint64_t kLogBytesMin = 256u << 10;
inline constexpr uint64_t kLogBytesMax = 64ull << 30;
// Every so many bytes a boundary is noted, so that any other is found by a short walk.
inline constexpr uint64_t kMarkBytes = 16u << 10;
// A cursor may lag at most the log's bytes less this, for the mark before it to be retained.
inline constexpr uint64_t kLagMarginBytes = kFrameBytesMax + kMarkBytes;
// As many bytes before it is encoded there a line is fetched; docs/decisions/fanout-figures.md.
inline constexpr uint64_t kFetchAheadBytes = 2048;

class BroadcastLog {
 public:
  // Rounds up to a power of two of at least kLogBytesMin. Allocates and faults in the memory.
  static Result<BroadcastLog> Create(uint64_t bytes);
  BroadcastLog(BroadcastLog&&) = default;

  // Encodes one record at head. Does not check room: see the invariant. No allocation; a call for
  // long records and where a boundary is noted.
  void Append(const Record& record) {
    if (head_ >= next_mark_ || record.size > kInlineCopyBytesMax) [[unlikely]] {
      return AppendSlow(record);
    }
    Encode(record);
  }

  // The same with the first of `records`, as many as need no call and end at or below `limit`;
  // returns how many. They are counted once, together.
  size_t AppendRun(std::span<const Record> records, uint64_t limit) {
    std::byte* const memory = memory_.get();
    const uint64_t mask = bytes_ - 1, next_mark = next_mark_;
    uint64_t head = head_;
    size_t count = 0;
    for (; count < records.size(); ++count) {
      const Record& at = records[count];
      const uint64_t end = head + FrameBytes(at.size);
      if (head >= next_mark || end > limit || at.size > kInlineCopyBytesMax) break;
      FetchAhead(memory + (head & mask));
      // Field by field, for it to be in registers.
      EncodeFrame(memory + (head & mask), {at.wal_seq, at.payload, at.size, at.type, 0});
      head = end;
    }
    if (count == 0) return 0;
    head_ = head;
    frames_ += count;
    last_wal_seq_ = records[count - 1].wal_seq;
    return count;
  }

  // Another log over the same memory, as this one is now, that looks back at most `reach` bytes and
  // what it takes to find a boundary there.
  BroadcastLog View(uint64_t reach) const;
  // In a view: the frame at head, which the other log has encoded there, and taking it over.
  uint64_t NextBytes() const { return FrameBytes(LoadWord(memory_.get() + Index(head_)) >> 48); }
  void TakeOver() {
    if (head_ >= next_mark_) [[unlikely]]
      AddMarkSlow(WalSeqAt(head_));
    Count(NextBytes(), WalSeqAt(head_));
  }

  // At most `max` of the bytes from cursor to head, contiguous.
  std::span<const std::byte> Window(uint64_t cursor, uint64_t max) const {
    return {memory_.get() + Index(cursor), std::min(head_ - cursor, max)};
  }

  uint64_t head() const { return head_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t frames() const { return frames_; }  // appended so far
  uint64_t last_wal_seq() const { return last_wal_seq_; }
  std::span<std::byte> memory() const { return {memory_.get(), 2 * bytes_}; }  // both mappings

  // The rest costs a search and a walk over at most kMarkBytes of frames. A cursor lags at most
  // bytes() - kLagMarginBytes.
  struct Place {
    uint64_t position = 0;  // a frame boundary
    uint64_t frame = 0;     // how many frames lie before it
  };
  // The last boundary at or before the cursor, or the first at or after it.
  Place BoundaryBefore(uint64_t cursor) const;
  Place BoundaryAfter(uint64_t cursor) const;
  // The sequence of the frame at a boundary below head.
  uint64_t WalSeqAt(uint64_t boundary) const {
    return LoadWord(memory_.get() + Index(boundary) + 8);
  }
  // The boundary after one below head. No search.
  Place NextAfter(Place at) const;
  // The first retained frame of wal_seq or later between the boundaries `from` and `end`, between
  // which sequences only rise; nothing where older frames that could hold it are gone, or where
  // none there is as late.
  std::optional<Place> Find(uint64_t wal_seq, Place from, uint64_t end) const;
  // The oldest marked boundary at most `lag` below head; nothing where all is gone.
  std::optional<Place> Oldest(uint64_t lag) const;

 private:
  struct Mark {
    uint64_t position, frame, wal_seq;
  };
  struct Unmap {
    uint64_t length = 0;
    void operator()(std::byte* memory) const;
  };

  BroadcastLog(std::shared_ptr<std::byte> memory, uint64_t bytes);
  BroadcastLog(const BroadcastLog&) = default;  // see View
  // What is written was last touched a lap ago and has left the nearer caches. One line a record,
  // however many its frame takes: that was what gained, with frames of 80 bytes.
  static void FetchAhead(const std::byte* at) { __builtin_prefetch(at + kFetchAheadBytes, 1); }
  // By value, for it to be in registers: as far as the compiler knows, what is written are its own
  // bytes.
  void Encode(Record record) {
    FetchAhead(memory_.get() + Index(head_));
    EncodeFrame(memory_.get() + Index(head_), record);
    Count(FrameBytes(record.size), record.wal_seq);
  }
  // The frame at head is there, and part of the log from now on.
  void Count(uint64_t bytes, uint64_t wal_seq) {
    head_ += bytes;
    last_wal_seq_ = wal_seq;
    ++frames_;
  }
  uint64_t Index(uint64_t position) const { return position & (bytes_ - 1); }
  const Mark& mark(uint64_t number) const { return marks_[number % marks_.size()]; }
  bool Retained(uint64_t position) const { return head_ - position <= retained_; }
  [[gnu::noinline]] void AppendSlow(const Record& record);
  [[gnu::cold, gnu::noinline]] void AddMarkSlow(uint64_t wal_seq);

  std::shared_ptr<std::byte> memory_;  // its views' too
  uint64_t bytes_;
  uint64_t retained_;  // what lies further below head is not read any more
  uint64_t head_ = 0;
  uint64_t next_mark_ = 0;
  uint64_t frames_ = 0;
  uint64_t last_wal_seq_ = 0;
  std::vector<Mark> marks_;  // a ring
  uint64_t mark_count_ = 0;  // ever made
};

}  // namespace ombus::net

#endif  // OMBUS_NET_BROADCAST_LOG_H_

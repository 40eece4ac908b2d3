// ClientStream: a client's receive buffer and what its bytes mean: frames, sequences, control. No
// I/O: BasicClient puts bytes in at tail() and takes records out.
//
// One plain buffer: when no whole frame is left the partial one moves to the front. Measured as
// fast as mirrored memory, and simpler.
//
// Threads: one at a time. Payloads live until the next Compact.
#ifndef OMBUS_NET_CLIENT_STREAM_H_
#define OMBUS_NET_CLIENT_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/frame.h"
#include "ombus/client.h"
#include "ombus/record.h"

namespace ombus::net {

class ClientStream {
 public:
  ClientStream(uint32_t buffer_bytes, bool reject_reorder, uint64_t resume_from);

  // The next record, or kEmpty: more bytes are needed, or what ended the stream, final until Reset:
  // kEndOfStream, kDisconnected (a BYE) or kProtocolError; problem() says why.
  ClientResult Next(Record* record) {
    const std::byte* at = buffer_.get() + begin_;
    const size_t have = end_ - begin_;
    if (have >= kFrameHeaderBytes) [[likely]] {
      const uint64_t word = LoadWord(at), wal_seq = LoadWord(at + 8);
      const uint64_t size = word >> 48;
      const auto type = static_cast<uint8_t>(word >> 32);
      // Magic and no flags, whole, the sequence expected, no warning: all but a handful of frames.
      if (static_cast<uint32_t>(word) == fast_magic_ && (word & 0xFF0000000000) == 0 &&
          have >= FrameBytes(size) && wal_seq == fast_wal_seq_ && type != kTypeSlowWarning)
          [[likely]] {
        begin_ += FrameBytes(size);
        *record = {wal_seq, at + kFrameHeaderBytes, static_cast<uint16_t>(size), type, 0};
        fast_wal_seq_ = wal_seq + 1;
        return ClientResult::kRecord;
      }
    }
    return NextSlow(record);
  }

  // Room for received bytes, at least one frame's rest. Invalidates payloads.
  std::span<std::byte> Compact();
  void Received(size_t bytes) { end_ += bytes; }

  // For a new connection: forgets the bytes, keeps the sequences. With `resuming`, frames before
  // WELCOME are skipped: the server sends them again, or says that they are lost.
  void Reset(bool resuming);
  void StopSkipping();  // the server does not answer HELLO: it speaks the old protocol
  bool skipping() const { return skipping_; }
  // How often this server says something and expects to hear, by its WELCOME; 0: neither.
  uint32_t heartbeat_ms() const { return heartbeat_ms_; }

  bool partial() const { return begin_ != end_; }
  bool spoke() const { return moved_ || begin_ != 0; }  // any frame, since Reset
  // Since Reset, a frame that shows a server at work: a record, WELCOME, GAP, a heartbeat. Neither
  // good-bye nor a warning does.
  bool served() const { return served_ || begin_ != idle_bytes_; }
  bool refused_for_good() const { return refused_for_good_; }  // the server speaks another version
  // What should come next; 0 before there is any expectation.
  uint64_t expected() const { return fast_magic_ == kNoMagic ? expected_ : fast_wal_seq_; }
  uint64_t gap_expected() const { return gap_expected_; }
  uint64_t resume_from() const;                            // what HELLO should ask for; 0: live
  uint64_t resume_epoch() const { return record_epoch_; }  // in which that counts
  uint64_t epoch() const { return epoch_; }
  SlowWarning slow_warning() const { return slow_warning_; }
  const std::string& problem() const { return problem_; }

 private:
  [[gnu::cold, gnu::noinline]] ClientResult NextSlow(Record* record);
  ClientResult OnData(const Frame& frame, Record* record);
  ClientResult Gapped(Record* record, uint64_t expected);
  ClientResult OnControl(const Frame& frame);
  ClientResult End(ClientResult result, std::string problem);
  void TakeFast(uint64_t wal_seq);  // the fast path takes this one next
  void TakeNothingFast();           // NextSlow looks at each frame

  std::unique_ptr<std::byte[]> buffer_;
  size_t capacity_, begin_ = 0, end_ = 0;
  // The frame that the fast path takes: the expected one. While skipping, with no expectation,
  // where an epoch begins and after the end there is none: then fast_magic_ is what no frame begins
  // with, and expected_ keeps the expectation.
  uint64_t fast_magic_ = kNoMagic;
  uint64_t fast_wal_seq_ = 0;
  uint64_t expected_ = 0;
  uint64_t gap_expected_ = 0, resume_from_;
  uint64_t epoch_ = 0, record_epoch_ = 0;  // as told last, and of the last record
  uint32_t heartbeat_ms_ = 0;
  size_t idle_bytes_ = 0;  // before begin_, of frames that served() does not count
  bool moved_ = false;     // begin_ went back to the front
  bool served_ = false;    // before it did
  bool refused_for_good_ = false;
  bool any_ = false, expects_ = false, skipping_ = false;
  bool welcomed_ = false;     // on this connection
  bool fresh_epoch_ = false;  // the next record may begin anew
  bool gap_is_told_ = false;  // and its epoch's first records are missing
  bool reject_reorder_;
  ClientResult end_result_ = ClientResult::kEmpty;
  SlowWarning slow_warning_;
  std::string problem_;

  static constexpr uint64_t kNoMagic = ~uint64_t{0};
};

}  // namespace ombus::net

#endif  // OMBUS_NET_CLIENT_STREAM_H_

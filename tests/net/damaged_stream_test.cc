// Every bit flip and every truncation of a stream of 64 frames, data and control mixed. A frame has
// no checksum of its own (TCP's and the link's are below it), so what a client can promise is this,
// and it is checked for each bit:
//
//   - what came before the damaged frame is what was sent;
//   - at most one record is handed out that was not sent so;
//   - what is lost or out of place is told: by an error that ends the stream, or by a flag on the
//     record that follows;
//   - which bits are noticed at once and which cannot be is a matter of the field, see below;
//   - a truncated stream gives what it has in full, and never looks as if it had ended in order.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "net/client_stream.h"

namespace ombus::net {
namespace {

constexpr size_t kFrames = 64;

struct Delivered {
  ClientResult result = ClientResult::kEmpty;
  uint64_t wal_seq = 0;
  uint64_t payload_sum = 0;
  uint16_t size = 0;
  uint8_t type = 0, flags = 0;

  // What was sent; not what the client makes of its place.
  bool SameRecord(const Delivered& other) const {
    return wal_seq == other.wal_seq && type == other.type && size == other.size &&
           payload_sum == other.payload_sum;
  }
};

struct Sent {
  size_t begin, end;  // in the bytes
  bool control;
  size_t record;  // data: which of the records it carries
};

class Stream {
 public:
  Stream() {
    Control([&] { AppendWelcome(&bytes_, {.epoch = 7, .first_wal_seq = 100}); });
    for (size_t i = 1; i < kFrames; ++i) {
      if (i == 20) {  // another producer, whose beginning is missing
        Control([&] { AppendWelcome(&bytes_, {.epoch = 8, .first_wal_seq = 3}); });
        next_ = 3;
      } else if (i == 21) {
        Control([&] { AppendGap(&bytes_, {0, 2, 2}); });
      } else if (i % 9 == 4) {
        Control([&] { AppendHeartbeat(&bytes_, 0); });
      } else {
        Data(i);
      }
    }
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }
  const std::vector<Sent>& sent() const { return sent_; }
  const Sent& FrameAt(size_t byte) const {
    size_t i = 0;
    while (sent_[i].end <= byte) ++i;
    return sent_[i];
  }

 private:
  template <typename Append>
  void Control(Append append) {
    const size_t begin = bytes_.size();
    append();
    sent_.push_back({begin, bytes_.size(), true, records_});
  }
  // Payloads of 0…3 header sizes: a length that is wrong by one bit may lead to another frame.
  void Data(size_t i) {
    const std::vector<std::byte> payload(i * 8 % 56, static_cast<std::byte>(i));
    const size_t begin = bytes_.size();
    bytes_.resize(begin + FrameBytes(payload.size()));
    EncodeFrame(&bytes_[begin], {.wal_seq = next_++,
                                 .payload = payload.data(),
                                 .size = static_cast<uint16_t>(payload.size()),
                                 .type = static_cast<uint8_t>(1 + i % 5)});
    sent_.push_back({begin, bytes_.size(), false, records_++});
  }

  std::vector<std::byte> bytes_;
  std::vector<Sent> sent_;
  uint64_t next_ = 100;
  size_t records_ = 0;
};

bool HasRecord(ClientResult result) {
  return result == ClientResult::kRecord || result == ClientResult::kGap ||
         result == ClientResult::kReorder;
}

uint64_t SumOf(const Record& record) {
  uint64_t sum = 14695981039346656037u;  // FNV-1a: no two payloads a bit apart have the same
  for (uint32_t i = 0; i < record.size; ++i) {
    sum = (sum ^ static_cast<const uint8_t*>(record.payload)[i]) * 1099511628211u;
  }
  return sum;
}

struct Outcome {
  std::vector<Delivered> records;
  ClientResult end = ClientResult::kEmpty;
  bool partial = false;
  uint32_t epochs_changed = 0;
};

Outcome Read(std::span<const std::byte> bytes) {
  Outcome outcome;
  ClientStream stream(1, /*reject_reorder=*/false, 0);
  std::copy(bytes.begin(), bytes.end(), stream.Compact().begin());
  stream.Received(bytes.size());
  Record record;
  for (size_t steps = 0; steps < 2 * kFrames; ++steps) {
    outcome.end = stream.Next(&record);
    if (outcome.end == ClientResult::kEpochChanged) ++outcome.epochs_changed;
    if (HasRecord(outcome.end)) {
      outcome.records.push_back(
          {outcome.end, record.wal_seq, SumOf(record), record.size, record.type, record.flags});
    }
    if (outcome.end == ClientResult::kEmpty || outcome.end >= ClientResult::kEndOfStream) break;
  }
  outcome.partial = stream.partial();
  return outcome;
}

bool Told(const Delivered& delivered) { return delivered.flags != 0; }

// Walks what the damaged stream gave along what was sent: how many records were not sent so, and
// whether each loss is told by a flag on the record after it, or on the altered one in its place.
struct Comparison {
  size_t altered = 0;
  bool losses_told = true;
};

Comparison Compare(const Outcome& good, const Outcome& bad) {
  Comparison comparison;
  size_t next = 0;  // of what was sent
  const Delivered* altered = nullptr;
  for (const Delivered& delivered : bad.records) {
    size_t found = next;
    while (found < good.records.size() && !delivered.SameRecord(good.records[found])) ++found;
    if (found == good.records.size()) {
      ++comparison.altered;
      altered = &delivered;
      continue;
    }
    const size_t missing = found - next;
    const bool in_place =
        altered != nullptr && missing == 1 && altered->wal_seq == good.records[next].wal_seq;
    const bool told = Told(delivered) || (altered != nullptr && Told(*altered));
    const bool something_to_tell = (missing != 0 || altered != nullptr) && !in_place;
    if (something_to_tell && !told) comparison.losses_told = false;
    altered = nullptr;
    next = found + 1;
  }
  return comparison;
}

TEST(DamagedStreamTest, TheStreamIsWhatItIsThoughtToBe) {
  const Stream stream;
  ASSERT_EQ(stream.sent().size(), kFrames);
  const Outcome good = Read(stream.bytes());
  EXPECT_EQ(good.end, ClientResult::kEmpty);
  EXPECT_FALSE(good.partial);
  EXPECT_EQ(good.epochs_changed, 1u);
  EXPECT_GT(good.records.size(), 50u);
  size_t gaps = 0;
  for (const Delivered& delivered : good.records) gaps += Told(delivered) ? 1 : 0;
  EXPECT_EQ(gaps, 1u);
}

TEST(DamagedStreamTest, EveryTruncationGivesWhatIsWholeAndIsNeverAnEnd) {
  const Stream stream;
  const Outcome good = Read(stream.bytes());
  for (size_t bytes = 0; bytes < stream.bytes().size(); ++bytes) {
    const Outcome cut = Read(std::span(stream.bytes()).first(bytes));
    const Sent& frame = stream.FrameAt(bytes);
    ASSERT_EQ(cut.end, ClientResult::kEmpty) << "only BYE ends a stream, " << bytes;
    ASSERT_EQ(cut.partial, bytes != frame.begin) << bytes;
    ASSERT_EQ(cut.records.size(), frame.record) << bytes;
    for (size_t i = 0; i < cut.records.size(); ++i) {
      ASSERT_TRUE(cut.records[i].SameRecord(good.records[i])) << bytes;
      ASSERT_EQ(cut.records[i].result, good.records[i].result) << bytes;
    }
  }
}

// One bit, what came of it, and what was sent.
struct Flip {
  size_t bit;  // within the frame
  const Sent& frame;
  const Outcome& outcome;
  const Outcome& good;
};

void CostsAtMostOneRecordAndLossesAreTold(const Flip& flip) {
  ASSERT_GE(flip.outcome.records.size(), flip.frame.record);
  for (size_t i = 0; i < flip.frame.record; ++i) {
    ASSERT_TRUE(flip.outcome.records[i].SameRecord(flip.good.records[i]));
    ASSERT_EQ(flip.outcome.records[i].result, flip.good.records[i].result);
  }
  const Comparison comparison = Compare(flip.good, flip.outcome);
  ASSERT_LE(comparison.altered, 1u);
  ASSERT_TRUE(comparison.losses_told);
  ASSERT_NE(flip.outcome.end, ClientResult::kEndOfStream);
}

void InMagicAndFlagsIsAnErrorAtOnce(const Flip& flip) {
  if (flip.bit >= 32 && (flip.bit < 41 || flip.bit >= 48)) return;
  ASSERT_EQ(flip.outcome.end, ClientResult::kProtocolError);
  ASSERT_EQ(flip.outcome.records.size(), flip.frame.record);
}

// They are the application's, and nothing but that record has to do with them.
void InTypeOrPayloadChangesThatRecordAndNoOther(const Flip& flip) {
  const bool type = flip.bit >= 32 && flip.bit < 40;
  if (flip.frame.control || (!type && flip.bit < 8 * kFrameHeaderBytes)) return;
  ASSERT_EQ(flip.outcome.records.size(), flip.good.records.size());
  for (size_t i = 0; i < flip.good.records.size(); ++i) {
    ASSERT_EQ(flip.outcome.records[i].SameRecord(flip.good.records[i]), i != flip.frame.record);
    ASSERT_EQ(flip.outcome.records[i].result, flip.good.records[i].result);
  }
}

// With that record or, where it is the first and may be anything, with the next.
void InASequenceIsTold(const Flip& flip) {
  if (flip.frame.control || flip.bit < 64 || flip.bit >= 128) return;
  const std::vector<Delivered>& records = flip.outcome.records;
  ASSERT_EQ(records.size(), flip.good.records.size());
  const size_t next = flip.frame.record + 1;
  ASSERT_TRUE(Told(records[next - 1]) || (next < records.size() && Told(records[next])));
}

// But for one that becomes a record itself, and a length that reaches over what follows.
void InAControlFrameAltersNoRecord(const Flip& flip) {
  if (!flip.frame.control || (flip.bit >= 40 && flip.bit < 64)) return;
  ASSERT_EQ(Compare(flip.good, flip.outcome).altered, 0u);
  if (flip.outcome.end != ClientResult::kEmpty) return;
  ASSERT_EQ(flip.outcome.records.size(), flip.good.records.size());
}

TEST(DamagedStreamTest, EveryBitFlipIsNoticedOrCostsOneRecord) {
  const Stream stream;
  const Outcome good = Read(stream.bytes());
  std::vector<std::byte> bytes = stream.bytes();
  for (size_t bit = 0; bit < 8 * bytes.size() && !HasFatalFailure(); ++bit) {
    const auto mask = static_cast<std::byte>(1 << bit % 8);
    bytes[bit / 8] ^= mask;
    const Outcome outcome = Read(bytes);
    bytes[bit / 8] ^= mask;
    const Sent& frame = stream.FrameAt(bit / 8);
    const Flip flip = {bit - 8 * frame.begin, frame, outcome, good};
    SCOPED_TRACE("bit " + std::to_string(flip.bit) + " of the frame at " +
                 std::to_string(frame.begin));
    CostsAtMostOneRecordAndLossesAreTold(flip);
    InMagicAndFlagsIsAnErrorAtOnce(flip);
    InTypeOrPayloadChangesThatRecordAndNoOther(flip);
    InASequenceIsTold(flip);
    InAControlFrameAltersNoRecord(flip);
  }
}

}  // namespace
}  // namespace ombus::net

// The client's side of the wire: whatever a server sends, ClientStream reads the same from it
// however it is cut into pieces and whatever the size of its buffer, hands out nothing that was not
// sent, and always either makes progress or says that it is over.
#include <string>

#include "net/client_stream.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/stream_writer.h"

namespace ombus::net {
namespace {

// Bytes of one connection, and what happens before them.
struct Segment {
  enum class Begin : uint8_t { kConnect, kResume, kStopSkipping } begin;
  std::vector<std::byte> bytes;
};

// What came of a step, and of the stream's state after it.
struct Step {
  ClientResult result;
  uint64_t wal_seq, payload_sum, expected, gap_expected, epoch, resume_from;
  uint16_t size;
  uint8_t type, flags;

  bool operator==(const Step&) const = default;
};

uint64_t SumOf(const Record& record) {
  uint64_t sum = 14695981039346656037u;  // FNV-1a
  for (uint32_t i = 0; i < record.size; ++i) {
    sum = (sum ^ static_cast<const uint8_t*>(record.payload)[i]) * 1099511628211u;
  }
  return sum;
}

bool HasRecord(ClientResult result) {
  return result == ClientResult::kRecord || result == ClientResult::kGap ||
         result == ClientResult::kReorder;
}

class Run {
 public:
  Run(uint32_t buffer_bytes, bool reject_reorder, uint64_t resume_from)
      : stream_(buffer_bytes, reject_reorder, resume_from) {}

  // Pieces of 1…piece_max bytes; 0: as large as they fit.
  void Feed(const Segment& segment, uint64_t piece_max) {
    if (segment.begin == Segment::Begin::kStopSkipping) {
      stream_.StopSkipping();
    } else {
      stream_.Reset(segment.begin == Segment::Begin::kResume);
      over_ = false;
    }
    std::span<const std::byte> left(segment.bytes);
    Drain();
    while (!left.empty() && !over_) {
      const std::span<std::byte> room = stream_.Compact();
      FUZZ_CHECK(!room.empty());
      size_t n = std::min(room.size(), left.size());
      if (piece_max != 0) {
        random_ = random_ * 6364136223846793005u + 1442695040888963407u;
        n = std::min<size_t>(n, 1 + (random_ >> 33) % piece_max);
      }
      std::copy_n(left.begin(), n, room.begin());
      stream_.Received(n);
      left = left.subspan(n);
      Drain();
    }
  }

  const std::vector<Step>& steps() const { return steps_; }

 private:
  void Drain() {
    while (true) {
      Record record;
      const ClientResult result = stream_.Next(&record);
      if (result == ClientResult::kEmpty) return;
      FUZZ_CHECK(result != ClientResult::kConnected);  // is not its to say
      const bool has_record = HasRecord(result);
      if (!has_record) record = {};
      steps_.push_back({result, record.wal_seq, SumOf(record), stream_.expected(),
                        stream_.gap_expected(), stream_.epoch(), stream_.resume_from(), record.size,
                        record.type, record.flags});
      if (result < ClientResult::kEndOfStream) continue;
      FUZZ_CHECK(!stream_.problem().empty());
      FUZZ_CHECK(stream_.Next(&record) == result);  // the end is final
      over_ = true;
      return;
    }
  }

  ClientStream stream_;
  bool over_ = false;
  uint64_t random_ = 1;
  std::vector<Step> steps_;
};

// Each record handed out is a data frame that was sent, in the order sent.
void CheckSent(const std::vector<Segment>& segments, const std::vector<Step>& steps) {
  size_t at = 0;
  const auto skip_others = [&] {
    while (at < steps.size() && !HasRecord(steps[at].result)) ++at;
  };
  std::vector<std::byte> connection;
  const auto walk = [&] {
    std::span<const std::byte> left(connection);
    Frame frame;
    for (; ParseFrame(left, &frame) == ParseResult::kFrame; left = left.subspan(frame.bytes())) {
      skip_others();
      if (at == steps.size() || frame.control()) continue;
      const Step& step = steps[at];
      const Record sent = {frame.wal_seq, frame.payload, frame.size, frame.type, 0};
      if (step.wal_seq == sent.wal_seq && step.size == sent.size && step.type == sent.type &&
          step.payload_sum == SumOf(sent)) {
        ++at;
      }
    }
  };
  for (const Segment& segment : segments) {
    if (segment.begin != Segment::Begin::kStopSkipping) {
      walk();
      connection.clear();
    }
    connection.insert(connection.end(), segment.bytes.begin(), segment.bytes.end());
  }
  walk();
  skip_others();
  FUZZ_CHECK(at == steps.size());
}

void RunInput(FuzzInput input) {
  const uint8_t flags = input.Byte();
  const bool reject_reorder = (flags & 1) != 0;
  const uint64_t resume_from = (flags & 2) != 0 ? input.Byte() : 0;
  const uint32_t buffer_bytes = uint32_t{input.Byte()} << 9;
  const uint64_t piece_max = uint64_t{1} << input.Byte() % 14;
  std::vector<Segment> segments(1, {.begin = Segment::Begin::kConnect, .bytes = {}});
  StreamWriter writer;
  size_t bytes = 0;
  while (!input.empty() && bytes < (1 << 17)) {
    const uint8_t what = input.Byte();
    if (what >= 250) {
      bytes += segments.back().bytes.size();
      segments.push_back({static_cast<Segment::Begin>(what % 3), {}});
    }
    writer.Append(&input, &segments.back().bytes);
    if (segments.back().bytes.size() > (1 << 17)) break;
  }
  Run whole(1 << 17, reject_reorder, resume_from);
  Run pieces(buffer_bytes, reject_reorder, resume_from);
  for (const Segment& segment : segments) {
    whole.Feed(segment, 0);
    pieces.Feed(segment, piece_max);
  }
  FUZZ_CHECK(whole.steps() == pieces.steps());
  CheckSent(segments, whole.steps());
}

}  // namespace
}  // namespace ombus::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ombus::net::RunInput({data, size});
  return 0;
}

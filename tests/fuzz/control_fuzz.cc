// The server's side of the wire: whatever a client sends, ControlReader reads the same frames from
// it however it is cut into pieces: those that a walk over the whole finds.
#include <vector>

#include "net/session.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/stream_writer.h"

namespace ombus::net {
namespace {

constexpr size_t kClientFrameBytesMax = 64;

struct Seen {
  uint64_t wal_seq = 0;
  std::vector<std::byte> payload;
  uint8_t type = 0;

  bool operator==(const Seen&) const = default;
};

struct Outcome {
  std::vector<Seen> frames;
  bool bad = false;

  bool operator==(const Outcome&) const = default;
};

Seen SeenOf(const Frame& frame) {
  return {frame.wal_seq, {frame.payload, frame.payload + frame.size}, frame.type};
}

// The grammar, without any buffering.
Outcome Walk(std::span<const std::byte> left) {
  Outcome outcome;
  while (!left.empty()) {
    if (!MayBecomeFrame(left)) {
      outcome.bad = true;
      return outcome;
    }
    if (left.size() < kFrameHeaderBytes) return outcome;
    const uint64_t word = LoadWord(left.data());
    const uint64_t bytes = FrameBytes(word >> 48);
    const auto flags = static_cast<uint8_t>(word >> 40);
    if (bytes > kClientFrameBytesMax || (flags & ~kFrameFlagControl) != 0) {
      outcome.bad = true;
      return outcome;
    }
    if (left.size() < bytes) return outcome;
    Frame frame;
    FUZZ_CHECK(ParseFrame(left, &frame) == ParseResult::kFrame);
    if (!frame.control()) {
      outcome.bad = true;
      return outcome;
    }
    outcome.frames.push_back(SeenOf(frame));
    left = left.subspan(bytes);
  }
  return outcome;
}

Outcome Read(std::span<const std::byte> left, uint64_t piece_max) {
  Outcome outcome;
  ControlReader reader;
  uint64_t random = 1;
  while (!left.empty() && !outcome.bad) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const size_t n = std::min<size_t>(left.size(), 1 + (random >> 33) % piece_max);
    // A copy of its own, so that ASan sees a read beyond it.
    const std::vector<std::byte> piece(left.begin(), left.begin() + static_cast<ptrdiff_t>(n));
    left = left.subspan(n);
    std::span<const std::byte> rest(piece);
    while (!rest.empty() && !outcome.bad) {
      const size_t before = rest.size();
      Frame frame;
      switch (reader.Read(&rest, &frame)) {
        case ControlReader::Outcome::kNeedMore:
          FUZZ_CHECK(rest.empty());
          break;
        case ControlReader::Outcome::kFrame: {
          FUZZ_CHECK(rest.size() < before);
          Hello hello;
          Welcome welcome;
          Gap gap;
          Bye bye;
          // At most one of them, since each looks at the type first.
          FUZZ_CHECK(ParseHello(frame, &hello) + ParseWelcome(frame, &welcome) +
                         ParseGap(frame, &gap) + ParseBye(frame, &bye) <=
                     1);
          outcome.frames.push_back(SeenOf(frame));
          break;
        }
        case ControlReader::Outcome::kBad:
          FUZZ_CHECK(reader.problem()[0] != '\0');
          outcome.bad = true;
          break;
      }
    }
  }
  return outcome;
}

void RunInput(FuzzInput input) {
  const uint64_t piece_max = 1 + input.Byte();
  std::vector<std::byte> bytes;
  StreamWriter writer;
  while (!input.empty() && bytes.size() < 4096) {
    if (input.Byte() % 2 == 0) {
      AppendHello(&bytes, {.version = static_cast<uint16_t>(1 + input.Byte() / 200),
                           .resume_from = input.Number<uint64_t>(),
                           .epoch = input.Byte(),
                           .heartbeat_ms = input.Byte()});
    } else {
      writer.Append(&input, &bytes);
    }
  }
  const Outcome expected = Walk(bytes);
  FUZZ_CHECK(Read(bytes, piece_max) == expected);
  FUZZ_CHECK(Read(bytes, bytes.size() + 1) == expected);
}

}  // namespace
}  // namespace ombus::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ombus::net::RunInput({data, size});
  return 0;
}

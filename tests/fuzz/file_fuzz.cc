// The files that ombus reads back: a cursor file and a file of payload sizes, of any bytes.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "ombus/cursor_file.h"
#include "ombus/slot_advice.h"
#include "ring/cursor_file.h"
#include "tests/fuzz/fuzz_input.h"

namespace ombus {
namespace {

// A file that lives in memory, by a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes) : fd_(memfd_create("ombus-fuzz", 0)) {
    FUZZ_CHECK(fd_ >= 0);
    const ssize_t written = bytes.empty() ? 0 : write(fd_, bytes.data(), bytes.size());
    FUZZ_CHECK(written == static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void LoadCursor(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  const Result<uint64_t> loaded = LoadCursorFile(file.path());
  uint64_t wal_seq = 0;
  const CursorState state = DecodeCursor(bytes, &wal_seq);
  FUZZ_CHECK(loaded.ok() == (state == CursorState::kSound));
  if (!loaded.ok()) {
    FUZZ_CHECK(loaded.status().code() == StatusCode::kCorrupt);
    FUZZ_CHECK(!loaded.status().message().empty());
    return;
  }
  // Only what EncodeCursor writes is sound.
  FUZZ_CHECK(*loaded == wal_seq);
  const auto encoded = EncodeCursor(wal_seq);
  FUZZ_CHECK(std::equal(bytes.begin(), bytes.end(), encoded.begin(), encoded.end()));
}

// A sound one with a change or two, which chance would hardly hit upon.
void LoadDamagedCursor(FuzzInput input) {
  auto bytes = EncodeCursor(input.Number<uint64_t>());
  for (int n = input.Byte() % 3; n > 0; --n) {
    bytes[input.Byte() % bytes.size()] ^= static_cast<std::byte>(1 << input.Byte() % 8);
  }
  const size_t size = input.Byte() < 200 ? bytes.size() : input.Byte() % bytes.size();
  LoadCursor(std::span(bytes).first(size));
}

void LoadSizes(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  const Result<PayloadHistogram> loaded = PayloadHistogram::Load(file.path());
  if (!loaded.ok()) {
    FUZZ_CHECK(loaded.status().code() == StatusCode::kInvalidArgument);
    FUZZ_CHECK(loaded.status().message().find("line ") != std::string::npos);
    return;
  }
  uint64_t count = 0;
  for (const auto& [size, times] : loaded->counts()) {
    FUZZ_CHECK(size <= kPayloadBytesMax && times != 0);
    count += times;
  }
  FUZZ_CHECK(count == loaded->count());
  FUZZ_CHECK(loaded->Percentile(50) <= loaded->Percentile(100));
  FUZZ_CHECK(loaded->Percentile(100) == loaded->max());
  const Result<SlotAdvice> advice = AdviseSlotSize(*loaded, 1024, 8);
  if (!advice.ok()) {
    FUZZ_CHECK(loaded->empty() || loaded->max() > 4096 - kSlotHeaderBytes);
    return;
  }
  FUZZ_CHECK(advice->slot_size >= loaded->max() + kSlotHeaderBytes && advice->too_large == 0);
}

void RunInput(FuzzInput input) {
  switch (input.Byte() % 4) {
    case 0:
      return LoadCursor(input.Bytes(input.left()));
    case 1:
      return LoadDamagedCursor(input);
    default:
      return LoadSizes(input.Bytes(input.left()));
  }
}

}  // namespace
}  // namespace ombus

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ombus::RunInput({data, size});
  return 0;
}

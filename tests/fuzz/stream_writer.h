// StreamWriter: turns a fuzz input into what a server, or something that is none, might send:
// frames mostly, so that parsing gets far, and plain bytes.
#ifndef OMBUS_TESTS_FUZZ_STREAM_WRITER_H_
#define OMBUS_TESTS_FUZZ_STREAM_WRITER_H_

#include <vector>

#include "net/frame.h"
#include "tests/fuzz/fuzz_input.h"

namespace ombus::net {

class StreamWriter {
 public:
  // Appends one thing of the input's choice.
  void Append(FuzzInput* input, std::vector<std::byte>* out) {
    switch (input->Byte() % 12) {
      case 0:
      case 1:
      case 2:  // the next one
        return Data(input, out, next_);
      case 3:  // a gap, a reorder
        return Data(input, out, next_ + input->Number<int8_t>());
      case 4:
        return Data(input, out, input->Number<uint64_t>());
      case 5: {
        const uint64_t epoch = input->Byte() % 4;
        return AppendWelcome(out, {.version = Version(input),
                                   .epoch = epoch,
                                   .first_wal_seq = next_,
                                   .heartbeat_ms = input->Number<uint16_t>()});
      }
      case 6:
        return AppendGap(out, {next_, next_ + input->Byte(), uint32_t{input->Byte()} % 4});
      case 7:
        return AppendHeartbeat(out, input->Byte());
      case 8:
        return AppendBye(out, static_cast<ByeReason>(input->Byte() % 8), Text(input));
      case 9:
        return AppendSlowWarning(out, {input->Number<uint32_t>(), input->Number<uint32_t>()});
      case 10: {  // a header of any kind, and not always all of its payload
        const uint64_t word = input->Number<uint64_t>() << 32 | kFrameMagic;
        const size_t at = out->size();
        out->resize(at + kFrameHeaderBytes);
        StoreWord(out->data() + at, word);
        StoreWord(out->data() + at + 8, next_);
        out->resize(out->size() + (input->Byte() % 2 == 0 ? word >> 48 : input->Byte()));
        return;
      }
      default: {
        const auto bytes = input->Bytes(input->Byte());
        out->insert(out->end(), bytes.begin(), bytes.end());
      }
    }
  }

 private:
  static uint16_t Version(FuzzInput* input) {
    const uint8_t byte = input->Byte();
    return byte < 250 ? kWireVersion : byte;
  }
  static std::string_view Text(FuzzInput* input) {
    const auto bytes = input->Bytes(input->Byte() % 64);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void Data(FuzzInput* input, std::vector<std::byte>* out, uint64_t wal_seq) {
    const uint8_t kind = input->Byte();
    const auto size = kind < 250 ? uint16_t{kind} : input->Number<uint16_t>();
    const std::vector<std::byte> payload(size, static_cast<std::byte>(wal_seq));
    const size_t at = out->size();
    out->resize(at + FrameBytes(size));
    EncodeFrame(out->data() + at, {.wal_seq = wal_seq,
                                   .payload = payload.data(),
                                   .size = size,
                                   .type = kind < 8 ? kTypeSlowWarning : kind});
    next_ = wal_seq + 1;
  }

  uint64_t next_ = 1;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_FUZZ_STREAM_WRITER_H_

#include "net/session.h"

#include <algorithm>
#include <cstring>

namespace ombus::net {

ControlReader::Outcome ControlReader::Read(std::span<const std::byte>* data, Frame* frame) {
  if (taken_) size_ = 0;
  taken_ = false;
  while (true) {
    size_t wanted = kFrameHeaderBytes;
    if (size_ >= kFrameHeaderBytes) wanted = FrameBytes(LoadWord(bytes_.data()) >> 48);
    const size_t n = std::min(wanted - size_, data->size());
    if (n != 0) std::memcpy(bytes_.data() + size_, data->data(), n);
    size_ = static_cast<uint8_t>(size_ + n);
    *data = data->subspan(n);
    const std::span<const std::byte> have(bytes_.data(), size_);
    if (!MayBecomeFrame(have)) return Bad("bytes that are no frame");
    if (size_ < kFrameHeaderBytes) return Outcome::kNeedMore;
    switch (ParseFrame(have, frame)) {
      case ParseResult::kFrame:
        if (!frame->control()) return Bad("a data frame, which only a server sends");
        taken_ = true;
        return Outcome::kFrame;
      case ParseResult::kPartial:
        if (FrameBytes(frame->size) > kBytesMax) {
          return Bad("a frame too long for a client to send");
        }
        if (data->empty()) return Outcome::kNeedMore;
        break;
      case ParseResult::kBadMagic:
        return Bad("bytes that are no frame");
      case ParseResult::kBadFlags:
        return Bad("a frame with unknown flags");
    }
  }
}

}  // namespace ombus::net

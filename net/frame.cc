#include "net/frame.h"

#include <algorithm>

namespace ombus::net {
namespace {

template <typename T>
void Put(std::vector<std::byte>* out, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out->insert(out->end(), bytes, bytes + sizeof(value));
}

template <typename T>
T Get(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

void PutHeader(std::vector<std::byte>* out, uint8_t type, uint8_t flags, size_t size,
               uint64_t wal_seq) {
  Put(out, FrameWord(type, flags, static_cast<uint16_t>(size)));
  Put(out, wal_seq);
}

void PutControl(std::vector<std::byte>* out, ControlType type, size_t size, uint64_t wal_seq) {
  PutHeader(out, static_cast<uint8_t>(type), kFrameFlagControl, size, wal_seq);
}

bool IsControl(const Frame& frame, ControlType type) {
  return frame.control() && frame.type == static_cast<uint8_t>(type);
}

}  // namespace

bool MayBecomeFrame(std::span<const std::byte> bytes) {
  const uint32_t magic = kFrameMagic;
  const size_t n = std::min(bytes.size(), sizeof(magic));
  return n == 0 || std::memcmp(bytes.data(), &magic, n) == 0;
}

void AppendHello(std::vector<std::byte>* out, const Hello& hello) {
  PutControl(out, ControlType::kHello, kHelloBytes, 0);
  Put(out, hello.version);
  Put(out, uint16_t{0});
  Put(out, hello.heartbeat_ms);
  Put(out, hello.resume_from);
  Put(out, hello.epoch);
}

void AppendWelcome(std::vector<std::byte>* out, const Welcome& welcome) {
  PutControl(out, ControlType::kWelcome, kWelcomeBytes, welcome.first_wal_seq);
  Put(out, welcome.version);
  Put(out, uint16_t{0});
  Put(out, welcome.heartbeat_ms);
  Put(out, welcome.epoch);
}

void AppendGap(std::vector<std::byte>* out, const Gap& gap) {
  PutControl(out, ControlType::kGap, kGapBytes, 0);
  Put(out, gap.from);
  Put(out, gap.to);
  Put(out, gap.why);
}

void AppendHeartbeat(std::vector<std::byte>* out, uint64_t wal_seq) {
  PutControl(out, ControlType::kHeartbeat, 0, wal_seq);
}

void AppendBye(std::vector<std::byte>* out, ByeReason why, std::string_view text) {
  text = text.substr(0, 1024);
  PutControl(out, ControlType::kBye, kByeBytesMin + text.size(), 0);
  Put(out, static_cast<uint32_t>(why));
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  out->insert(out->end(), bytes, bytes + text.size());
}

void AppendSlowWarning(std::vector<std::byte>* out, const SlowWarningFrame& warning) {
  PutHeader(out, kTypeSlowWarning, 0, kSlowWarningBytes, 0);
  Put(out, warning.pending_bytes);
  Put(out, warning.limit_bytes);
}

bool ParseHello(const Frame& frame, Hello* hello) {
  if (!IsControl(frame, ControlType::kHello) || frame.size < sizeof(uint16_t)) return false;
  hello->version = Get<uint16_t>(frame.payload);
  if (hello->version != kWireVersion) return true;
  if (frame.size != kHelloBytes) return false;
  hello->heartbeat_ms = Get<uint32_t>(frame.payload + 4);
  hello->resume_from = Get<uint64_t>(frame.payload + 8);
  hello->epoch = Get<uint64_t>(frame.payload + 16);
  return true;
}

bool ParseWelcome(const Frame& frame, Welcome* welcome) {
  if (!IsControl(frame, ControlType::kWelcome) || frame.size != kWelcomeBytes) return false;
  welcome->version = Get<uint16_t>(frame.payload);
  welcome->heartbeat_ms = Get<uint32_t>(frame.payload + 4);
  welcome->epoch = Get<uint64_t>(frame.payload + 8);
  welcome->first_wal_seq = frame.wal_seq;
  return true;
}

bool ParseGap(const Frame& frame, Gap* gap) {
  if (!IsControl(frame, ControlType::kGap) || frame.size != kGapBytes) return false;
  gap->from = Get<uint64_t>(frame.payload);
  gap->to = Get<uint64_t>(frame.payload + 8);
  gap->why = Get<uint32_t>(frame.payload + 16);
  return true;
}

bool ParseBye(const Frame& frame, Bye* bye) {
  if (!IsControl(frame, ControlType::kBye) || frame.size < kByeBytesMin) return false;
  bye->why = Get<uint32_t>(frame.payload);
  bye->text = {reinterpret_cast<const char*>(frame.payload) + kByeBytesMin,
               frame.size - kByeBytesMin};
  return true;
}

bool ParseSlowWarning(const Frame& frame, SlowWarningFrame* warning) {
  if (frame.control() || frame.type != kTypeSlowWarning || frame.wal_seq != 0 ||
      frame.size != kSlowWarningBytes) {
    return false;
  }
  warning->pending_bytes = Get<uint32_t>(frame.payload);
  warning->limit_bytes = Get<uint32_t>(frame.payload + 4);
  return true;
}

std::string PrintableText(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string printable;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      printable += c;
    } else {
      const auto byte = static_cast<uint8_t>(c);
      printable += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return printable;
}

}  // namespace ombus::net

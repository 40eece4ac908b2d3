#include "tools/format.h"

#include "tools/json.h"

namespace ombus::tools {
namespace {

std::string_view PayloadOf(const Record& record) {
  if (record.size == 0) return {};
  return {static_cast<const char*>(record.payload), record.size};
}

void AppendHex(std::string_view bytes, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out->push_back(kDigits[value >> 4]);
    out->push_back(kDigits[value & 15]);
  }
}

void AppendJson(const Record& record, std::string* out) {
  *out += "{\"wal_seq\":" + std::to_string(record.wal_seq) +
          ",\"type\":" + std::to_string(record.type) + ",\"size\":" + std::to_string(record.size);
  if (record.flags & kRecordGap) *out += ",\"gap\":true";
  if (record.flags & kRecordReorder) *out += ",\"reorder\":true";
  const std::string_view payload = PayloadOf(record);
  if (IsUtf8(payload)) {
    *out += ",\"text\":";
    AppendJsonString(payload, out);
  } else {
    *out += ",\"hex\":\"";
    AppendHex(payload, out);
    *out += '"';
  }
  *out += "}\n";
}

// Bytes of the sequence that begins with lead, 0 if none does.
size_t SequenceBytes(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

}  // namespace

bool ParseFormat(std::string_view name, Format* format) {
  constexpr std::string_view kNames[] = {"line", "json", "hex", "raw", "none"};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name != kNames[i]) continue;
    *format = static_cast<Format>(i);
    return true;
  }
  return false;
}

void AppendRecord(const Record& record, Format format, std::string* out) {
  const std::string_view payload = PayloadOf(record);
  switch (format) {
    case Format::kRaw:
      out->append(payload);
      return;
    case Format::kLine:
      out->append(payload);
      if (!payload.ends_with('\n')) out->push_back('\n');
      return;
    case Format::kJson:
      AppendJson(record, out);
      return;
    case Format::kHex:
      *out += std::to_string(record.wal_seq) + " " + std::to_string(record.type) + " " +
              std::to_string(record.size) + " ";
      AppendHex(payload, out);
      out->push_back('\n');
      return;
    case Format::kNone:
      return;
  }
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t bytes = SequenceBytes(lead);
    if (bytes == 0 || i + bytes > text.size()) return false;
    for (size_t k = 1; k < bytes; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    if (bytes > 2) {
      // Overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629, table 3-7 of Unicode).
      const auto second = static_cast<unsigned char>(text[i + 1]);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
          (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
        return false;
      }
    }
    i += bytes;
  }
  return true;
}

}  // namespace ombus::tools

#include "tools/json.h"

#include <cmath>
#include <cstdio>

namespace ombus::tools {

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\t':
        *out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          char escaped[8];
          std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
          *out += escaped;
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

JsonObject& JsonObject::AddText(std::string_view key, std::string_view text) {
  if (!body_.empty()) body_ += ',';
  AppendJsonString(key, &body_);
  body_ += ':';
  body_ += text;
  return *this;
}

JsonObject& JsonObject::Add(std::string_view key, std::string_view value) {
  std::string quoted;
  AppendJsonString(value, &quoted);
  return AddText(key, quoted);
}

JsonObject& JsonObject::Add(std::string_view key, const JsonObject& value) {
  return AddText(key, value.text());
}

JsonObject& JsonObject::Add(std::string_view key, const std::vector<JsonObject>& values) {
  std::string list = "[";
  for (const JsonObject& value : values) list += (list.size() > 1 ? "," : "") + value.text();
  return AddText(key, list + "]");
}

JsonObject& JsonObject::Add(std::string_view key, double value) {
  if (!std::isfinite(value)) return AddText(key, "null");
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return AddText(key, text);
}

}  // namespace ombus::tools

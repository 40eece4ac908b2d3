// JSON text, written piece by piece: enough for what the commands print, and no document in memory.
// A writer of our own because the packaged library needs exceptions, which we build without.
//
//   JsonObject object;
//   object.Add("head", 7).Add("name", "/orders");
//   puts(object.text().c_str());
#ifndef OMBUS_TOOLS_JSON_H_
#define OMBUS_TOOLS_JSON_H_

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ombus::tools {

// Appends text with quotes, escaped as RFC 8259 asks. The text is UTF-8.
void AppendJsonString(std::string_view text, std::string* out);

class JsonObject {
 public:
  JsonObject& Add(std::string_view key, std::string_view value);
  JsonObject& Add(std::string_view key, const char* value) {
    return Add(key, std::string_view(value));
  }
  JsonObject& Add(std::string_view key, const JsonObject& value);
  JsonObject& Add(std::string_view key, const std::vector<JsonObject>& values);
  JsonObject& Add(std::string_view key, double value);  // null if it is no finite number
  JsonObject& Add(std::string_view key, std::same_as<bool> auto value) {
    return AddText(key, value ? "true" : "false");
  }
  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonObject& Add(std::string_view key, T value) {
    return AddText(key, std::to_string(value));
  }

  std::string text() const { return "{" + body_ + "}"; }

 private:
  JsonObject& AddText(std::string_view key, std::string_view text);

  std::string body_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_JSON_H_

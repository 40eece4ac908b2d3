// Formats in which `ombus sub` prints a record.
//
//   line  the payload and, where it does not end in one, a newline
//   json  an object a line: {"wal_seq":7,"type":1,"size":3,"text":"abc"}; "hex" for what is no
//   UTF-8 hex   wal_seq, type, size and the payload's bytes in hexadecimal raw   the payload and
//   nothing else: what was published, byte for byte none  nothing
#ifndef OMBUS_TOOLS_FORMAT_H_
#define OMBUS_TOOLS_FORMAT_H_

#include <string>
#include <string_view>

#include "ombus/record.h"

namespace ombus::tools {

enum class Format : uint8_t { kLine, kJson, kHex, kRaw, kNone };

// False if name is none of the five.
bool ParseFormat(std::string_view name, Format* format);

// Appends the record as the format has it. Anything may be in the payload.
void AppendRecord(const Record& record, Format format, std::string* out);

bool IsUtf8(std::string_view text);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_FORMAT_H_

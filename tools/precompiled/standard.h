// What nearly every source takes in of the standard library, parsed once for a target instead of
// once for a source, where -Db_pch=true asks for it. Nothing includes this: each source names what
// it needs, and a build without -Db_pch=true, the default, shows that it does.
#ifndef OMBUS_TOOLS_PRECOMPILED_STANDARD_H_
#define OMBUS_TOOLS_PRECOMPILED_STANDARD_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#endif  // OMBUS_TOOLS_PRECOMPILED_STANDARD_H_

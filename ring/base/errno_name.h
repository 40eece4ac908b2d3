// ErrnoName: the name of an errno for a message ("ENOENT"), or its number where it has none.
//
// Private; net uses it too. Threads: any.
#ifndef OMBUS_RING_BASE_ERRNO_NAME_H_
#define OMBUS_RING_BASE_ERRNO_NAME_H_

#include <cstring>
#include <string>

namespace ombus {

inline std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "errno " + std::to_string(error);
}

}  // namespace ombus

#endif  // OMBUS_RING_BASE_ERRNO_NAME_H_

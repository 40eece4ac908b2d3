// StreamName: a stream's name as a C caller gives it. shm_open of glibc takes "orders" for
// "/orders", and so did libombus.
//
// Threads: a pure function.
#ifndef OMBUS_ENGINE_C_API_STREAM_NAME_H_
#define OMBUS_ENGINE_C_API_STREAM_NAME_H_

#include <string>

namespace ombus::engine {

inline std::string StreamName(const char* name) {
  return name[0] == '/' ? std::string(name) : std::string("/") + name;
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_API_STREAM_NAME_H_

// What `ombus doctor` looks at: each check is a fact about this host, a verdict on it and a cure.
//
// Files are read under a root, so that tests can show any host. Cheap, reads only; any thread.
#ifndef OMBUS_TOOLS_DOCTOR_CHECKS_H_
#define OMBUS_TOOLS_DOCTOR_CHECKS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ombus/status.h"

namespace ombus::tools {

enum class Health : uint8_t {
  kOk,
  kNote,  // nothing is wrong; someone who tunes will want to know
  kWarn,  // works, slower or with less than could be
  kFail,  // something will not work
};

struct Finding {
  std::string check;  // "memlock"
  Health health = Health::kOk;
  std::string fact;  // what was found
  std::string cure;  // empty where there is nothing to do
};

struct DoctorNeeds {
  uint64_t clients = 1024;
  uint64_t log_bytes = 4u << 20;
  uint64_t ring_bytes = 6u << 20;  // of all streams in /dev/shm; one takes 4 MiB and 4608 bytes
};

// What is not in files. Limit values as of getrlimit.
struct HostLimits {
  uint64_t descriptors_soft = 0, descriptors_hard = 0, memlock = 0;
  bool may_lock = false;  // CAP_IPC_LOCK
  uint32_t cpus = 0;      // that this process may use
  Status busy_poll = {};  // what a socket says that asks for more SO_BUSY_POLL than it begins with
};
HostLimits ReadHostLimits();

// All checks of the files under `root` ("" is this host) and of the limits.
std::vector<Finding> CheckHost(const std::string& root, const HostLimits& limits,
                               const DoctorNeeds& needs);
// What the kernel lets this process do with io_uring, tried out.
std::vector<Finding> CheckIoUring();
// The file system under `path` has room for `bytes`.
Finding CheckShm(const std::string& path, uint64_t bytes);

const char* NameOf(Health health);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_DOCTOR_CHECKS_H_

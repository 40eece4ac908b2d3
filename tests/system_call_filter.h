// FilterSystemCalls: from here on, and for good, the kernel treats this process's system calls as a
// filter says. For a forked child that is to show what happens without some of them, or that it
// makes none. False: this kernel or sandbox allows no filter.
#ifndef OMBUS_TESTS_SYSTEM_CALL_FILTER_H_
#define OMBUS_TESTS_SYSTEM_CALL_FILTER_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ombus {

inline bool FilterSystemCalls(std::span<sock_filter> filter) {
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// That system call alone fails, with that error, as a container's profile has it.
inline bool ForbidSystemCall(uint32_t number, uint32_t error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return FilterSystemCalls(filter);
}

}  // namespace ombus

#endif  // OMBUS_TESTS_SYSTEM_CALL_FILTER_H_

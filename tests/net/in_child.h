// InChild: runs a check in a forked process, which may cripple itself: drop rights, lower limits,
// forbid system calls. 0: the check held.
#ifndef OMBUS_TESTS_NET_IN_CHILD_H_
#define OMBUS_TESTS_NET_IN_CHILD_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <span>

namespace ombus::net {

template <typename Check>
int InChild(Check check) {
  const pid_t child = fork();
  if (child == 0) _exit(check() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// From here on, and for good, the kernel treats this process's system calls as the filter says.
inline bool FilterSystemCalls(std::span<sock_filter> filter) {
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_IN_CHILD_H_

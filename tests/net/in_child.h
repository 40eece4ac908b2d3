// InChild: runs a check in a forked process, which may cripple itself: drop rights, lower limits,
// forbid system calls (tests/system_call_filter.h). 0: the check held.
#ifndef OMBUS_TESTS_NET_IN_CHILD_H_
#define OMBUS_TESTS_NET_IN_CHILD_H_

#include <sys/wait.h>
#include <unistd.h>

namespace ombus::net {

template <typename Check>
int InChild(Check check) {
  const pid_t child = fork();
  if (child == 0) _exit(check() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_IN_CHILD_H_

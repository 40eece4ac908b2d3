// CountSyscalls: how many system calls of which kind a piece of code makes, counted from outside by
// a tracing process, as strace does.
#ifndef OMBUS_TESTS_NET_SYSCALL_COUNT_H_
#define OMBUS_TESTS_NET_SYSCALL_COUNT_H_

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <optional>
#include <vector>

namespace ombus::net {

using SyscallCounts = std::map<long, int>;

inline int TotalOf(const SyscallCounts& counts) {
  int total = 0;
  for (const auto& [number, count] : counts) total += count;
  return total;
}
inline int CountOf(const SyscallCounts& counts, long number) {
  const auto at = counts.find(number);
  return at == counts.end() ? 0 : at->second;
}

// A sanitizer maps memory for itself, now and then; those calls are not the code's own.
inline bool IsSanitizers([[maybe_unused]] long number) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return number == SYS_mmap || number == SYS_munmap || number == SYS_mprotect ||
         number == SYS_madvise;
#else
  return false;
#endif
}

// In the traced process: what follows belongs to the next phase. getpgid of no process marks it.
inline constexpr long kPhaseMark = -4711;
inline void NextPhase() { syscall(SYS_getpgid, kPhaseMark); }

// Runs body in a child. The counts of each phase, the first before any NextPhase; nothing where
// tracing is not allowed here, or body was false.
inline std::optional<std::vector<SyscallCounts>> CountSyscalls(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(77);
    raise(SIGSTOP);
    _exit(body() ? 0 : 1);
  }
  std::vector<SyscallCounts> phases(1);
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return std::nullopt;
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  bool entering = true;
  while (true) {
    const int signal = WSTOPSIG(status);
    const bool own = signal == (SIGTRAP | 0x80) || signal == SIGSTOP;
    ptrace(PTRACE_SYSCALL, child, nullptr, own ? 0 : signal);
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) break;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (entering) {
      user_regs_struct registers{};
      ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      const auto number = static_cast<long>(registers.orig_rax);
      const auto first = static_cast<int>(registers.rdi);
      if (number == SYS_getpgid && first == kPhaseMark) {
        phases.emplace_back();
      } else if (!IsSanitizers(number)) {
        ++phases.back()[number];
      }
    }
    entering = !entering;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return phases;
}

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_SYSCALL_COUNT_H_

// SigpipeGuard: keeps SIGPIPE from the host program around one system call that may raise it in
// the calling thread. Nothing of the host's signal set-up changes for longer than that.
//
// WRITE_FIXED takes no MSG_NOSIGNAL, and kernels before 6.18 no RWF_NOSIGNAL. The signal goes to
// the thread that submits, so masking that thread for the call is enough. Two cheap system calls.
// Threads: made and destroyed in the one that submits.
#ifndef OMBUS_NET_SIGPIPE_GUARD_H_
#define OMBUS_NET_SIGPIPE_GUARD_H_

#include <signal.h>
#include <time.h>

namespace ombus::net {

class SigpipeGuard {
 public:
  SigpipeGuard() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    was_blocked_ = sigismember(&before_, SIGPIPE) == 1;
    if (!was_blocked_) return;  // then none can have been waiting
    sigset_t waiting;
    was_pending_ = sigpending(&waiting) == 0 && sigismember(&waiting, SIGPIPE) == 1;
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;
  ~SigpipeGuard() {
    if (raised_ && !was_pending_) {
      const timespec none = {0, 0};
      sigtimedwait(&sigpipe_, nullptr, &none);
    }
    if (!was_blocked_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  void set_raised() { raised_ = true; }  // the call may have raised it: take it back

 private:
  sigset_t sigpipe_, before_;
  bool was_blocked_ = false, was_pending_ = false, raised_ = false;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_SIGPIPE_GUARD_H_

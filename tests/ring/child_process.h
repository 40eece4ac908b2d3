// A forked process for tests: runs a function, tells its parent of a point reached, is killed or
// waited for. The child never returns into the test.
#ifndef OMBUS_TESTS_RING_CHILD_PROCESS_H_
#define OMBUS_TESTS_RING_CHILD_PROCESS_H_

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

namespace ombus {

class ChildProcess {
 public:
  // What the child has of its parent.
  class Parent {
   public:
    Parent(int read_fd, int write_fd) : read_fd_(read_fd), write_fd_(write_fd) {}
    void Tell() { (void)!write(write_fd_, "", 1); }
    void Await() {
      char byte;
      (void)!read(read_fd_, &byte, 1);
    }

   private:
    int read_fd_;
    int write_fd_;
  };

  // body's result is the exit code: 0 for well.
  explicit ChildProcess(const std::function<int(Parent&)>& body) {
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) abort();
    pid_ = fork();
    if (pid_ < 0) abort();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(down[1]);
      close(up[0]);
      Parent parent(down[0], up[1]);
      _exit(body(parent));
    }
    close(down[0]);
    close(up[1]);
    write_fd_ = down[1];
    read_fd_ = up[0];
  }
  ~ChildProcess() {
    Kill();
    close(write_fd_);
    close(read_fd_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Tell() { (void)!write(write_fd_, "", 1); }
  // False: the child ended without telling.
  bool Await() {
    char byte;
    return read(read_fd_, &byte, 1) == 1;
  }
  int Wait() {  // the exit code, or -1 - signal
    if (pid_ <= 0) return code_;
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1 - WTERMSIG(status);
    return code_;
  }
  int Kill() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    return Wait();
  }

 private:
  pid_t pid_ = 0;
  int write_fd_ = -1, read_fd_ = -1;
  int code_ = 0;
};

}  // namespace ombus

#endif  // OMBUS_TESTS_RING_CHILD_PROCESS_H_

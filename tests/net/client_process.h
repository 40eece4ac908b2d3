// ClientProcess: a process of a test's own, started before there is a server, so that it has none
// of the server's descriptors; it is given the port, and an order, later.
#ifndef OMBUS_TESTS_NET_CLIENT_PROCESS_H_
#define OMBUS_TESTS_NET_CLIENT_PROCESS_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

namespace ombus::net {

class ClientProcess {
 public:
  // Body: void(uint16_t port, int orders), of which a byte can be read when Order was called.
  template <typename Body>
  explicit ClientProcess(Body body) {
    EXPECT_EQ(pipe(orders_), 0);
    child_ = fork();
    if (child_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    uint16_t port = 0;
    if (read(orders_[0], &port, sizeof port) == sizeof port) body(port, orders_[0]);
    _exit(0);
  }
  ~ClientProcess() {
    Kill();
    close(orders_[0]);
    close(orders_[1]);
  }
  ClientProcess(const ClientProcess&) = delete;
  ClientProcess& operator=(const ClientProcess&) = delete;

  void Connect(uint16_t port) const {
    EXPECT_EQ(write(orders_[1], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  }
  void Order() const { EXPECT_EQ(write(orders_[1], "!", 1), 1); }
  void Kill() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }

 private:
  int orders_[2] = {-1, -1};
  pid_t child_ = -1;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_CLIENT_PROCESS_H_

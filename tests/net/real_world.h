// RealWorld: loopback TCP and plain blocking peers, for conformance tests of a back end of the
// kernel. SimWorld has the same members over the simulator.
#ifndef OMBUS_TESTS_NET_REAL_WORLD_H_
#define OMBUS_TESTS_NET_REAL_WORLD_H_

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "net/backend_options.h"
#include "net/socket.h"

namespace ombus::net {

class RealPeer {
 public:
  explicit RealPeer(int fd) : fd_(fd) {}

  void Write(const std::string& bytes) {
    ASSERT_EQ(send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // What is there, at most `most` bytes; empty at the end of the stream, after a reset and when
  // nothing is there.
  std::string Read(size_t most) {
    std::string bytes(most, '\0');
    const ssize_t got = recv(fd_.get(), bytes.data(), most, MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }
  bool SeesEnd() {
    char byte;
    const ssize_t got = recv(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }
  void Finish() { fd_ = UniqueFd(); }
  void Reset() {
    const linger now = {1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_ = UniqueFd();
  }

 private:
  UniqueFd fd_;
};

template <typename BackendType>
class RealWorld {
 public:
  using Backend = BackendType;
  using Peer = RealPeer;
  static constexpr bool kSimulated = false;

  // Null and a reason where the kernel refuses it.
  static std::unique_ptr<RealWorld> Make(const BackendOptions& options, std::string* refusal) {
    Result<std::unique_ptr<BackendType>> backend = BackendType::Create(options);
    if (!backend.ok()) {
      *refusal = backend.status().message();
      return nullptr;
    }
    return std::unique_ptr<RealWorld>(new RealWorld(std::move(*backend)));
  }

  BackendType& backend() { return *backend_; }
  void DestroyBackend() { backend_.reset(); }

  int NewListener() { return Listen("127.0.0.1", 0, 512)->Release(); }
  sockaddr_storage AddressOf(int listener) {
    return *ParseAddress("127.0.0.1", LocalPort(listener));
  }
  sockaddr_storage DeadAddress() {
    const UniqueFd gone(NewListener());
    return AddressOf(gone.get());
  }
  int NewSocket() { return NewTcpSocket(*ParseAddress("127.0.0.1", 1))->Release(); }
  void CloseRaw(int fd) { close(fd); }

  std::unique_ptr<Peer> ConnectPeer(int listener) {
    const sockaddr_storage address = AddressOf(listener);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), AddressBytes(address)), 0);
    return std::make_unique<Peer>(fd);
  }
  // Our descriptor, which takes few bytes before it is full, and the other end.
  std::pair<int, std::unique_ptr<Peer>> NewPair() {
    const UniqueFd listener(NewListener());
    std::unique_ptr<Peer> peer = ConnectPeer(listener.get());
    pollfd until_there = {.fd = listener.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&until_there, 1, -1), 1);
    const int fd = accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(fd, 0);
    const int bytes = 16 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return {fd, std::move(peer)};
  }
  int NewEvent() { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
  void SignalEvent(int event) {
    const uint64_t one = 1;
    EXPECT_EQ(write(event, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }
  void ClearEvent(int event) {
    uint64_t count;
    EXPECT_EQ(read(event, &count, sizeof count), static_cast<ssize_t>(sizeof count));
  }

 private:
  explicit RealWorld(std::unique_ptr<BackendType> backend) : backend_(std::move(backend)) {}

  std::unique_ptr<BackendType> backend_;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_REAL_WORLD_H_

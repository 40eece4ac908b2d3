// RawPeer: a plain blocking socket to a server under test, for what no proper client does.
#ifndef OMBUS_TESTS_NET_RAW_PEER_H_
#define OMBUS_TESTS_NET_RAW_PEER_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "net/frame.h"
#include "net/socket.h"

namespace ombus::net {

class RawPeer {
 public:
  explicit RawPeer(uint16_t port, int receive_buffer = 0, in_addr_t from = INADDR_ANY)
      : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer != 0) {
      setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    sockaddr_in address{};
    if (from != INADDR_ANY) {
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(from);
      EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    }
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }

  int fd() const { return fd_.get(); }
  void Send(const std::vector<std::byte>& bytes) {
    EXPECT_EQ(send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void Send(const std::string& text) {
    EXPECT_EQ(send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  // Takes what is there. `ended` becomes true at the end of the stream or at a reset.
  void Drain() {
    std::byte chunk[65536];
    while (true) {
      const ssize_t n = recv(fd_.get(), chunk, sizeof(chunk), MSG_DONTWAIT);
      if (n > 0) {
        bytes_.insert(bytes_.end(), chunk, chunk + n);
        continue;
      }
      if (n == 0 || (errno != EAGAIN && errno != EINTR)) ended_ = true;
      return;
    }
  }
  bool ended() const { return ended_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  // All whole frames so far. Fails the test on anything that is none.
  std::vector<Frame> Frames(size_t* rest = nullptr) const {
    std::vector<Frame> frames;
    std::span<const std::byte> left(bytes_);
    Frame frame;
    ParseResult result;
    while ((result = ParseFrame(left, &frame)) == ParseResult::kFrame) {
      frames.push_back(frame);
      left = left.subspan(frame.bytes());
    }
    EXPECT_EQ(result, ParseResult::kPartial);
    if (rest != nullptr) *rest = left.size();
    return frames;
  }

 private:
  UniqueFd fd_;
  std::vector<std::byte> bytes_;
  bool ended_ = false;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_RAW_PEER_H_

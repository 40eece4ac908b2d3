// TcpReader: a client of the plain protocol that says nothing: connects, checks every frame's
// header, order and payload against what the engine's tests publish, in a thread of its own.
#ifndef OMBUS_TESTS_ENGINE_TCP_READER_H_
#define OMBUS_TESTS_ENGINE_TCP_READER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ombus/wire.h"
#include "tests/engine/engine_test_stream.h"

namespace ombus {

inline int ConnectTo(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

class TcpReader {
 public:
  explicit TcpReader(uint16_t port) : fd_(ConnectTo(port)) {
    if (fd_ >= 0) thread_ = std::thread([this] { Read(); });
  }
  ~TcpReader() {
    if (fd_ < 0) return;
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  TcpReader(const TcpReader&) = delete;
  TcpReader& operator=(const TcpReader&) = delete;

  bool connected() const { return fd_ >= 0; }
  uint64_t frames() const { return frames_; }
  uint64_t first() const { return first_; }
  uint64_t last() const { return last_; }
  uint64_t bad() const { return bad_; }      // wrong header, or payload
  uint64_t jumps() const { return jumps_; }  // sequence is not the one before + 1
  bool ended() const { return ended_; }
  bool AwaitLast(uint64_t wal_seq) {
    return Eventually([&] { return last_ >= wal_seq || ended_; }) && last_ == wal_seq;
  }
  bool AwaitEnd() {
    return Eventually([&] { return ended_.load(); });
  }

 private:
  bool ReadAll(void* into, size_t bytes) {
    return recv(fd_, into, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
  }
  void Read() {
    uint8_t header[kFrameHeaderBytes];
    std::vector<uint8_t> payload(65536);
    while (ReadAll(header, sizeof header)) {
      uint32_t magic;
      uint16_t size;
      uint64_t wal_seq;
      std::memcpy(&magic, header, 4);
      std::memcpy(&size, header + 6, 2);
      std::memcpy(&wal_seq, header + 8, 8);
      if (size > 0 && !ReadAll(payload.data(), size)) break;
      if (header[5] != 0 || header[4] == kTypeSlowWarning) continue;
      const std::vector<uint8_t> expected = PayloadOf(wal_seq);
      const bool good = magic == kFrameMagic && header[4] == TypeOf(wal_seq) &&
                        size == expected.size() &&
                        (size == 0 || std::memcmp(payload.data(), expected.data(), size) == 0);
      if (!good) ++bad_;
      if (frames_ == 0) first_ = wal_seq;
      if (frames_ > 0 && wal_seq != last_ + 1) ++jumps_;
      ++frames_;
      last_ = wal_seq;  // after what AwaitLast()'s callers look at next
    }
    ended_ = true;
  }

  const int fd_;
  std::atomic<uint64_t> frames_{0}, first_{0}, last_{0}, bad_{0}, jumps_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace ombus

#endif  // OMBUS_TESTS_ENGINE_TCP_READER_H_

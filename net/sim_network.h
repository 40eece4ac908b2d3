// SimNetwork: the in-memory network under SimBackend: listeners, connections of two bounded pipes,
// events. Tests use it directly to play the peers.
//
// Descriptors are invented, from kFirstFd up, above any the kernel hands out: closing one with
// close(2) by mistake is EBADF and harms nobody. They are never used twice. Not for production.
// Threads: one at a time.
#ifndef OMBUS_NET_SIM_NETWORK_H_
#define OMBUS_NET_SIM_NETWORK_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ombus::net {

class SimNetwork {
 public:
  static constexpr int kFirstFd = 1 << 24;

  explicit SimNetwork(size_t pipe_bytes = 64 * 1024) : pipe_bytes_(pipe_bytes) {}

  int NewListener();
  int NewSocket();                // to Connect with
  std::pair<int, int> NewPair();  // connected
  int NewEvent();                 // readable once signalled, until cleared
  void SignalEvent(int fd) { node(fd).signalled = true; }
  void ClearEvent(int fd) { node(fd).signalled = false; }

  // What to connect to; ports are the simulator's own.
  sockaddr_storage AddressOf(int listener) const;
  static sockaddr_storage Address(uint16_t port);

  // As the system calls: a value >= 0 or -errno; nothing waits.
  int Connect(int fd, const sockaddr_storage& address);
  int Accept(int listener);
  int Write(int fd, std::span<const std::byte> bytes);
  int Read(int fd, std::span<std::byte> into);
  void FinishSending(int fd);  // the peer reads what is on its way, then the end
  bool AllRead(int fd) const;  // the peer has nothing left to read, or is gone
  void Close(int fd);  // the peer reads what is on its way, then the end; unread bytes make a reset
  void Reset(int fd);  // both ends get ECONNRESET, bytes on their way are gone

  size_t open() const;       // made here and not closed
  bool Known(int fd) const;  // made here and not closed
  bool Readable(int fd) const;
  bool Writable(int fd) const;
  bool WasReset(int fd) const { return node(fd).reset; }
  bool SeesEnd(int fd) const;  // nothing is left to read, nor will be

 private:
  enum class Kind : uint8_t { kSocket, kListener, kEvent };
  struct Node {
    Kind kind = Kind::kSocket;
    bool open = true;
    bool connected = false;
    bool ended = false;  // the peer is gone
    bool reset = false;
    bool signalled = false;
    int peer = -1;
    std::string inbox;
    std::deque<int> backlog;
  };
  Node& node(int fd) { return nodes_[static_cast<size_t>(fd - kFirstFd)]; }
  const Node& node(int fd) const { return nodes_[static_cast<size_t>(fd - kFirstFd)]; }
  int NewNode(Kind kind);

  size_t pipe_bytes_;
  std::vector<Node> nodes_;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_SIM_NETWORK_H_

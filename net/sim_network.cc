#include "net/sim_network.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ombus::net {

int SimNetwork::NewNode(Kind kind) {
  nodes_.emplace_back().kind = kind;
  return kFirstFd + static_cast<int>(nodes_.size()) - 1;
}

int SimNetwork::NewListener() { return NewNode(Kind::kListener); }
int SimNetwork::NewSocket() { return NewNode(Kind::kSocket); }
int SimNetwork::NewEvent() { return NewNode(Kind::kEvent); }

std::pair<int, int> SimNetwork::NewPair() {
  const int one = NewSocket();
  const int two = NewSocket();
  node(one).peer = two;
  node(two).peer = one;
  node(one).connected = node(two).connected = true;
  return {one, two};
}

bool SimNetwork::Known(int fd) const {
  return fd >= kFirstFd && static_cast<size_t>(fd - kFirstFd) < nodes_.size() && node(fd).open;
}

size_t SimNetwork::open() const {
  return static_cast<size_t>(
      std::count_if(nodes_.begin(), nodes_.end(), [](const Node& node) { return node.open; }));
}

sockaddr_storage SimNetwork::Address(uint16_t port) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  v4->sin_family = AF_INET;
  v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  v4->sin_port = htons(port);
  return storage;
}

sockaddr_storage SimNetwork::AddressOf(int listener) const {
  return Address(static_cast<uint16_t>(listener - kFirstFd + 1));
}

int SimNetwork::Connect(int fd, const sockaddr_storage& address) {
  const int listener = kFirstFd + ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port) - 1;
  if (node(fd).connected) return -EISCONN;
  if (!Known(listener) || node(listener).kind != Kind::kListener) return -ECONNREFUSED;
  const int server = NewSocket();
  node(server).peer = fd;
  node(fd).peer = server;
  node(server).connected = node(fd).connected = true;
  node(listener).backlog.push_back(server);
  return 0;
}

int SimNetwork::Accept(int listener) {
  std::deque<int>& backlog = node(listener).backlog;
  if (backlog.empty()) return -EAGAIN;
  const int fd = backlog.front();
  backlog.pop_front();
  return fd;
}

int SimNetwork::Write(int fd, std::span<const std::byte> bytes) {
  const Node& self = node(fd);
  if (!self.connected) return -ENOTCONN;
  if (self.reset || !node(self.peer).open) return -EPIPE;
  std::string& inbox = node(self.peer).inbox;
  const size_t size = std::min(bytes.size(), pipe_bytes_ - inbox.size());
  if (size == 0 && !bytes.empty()) return -EAGAIN;
  inbox.append(reinterpret_cast<const char*>(bytes.data()), size);
  return static_cast<int>(size);
}

int SimNetwork::Read(int fd, std::span<std::byte> into) {
  Node& self = node(fd);
  if (!self.connected) return -ENOTCONN;
  if (self.reset) return -ECONNRESET;
  if (self.inbox.empty()) return self.ended ? 0 : -EAGAIN;
  const size_t size = std::min(into.size(), self.inbox.size());
  std::memcpy(into.data(), self.inbox.data(), size);
  self.inbox.erase(0, size);
  return static_cast<int>(size);
}

void SimNetwork::FinishSending(int fd) {
  const Node& self = node(fd);
  if (self.connected) node(self.peer).ended = true;
}

bool SimNetwork::AllRead(int fd) const {
  const Node& self = node(fd);
  return !self.connected || self.reset || node(self.peer).inbox.empty();
}

void SimNetwork::Close(int fd) {
  if (!Known(fd)) return;
  if (!node(fd).inbox.empty()) Reset(fd);
  Node& self = node(fd);
  self.open = false;
  if (self.connected) node(self.peer).ended = true;
  for (const int waiting : std::exchange(self.backlog, {})) Reset(waiting);
}

void SimNetwork::Reset(int fd) {
  Node& self = node(fd);
  if (!self.connected) return;
  for (Node* end : {&self, &node(self.peer)}) {
    end->inbox.clear();
    end->reset = end->ended = true;
  }
}

bool SimNetwork::Readable(int fd) const {
  const Node& self = node(fd);
  if (self.kind == Kind::kListener) return !self.backlog.empty();
  if (self.kind == Kind::kEvent) return self.signalled;
  return !self.inbox.empty() || self.ended || !self.connected;
}

bool SimNetwork::Writable(int fd) const {
  const Node& self = node(fd);
  if (!self.connected || self.ended) return true;
  return node(self.peer).inbox.size() < pipe_bytes_;
}

bool SimNetwork::SeesEnd(int fd) const { return node(fd).ended && node(fd).inbox.empty(); }

}  // namespace ombus::net

#include "tools/latency_clients.h"

#include <sys/socket.h>

#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "net/frame.h"
#include "tools/cpu.h"

namespace ombus::tools {

Result<net::UniqueFd> ConnectLoopback(uint16_t port) {
  const sockaddr_storage address = *net::ParseAddress("127.0.0.1", port);
  net::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.ok() || connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                              net::AddressBytes(address)) != 0) {
    return ErrnoStatus("connect", "127.0.0.1:" + std::to_string(port), errno,
                       "raise ulimit -n, or give fewer clients");
  }
  return socket;
}

Status LatencyClients::Connect(uint16_t port, uint32_t clients) {
  for (uint32_t i = 0; i < clients; ++i) {
    Result<net::UniqueFd> socket = ConnectLoopback(port);
    if (!socket.ok()) return socket.status();
    Client& client = clients_.emplace_back();
    client.socket = std::move(*socket);
    client.buffer.resize(kBufferBytes);
  }
  return {};
}

Result<uint64_t> LatencyClients::ReadAll() {
  uint64_t records = 0;
  for (Client& client : clients_) {
    const ssize_t n = recv(client.socket.get(), client.buffer.data() + client.filled,
                           client.buffer.size() - client.filled, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) return Error("a server hung up");
    client.filled += static_cast<size_t>(n);
    if (Status taken = Take(&client, NowNs(), &records); !taken.ok()) return taken;
  }
  return records;
}

Status LatencyClients::Error(const std::string& what) const {
  return {StatusCode::kUnavailable, "bench \"" + std::string(mode_) + "\": " + what};
}

Status LatencyClients::Take(Client* client, uint64_t now_ns, uint64_t* records) {
  std::span<const std::byte> left(client->buffer.data(), client->filled);
  net::Frame frame;
  net::ParseResult result;
  while ((result = net::ParseFrame(left, &frame)) == net::ParseResult::kFrame) {
    net::SlowWarningFrame warning;
    if (net::ParseSlowWarning(frame, &warning)) {
      return Error("a client that reads was too slow; lower --rate, or raise --log-bytes");
    }
    if (frame.size != size_ || frame.wal_seq != client->wal_seq + 1 ||
        net::LoadWord(frame.payload + size_ - 8) != BenchWord(frame.wal_seq)) {
      break;
    }
    ++client->wal_seq;
    const uint64_t due_ns = net::LoadWord(frame.payload);
    if (due_ns != 0) times_.Record(now_ns > due_ns ? now_ns - due_ns : 0);
    ++*records;
    left = left.subspan(frame.bytes());
  }
  if (result != net::ParseResult::kPartial) {
    return Error("a wrong frame after sequence " + std::to_string(client->wal_seq) +
                 "; please report this");
  }
  std::memmove(client->buffer.data(), left.data(), left.size());
  client->filled = left.size();
  return {};
}

}  // namespace ombus::tools

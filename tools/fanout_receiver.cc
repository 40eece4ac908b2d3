#include "tools/fanout_receiver.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "net/frame.h"
#include "tools/bench_content.h"
#include "tools/errno_status.h"
#include "tools/latency_clients.h"

namespace ombus::tools {
namespace {

constexpr size_t kReadBytes = 256u << 10;

}  // namespace

FanoutReceiver::FanoutReceiver(uint32_t payload_bytes, uint32_t wrap_frames, bool check_all)
    : payload_bytes_(payload_bytes),
      wrap_frames_(wrap_frames),
      check_all_(check_all),
      buffer_(kReadBytes) {}

Status FanoutReceiver::Connect(uint16_t port, uint32_t clients, bool hello) {
  for (uint32_t i = 0; i < clients; ++i) {
    Result<net::UniqueFd> socket = ConnectLoopback(port);
    if (!socket.ok()) return socket.status();
    if (hello) {
      if (Status said = Hello(*socket); !said.ok()) return said;
    }
    clients_.push_back({std::move(*socket), 0, hello ? net::FrameBytes(net::kWelcomeBytes) : 0});
  }
  return {};
}

Status FanoutReceiver::ConnectIdle(uint16_t port, uint32_t clients) {
  for (uint32_t i = 0; i < clients; ++i) {
    Result<net::UniqueFd> socket = ConnectLoopback(port);
    if (!socket.ok()) return socket.status();
    idle_.push_back(std::move(*socket));
  }
  return {};
}

Status FanoutReceiver::Hello(const net::UniqueFd& socket) {
  std::vector<std::byte> hello;
  net::AppendHello(&hello, {});
  if (send(socket.get(), hello.data(), hello.size(), MSG_NOSIGNAL) ==
      static_cast<ssize_t>(hello.size())) {
    return {};
  }
  return ErrnoStatus("send", "server", errno, "see what became of the sender");
}

Result<uint64_t> FanoutReceiver::ReadAll() {
  uint64_t total = 0;
  for (Client& client : clients_) {
    const ssize_t n = recv(client.socket.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) continue;
    if (n < 0) return ErrnoStatus("recv", "server", errno, "see what became of the sender");
    if (n == 0) return Status(StatusCode::kUnavailable, "bench \"fanout\": a server hung up");
    std::span<const std::byte> bytes(buffer_.data(), static_cast<size_t>(n));
    const size_t welcome = std::min(bytes.size(), client.welcome_left);
    client.welcome_left -= welcome;
    bytes = bytes.subspan(welcome);
    if (!Right(bytes, client.bytes)) {
      return Status(StatusCode::kCorrupt, "bench \"fanout\": a wrong frame in the " +
                                              std::to_string(bytes.size()) + " bytes after byte " +
                                              std::to_string(client.bytes) +
                                              " of a stream; please report this");
    }
    client.bytes += bytes.size();
    total += bytes.size();
  }
  return total;
}

bool FanoutReceiver::Right(std::span<const std::byte> bytes, uint64_t position) {
  const size_t frame_bytes = net::FrameBytes(payload_bytes_);
  const uint64_t first = (position + frame_bytes - 1) / frame_bytes;
  const uint64_t end = (position + bytes.size()) / frame_bytes;  // of the whole frames in it
  if (first >= end) return true;
  const uint64_t step = check_all_ ? 1 : std::max<uint64_t>(1, end - 1 - first);
  for (uint64_t number = first; number < end; number += step) {
    if (!FrameRight(bytes.data() + (number * frame_bytes - position), number)) return false;
  }
  return true;
}

bool FanoutReceiver::FrameRight(const std::byte* frame, uint64_t number) const {
  const uint64_t wal_seq = (wrap_frames_ == 0 ? number : number % wrap_frames_) + 1;
  const uint64_t word = BenchWord(wal_seq);
  return net::LoadWord(frame) == net::FrameWord(1, 0, static_cast<uint16_t>(payload_bytes_)) &&
         net::LoadWord(frame + 8) == wal_seq && net::LoadWord(frame + kFrameHeaderBytes) == word &&
         net::LoadWord(frame + kFrameHeaderBytes + payload_bytes_ - 8) == word;
}

}  // namespace ombus::tools

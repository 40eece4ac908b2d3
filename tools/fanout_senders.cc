#include "tools/fanout_senders.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "net/frame.h"
#include "net/socket.h"
#include "ombus/server.h"
#include "tools/bench_content.h"
#include "tools/cpu.h"

namespace ombus::tools {
namespace {

constexpr int kPollMs = 100;  // between two looks at the deadline
constexpr size_t kClassicBufferBytes = 256u << 10;

Status Late() {
  return {StatusCode::kUnavailable,
          "bench \"fanout\": ETIMEDOUT; the receivers do not keep up; raise --timeout-s"};
}

auto PortTo(std::atomic<uint32_t>* port) {
  return [port](uint16_t number) { port->store(number, std::memory_order_release); };
}

class BareSender final : public FanoutSender {
 public:
  // again: each window is encoded, not the first alone.
  explicit BareSender(bool again) : again_(again) {}

  Status Open(const FanoutSetting& setting, std::atomic<uint32_t>* port) override {
    setting_ = setting;
    writer_ = std::make_unique<BenchWriter>(setting.payload_bytes);
    window_bytes_ = net::FrameBytes(setting.payload_bytes) * setting.window_frames;
    memory_.resize(again_ ? std::max(setting.log_bytes, window_bytes_) : window_bytes_);
    if (!again_) (void)EncodeWindow();
    auto sockets = AcceptClients(setting.clients, setting.deadline_ns, PortTo(port));
    if (!sockets.ok()) return sockets.status();
    sockets_ = std::move(*sockets);
    return {};
  }
  Status SendWindow() override {
    const std::byte* const window = again_ ? EncodeWindow() : memory_.data();
    for (const net::UniqueFd& socket : sockets_) {
      size_t sent = 0;
      while (true) {
        ++system_calls_;
        const ssize_t n =
            send(socket.get(), window + sent, window_bytes_ - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += static_cast<size_t>(n);
        if (sent == window_bytes_) break;
        if (n < 0 && errno != EAGAIN) {
          return ErrnoStatus("send", "client", errno, "see what became of the receivers");
        }
        if (Status waited = WaitForRoom(socket.get()); !waited.ok()) return waited;
      }
    }
    return {};
  }
  Status Flush() override { return {}; }
  uint64_t system_calls() const override { return system_calls_; }

 private:
  // Behind the last one, or from the front where that would not fit.
  const std::byte* EncodeWindow() {
    if (memory_.size() - filled_ < window_bytes_) filled_ = 0;
    std::byte* const window = memory_.data() + filled_;
    const size_t frame = window_bytes_ / setting_.window_frames;
    for (size_t i = 0; i < setting_.window_frames; ++i) {
      net::EncodeFrame(window + i * frame, writer_->Next());
    }
    filled_ += window_bytes_;
    return window;
  }
  Status WaitForRoom(int fd) {
    ++system_calls_;
    pollfd full{fd, POLLOUT, 0};
    return poll(&full, 1, kPollMs) == 0 && NowNs() > setting_.deadline_ns ? Late() : Status();
  }

  const bool again_;
  FanoutSetting setting_;
  std::unique_ptr<BenchWriter> writer_;
  std::vector<std::byte> memory_;
  uint64_t window_bytes_ = 0, filled_ = 0;
  std::vector<net::UniqueFd> sockets_;
  uint64_t system_calls_ = 0;
};

// As servers without a shared log do it.
class ClassicSender final : public FanoutSender {
 public:
  Status Open(const FanoutSetting& setting, std::atomic<uint32_t>* port) override {
    setting_ = setting;
    writer_ = std::make_unique<BenchWriter>(setting.payload_bytes);
    frame_.resize(net::FrameBytes(setting.payload_bytes));
    auto sockets = AcceptClients(setting.clients, setting.deadline_ns, PortTo(port));
    if (!sockets.ok()) return sockets.status();
    for (net::UniqueFd& socket : *sockets) {
      clients_.push_back({std::move(socket), std::vector<std::byte>(kClassicBufferBytes)});
      polled_.push_back({clients_.back().socket.get(), POLLOUT, 0});
    }
    return {};
  }
  Status SendWindow() override {
    for (uint32_t i = 0; i < setting_.window_frames; ++i) {
      net::EncodeFrame(frame_.data(), writer_->Next());
      for (Client& client : clients_) {
        while (kClassicBufferBytes - client.filled < frame_.size()) {
          if (Status sent = PollAndSend(kPollMs); !sent.ok()) return sent;
        }
        std::memcpy(client.buffer.data() + client.filled, frame_.data(), frame_.size());
        client.filled += frame_.size();
      }
    }
    return PollAndSend(0);
  }
  Status Flush() override {
    while (std::any_of(clients_.begin(), clients_.end(),
                       [](const Client& client) { return client.filled != 0; })) {
      if (Status sent = PollAndSend(kPollMs); !sent.ok()) return sent;
    }
    return {};
  }
  uint64_t system_calls() const override { return system_calls_; }

 private:
  struct Client {
    net::UniqueFd socket;
    std::vector<std::byte> buffer;
    size_t filled = 0, sent = 0;
  };

  Status PollAndSend(int wait_ms) {
    for (size_t i = 0; i < clients_.size(); ++i) {
      polled_[i].events = clients_[i].filled != 0 ? POLLOUT : 0;
    }
    ++system_calls_;
    const int ready = poll(polled_.data(), polled_.size(), wait_ms);
    if (ready == 0 && wait_ms != 0 && NowNs() > setting_.deadline_ns) return Late();
    for (size_t i = 0; i < clients_.size(); ++i) {
      if ((polled_[i].revents & POLLOUT) == 0) continue;
      if (Status sent = SendTo(&clients_[i]); !sent.ok()) return sent;
    }
    return {};
  }
  Status SendTo(Client* client) {
    ++system_calls_;
    const ssize_t n = send(client->socket.get(), client->buffer.data() + client->sent,
                           client->filled - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
      return ErrnoStatus("send", "client", errno, "see what became of the receivers");
    }
    if (n > 0) client->sent += static_cast<size_t>(n);
    if (client->sent == client->filled) client->sent = client->filled = 0;
    if (client->sent > kClassicBufferBytes / 2) {
      client->filled -= client->sent;
      std::memmove(client->buffer.data(), client->buffer.data() + client->sent, client->filled);
      client->sent = 0;
    }
    return {};
  }

  FanoutSetting setting_;
  std::unique_ptr<BenchWriter> writer_;
  std::vector<std::byte> frame_;
  std::vector<Client> clients_;
  std::vector<pollfd> polled_;
  uint64_t system_calls_ = 0;
};

class OmbusSender final : public FanoutSender {
 public:
  explicit OmbusSender(BackendChoice backend) : backend_(backend) {}

  Status Open(const FanoutSetting& setting, std::atomic<uint32_t>* port) override {
    setting_ = setting;
    writer_ = std::make_unique<BenchWriter>(setting.payload_bytes);
    const uint64_t all = uint64_t{setting.clients} + setting.idle_clients;
    ServerOptions options;
    options.max_clients = static_cast<uint32_t>(all);
    options.require_hello = setting.idle_clients != 0;
    options.hello_timeout_ms = ~0u;
    options.slow_client_policy = SlowClientPolicy::kWait;  // nothing may be lost
    options.slow_wait_ms = 60'000;
    options.log_bytes = setting.log_bytes;
    options.io = setting.io;
    options.send_buffer_bytes = setting.send_buffer_bytes;
    options.backend = backend_;
    auto server = Server::Create(options);
    if (!server.ok()) return server.status();
    server_ = std::move(*server);
    port->store(server_->port(), std::memory_order_release);
    while (server_->client_count() < setting.clients || server_->stats().clients_accepted < all) {
      if (Status polled = server_->PollIo(1'000'000); !polled.ok()) return polled;
      if (NowNs() > setting_.deadline_ns) return Late();
    }
    return {};
  }
  Status SendWindow() override {
    for (uint32_t left = setting_.window_frames; left != 0;) {
      const std::span<Record> batch =
          std::span(batch_).first(std::min(left, BenchWriter::kBatchMax));
      for (Record& record : batch) record = writer_->Next();
      if (Status sent = Broadcast(batch); !sent.ok()) return sent;
      left -= static_cast<uint32_t>(batch.size());
    }
    return server_->PollIo(0);
  }
  Status Flush() override {
    const uint64_t now_ns = NowNs();
    if (now_ns >= setting_.deadline_ns || !server_->Flush(setting_.deadline_ns - now_ns)) {
      return Late();
    }
    return {};
  }
  uint64_t system_calls() const override { return server_->stats().enters; }

 private:
  Status Broadcast(std::span<const Record> records) {
    BroadcastResult end;
    while (true) {
      records = records.subspan(server_->BroadcastBatch(records, &end));
      if (end == BroadcastResult::kOk) return {};
      if (Status polled = server_->PollIo(100'000); !polled.ok()) return polled;
      if (NowNs() > setting_.deadline_ns) return Late();
    }
  }

  const BackendChoice backend_;
  FanoutSetting setting_;
  std::unique_ptr<BenchWriter> writer_;
  std::array<Record, BenchWriter::kBatchMax> batch_;
  std::unique_ptr<Server> server_;
};

}  // namespace

Result<std::vector<net::UniqueFd>> AcceptClients(uint32_t clients, uint64_t deadline_ns,
                                                 const std::function<void(uint16_t)>& on_port) {
  Result<net::UniqueFd> listener = net::Listen("127.0.0.1", 0, 1024);
  if (!listener.ok()) return listener.status();
  on_port(net::LocalPort(listener->get()));
  std::vector<net::UniqueFd> sockets;
  while (sockets.size() < clients) {
    pollfd ready{listener->get(), POLLIN, 0};
    if (poll(&ready, 1, kPollMs) == 0 && NowNs() > deadline_ns) return Late();
    net::UniqueFd fd(accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.ok() && (errno == EAGAIN || errno == ECONNABORTED)) continue;
    if (!fd.ok()) {
      return ErrnoStatus("accept4", "127.0.0.1", errno, "raise ulimit -n, or give fewer clients");
    }
    net::SetNoDelay(fd.get());
    sockets.push_back(std::move(fd));
  }
  return sockets;
}

std::unique_ptr<FanoutSender> NewBareSender() { return std::make_unique<BareSender>(false); }
std::unique_ptr<FanoutSender> NewEncodedSender() { return std::make_unique<BareSender>(true); }
std::unique_ptr<FanoutSender> NewClassicSender() { return std::make_unique<ClassicSender>(); }
std::unique_ptr<FanoutSender> NewOmbusSender(BackendChoice backend) {
  return std::make_unique<OmbusSender>(backend);
}

}  // namespace ombus::tools

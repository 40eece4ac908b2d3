// SimWorld: the simulator with the members of RealWorld, for conformance tests.
#ifndef OMBUS_TESTS_NET_SIM_WORLD_H_
#define OMBUS_TESTS_NET_SIM_WORLD_H_

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "net/sim_backend.h"
#include "net/sim_network.h"

namespace ombus::net {

class SimPeer {
 public:
  SimPeer(SimNetwork* network, int fd) : network_(network), fd_(fd) {}
  ~SimPeer() { network_->Close(fd_); }
  SimPeer(const SimPeer&) = delete;
  SimPeer& operator=(const SimPeer&) = delete;

  void Write(const std::string& bytes) {
    ASSERT_EQ(network_->Write(fd_, std::as_bytes(std::span(bytes))),
              static_cast<int>(bytes.size()));
  }
  std::string Read(size_t most) {
    std::string bytes(most, '\0');
    const int got = network_->Read(fd_, std::as_writable_bytes(std::span(bytes)));
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }
  bool SeesEnd() { return network_->SeesEnd(fd_); }
  void Finish() { network_->Close(fd_); }
  void Reset() { network_->Reset(fd_); }
  int fd() const { return fd_; }

 private:
  SimNetwork* network_;
  int fd_;
};

class SimWorld {
 public:
  using Backend = SimBackend;
  using Peer = SimPeer;
  static constexpr bool kSimulated = true;

  static std::unique_ptr<SimWorld> Make(const BackendOptions& options, std::string*) {
    return std::make_unique<SimWorld>(SimOptions{.seed = 1, .faults = {}, .backend = options});
  }
  explicit SimWorld(const SimOptions& options)
      : backend_(std::make_unique<SimBackend>(&network_, options)) {}

  SimNetwork& network() { return network_; }
  SimBackend& backend() { return *backend_; }
  void DestroyBackend() { backend_.reset(); }

  int NewListener() { return network_.NewListener(); }
  sockaddr_storage AddressOf(int listener) { return network_.AddressOf(listener); }
  sockaddr_storage DeadAddress() { return SimNetwork::Address(65535); }
  int NewSocket() { return network_.NewSocket(); }
  void CloseRaw(int fd) { network_.Close(fd); }
  std::unique_ptr<Peer> ConnectPeer(int listener) {
    const int fd = network_.NewSocket();
    EXPECT_EQ(network_.Connect(fd, network_.AddressOf(listener)), 0);
    return std::make_unique<Peer>(&network_, fd);
  }
  std::pair<int, std::unique_ptr<Peer>> NewPair() {
    const auto [ours, theirs] = network_.NewPair();
    return {ours, std::make_unique<Peer>(&network_, theirs)};
  }
  int NewEvent() { return network_.NewEvent(); }
  void SignalEvent(int event) { network_.SignalEvent(event); }
  void ClearEvent(int event) { network_.ClearEvent(event); }

 private:
  SimNetwork network_;  // outlives the back end
  std::unique_ptr<SimBackend> backend_;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_SIM_WORLD_H_

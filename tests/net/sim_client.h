// SimClientFixture: a client over the simulator, connected to a server that the test plays by hand.
#ifndef OMBUS_TESTS_NET_SIM_CLIENT_H_
#define OMBUS_TESTS_NET_SIM_CLIENT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "net/basic_client.h"
#include "net/frame.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"

namespace ombus::net {

// BackendT: SimBackend or one derived from it.
template <typename BackendT>
class SimClientFixture : public ::testing::Test {
 protected:
  using Addresses = Result<std::vector<sockaddr_storage>>;

  void Make(ClientOptions options, std::function<Addresses()> look_up = {}) {
    if (!look_up) look_up = [this] { return Addresses({network_.AddressOf(listener_)}); };
    options.host = "feed";
    options.port = 7;
    auto backend = std::make_unique<BackendT>(&network_, SimOptions{});
    backend_ = backend.get();
    client_ = std::make_unique<BasicClient<BackendT>>(
        std::move(backend), std::vector{network_.AddressOf(listener_)}, options,
        ClientNetwork{.look_up = std::move(look_up), .new_socket = [this](const sockaddr_storage&) {
                        return Result<UniqueFd>(UniqueFd(network_.NewSocket()));
                      }});
    ASSERT_TRUE(client_->ConnectFirst().ok());
    server_ = network_.Accept(listener_);
    ASSERT_GE(server_, 0);
  }
  // By the server.
  void Write(std::span<const std::byte> bytes) {
    ASSERT_EQ(network_.Write(server_, bytes), static_cast<int>(bytes.size()));
  }
  static void AppendRecord(std::vector<std::byte>* to, uint64_t wal_seq) {
    const size_t at = to->size();
    to->resize(at + FrameBytes(8));
    EncodeFrame(to->data() + at, {.wal_seq = wal_seq, .payload = &wal_seq, .size = 8, .type = 1});
  }

  SimNetwork network_;
  int listener_ = network_.NewListener();
  int server_ = -1;
  BackendT* backend_ = nullptr;
  std::unique_ptr<BasicClient<BackendT>> client_;
};

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_SIM_CLIENT_H_

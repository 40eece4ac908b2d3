// ServerTest: a server over either back end and what its tests do with it, under a name of each
// suite's own.
#ifndef OMBUS_TESTS_NET_SERVER_FIXTURE_H_
#define OMBUS_TESTS_NET_SERVER_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/backend_select.h"
#include "net/frame.h"
#include "ombus/server.h"
#include "tests/net/raw_peer.h"

namespace ombus::net {

class ServerFixture : public ::testing::TestWithParam<BackendChoice> {
 protected:
  void SetUp() override {
    std::string why;
    if (const auto kind = ChooseBackend(GetParam(), &why); !kind.ok()) {
      GTEST_SKIP() << kind.status().message();
    }
  }

  void Start(ServerOptions options = {}) {
    options.backend = GetParam();
    auto made = Server::Create(options);
    ASSERT_TRUE(made.ok()) << made.status().message();
    server_ = std::move(*made);
  }

  // Turns until `done`; a test that never gets there runs into the harness' timeout.
  void TurnUntil(const std::function<bool()>& done) {
    while (!done()) ASSERT_TRUE(server_->PollIo(1'000'000).ok());
  }
  void WaitForClients(uint32_t count) {
    TurnUntil([&] { return server_->client_count() == count; });
  }

  BroadcastResult Send(uint64_t wal_seq, size_t size = 64, uint8_t type = 7) {
    std::vector<uint8_t> payload(size, static_cast<uint8_t>(wal_seq));
    return server_->Broadcast({.wal_seq = wal_seq,
                               .payload = payload.data(),
                               .size = static_cast<uint16_t>(size),
                               .type = type});
  }
  void ReadUntil(RawPeer* peer, const std::function<bool()>& done) {
    TurnUntil([&] {
      peer->Drain();
      return done();
    });
  }
  std::string Events() {
    std::string all;
    for (const ServerEvent& event : server_->TakeEvents()) all += event.text + "\n";
    return all;
  }

  std::unique_ptr<Server> server_;
};

inline std::vector<std::byte> HelloBytes(uint64_t resume_from = 0,
                                         uint16_t version = kWireVersion) {
  std::vector<std::byte> bytes;
  AppendHello(&bytes, {version, resume_from});
  return bytes;
}

inline std::string BackendTestName(const ::testing::TestParamInfo<BackendChoice>& info) {
  return info.param == BackendChoice::kEpoll ? "Epoll" : "Uring";
}

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_SERVER_FIXTURE_H_

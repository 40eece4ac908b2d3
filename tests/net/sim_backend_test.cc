// The simulator's own promises: faults that a correct owner survives, and the same run again from
// the same seed.
#include "net/sim_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "tests/net/sim_world.h"

namespace ombus::net {
namespace {

constexpr SimFaults kAllButReset = {.short_send = 300,
                                    .send_again = 200,
                                    .delay = 200,
                                    .accept_error = 100,
                                    .end_multishot = 200,
                                    .no_buffers = 100};

// A small server as an owner has to write it: accepts, sends each client the same text, follows
// the rules for -EAGAIN, short counts and requests that end.
class TextServer {
 public:
  TextServer(SimWorld* world, std::string text) : world_(world), text_(std::move(text)) {
    listener_ = world->NewListener();
    listener_id_ = *backend().Adopt(listener_);
    backend().Accept(listener_id_, 0);
  }

  int listener() const { return listener_; }
  void OnCompletion(const Completion& completion) {
    if (completion.op == Op::kAccept) return OnAccept(completion);
    Client& client = clients_[completion.token];
    switch (completion.op) {
      case Op::kReceive:
        client.heard.append(reinterpret_cast<const char*>(completion.data.data()),
                            completion.data.size());
        if (!completion.more && (completion.result > 0 || completion.result == -ENOBUFS)) {
          backend().Receive(client.id, completion.token);
        } else if (completion.result <= 0) {
          ++ended_;
        }
        return;
      case Op::kSend:
        if (completion.result == -EAGAIN) return backend().PollOut(client.id, completion.token);
        if (completion.result < 0) return;
        client.sent += static_cast<size_t>(completion.result);
        return SendRest(completion.token);
      case Op::kPollOut:
        return SendRest(completion.token);
      default:
        return;
    }
  }
  const std::string& heard(size_t client) const { return clients_[client].heard; }
  size_t clients() const { return clients_.size(); }
  size_t ended() const { return ended_; }
  int accept_errors() const { return accept_errors_; }

 private:
  struct Client {
    SocketId id;
    size_t sent = 0;
    std::string heard;
  };

  SimBackend& backend() { return world_->backend(); }
  void OnAccept(const Completion& completion) {
    if (completion.result >= 0) {
      clients_.push_back({.id = *backend().Adopt(completion.result), .sent = 0, .heard = {}});
      backend().Receive(clients_.back().id, clients_.size() - 1);
      SendRest(clients_.size() - 1);
    } else {
      ++accept_errors_;
    }
    if (!completion.more) backend().Accept(listener_id_, 0);
  }
  void SendRest(uint64_t token) {
    const Client& client = clients_[token];
    const std::span<const char> rest = std::span(text_).subspan(client.sent);
    if (!rest.empty()) backend().Send(client.id, std::as_bytes(rest), token);
  }

  SimWorld* world_;
  std::string text_;
  int listener_;
  SocketId listener_id_;
  std::vector<Client> clients_;
  size_t ended_ = 0;
  int accept_errors_ = 0;
};

struct Outcome {
  uint64_t trace_hash, now_ns;
  std::vector<std::string> heard_by_peers;
  size_t ended;
  int accept_errors;
};

Outcome RunTextServer(uint64_t seed, const SimFaults& faults, const std::string& text) {
  SimWorld world({.seed = seed,
                  .faults = faults,
                  .shuffle = true,
                  .backend = {.receive_buffers = 4, .receive_buffer_bytes = 64}});
  TextServer server(&world, text);
  std::vector<std::unique_ptr<SimPeer>> peers;
  std::vector<std::string> heard(8);
  for (size_t i = 0; i < heard.size(); ++i) {
    peers.push_back(world.ConnectPeer(server.listener()));
    peers.back()->Write(std::string(500, static_cast<char>('a' + i)));
  }
  const auto done = [&] {
    return std::all_of(heard.begin(), heard.end(),
                       [&](const std::string& one) { return one.size() == text.size(); });
  };
  for (int turn = 0; turn < 5000 && !done(); ++turn) {
    EXPECT_TRUE(world.backend().Turn(server, 1'000'000).ok());
    for (size_t i = 0; i < peers.size(); ++i) heard[i] += peers[i]->Read(40'000);
  }
  for (auto& peer : peers) peer->Finish();
  for (int turn = 0; turn < 5000 && server.ended() < server.clients(); ++turn) {
    EXPECT_TRUE(world.backend().Turn(server, 1'000'000).ok());
  }
  return {world.backend().trace_hash(), world.backend().NowNs(), heard, server.ended(),
          server.accept_errors()};
}

std::string LongText() {
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST(SimBackend, ACorrectOwnerLosesNothingUnderAnyFaultShortOfAReset) {
  const std::string text = LongText();
  int accept_errors = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = RunTextServer(seed, kAllButReset, text);
    for (const std::string& heard : outcome.heard_by_peers) ASSERT_TRUE(heard == text) << seed;
    EXPECT_EQ(outcome.ended, 8u);
    accept_errors += outcome.accept_errors;
  }
  EXPECT_GT(accept_errors, 0);
}

TEST(SimBackend, ResetsEndClientsAndNobodyHearsWrongBytes) {
  const std::string text = LongText();
  SimFaults faults = kAllButReset;
  faults.reset = 30;
  const Outcome outcome = RunTextServer(7, faults, text);
  EXPECT_EQ(outcome.ended, 8u);
  size_t cut = 0;
  for (const std::string& heard : outcome.heard_by_peers) {
    EXPECT_EQ(text.compare(0, heard.size(), heard), 0);
    cut += heard.size() < text.size() ? 1 : 0;
  }
  EXPECT_GT(cut, 0u);
}

TEST(SimBackend, TheSameSeedGivesTheSameRunAndAnotherSeedAnotherOne) {
  const std::string text = LongText();
  const Outcome first = RunTextServer(42, kAllButReset, text);
  const Outcome again = RunTextServer(42, kAllButReset, text);
  const Outcome other = RunTextServer(43, kAllButReset, text);
  EXPECT_EQ(first.trace_hash, again.trace_hash);
  EXPECT_EQ(first.now_ns, again.now_ns);
  EXPECT_NE(first.trace_hash, other.trace_hash);
}

TEST(SimBackend, WaitingPassesVirtualTimeOnly) {
  SimWorld world(SimOptions{});
  NullSink sink;
  const uint64_t start = world.backend().NowNs();
  ASSERT_TRUE(world.backend().Turn(sink, 3'600'000'000'000).ok());
  EXPECT_GE(world.backend().NowNs() - start, 3'600'000'000'000u);
  ASSERT_TRUE(world.backend().Turn(sink, kForeverNs).ok());  // nothing can come: it returns
}

TEST(SimBackend, ADescriptorOfTheKernelIsRefused) {
  SimWorld world(SimOptions{});
  EXPECT_EQ(world.backend().Adopt(0).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ombus::net

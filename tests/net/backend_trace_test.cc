// The same scripts over every back end leave the same traces: of each connection what the contract
// in net/backend.h promises, in its order: accepted, the bytes received, what was sent in all, how
// it ended, closed. When and in which pieces is each back end's own.
#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "net/epoll_backend.h"
#include "net/socket.h"
#include "ring/base/errno_name.h"
#include "tests/net/real_world.h"
#include "tests/net/sim_world.h"
#ifdef OMBUS_HAVE_IOURING
#include "net/uring_backend.h"
#endif

namespace ombus::net {
namespace {

struct Step {
  enum class Kind : uint8_t {
    kConnect,        // `size` peers at once, each of which writes its number
    kPeerWrites,     // so many bytes
    kSend,           // so many bytes, which the peer reads
    kPeerFinishes,   // it has read all it was sent
    kPeerResets,     // all that it wrote has been received
    kFinishSending,  // the peer sees the end, and may still write
    kClose
  };
  Kind kind;
  size_t connection, size;
};
using Script = std::vector<Step>;
using Trace = std::vector<std::string>;

// Nothing in it depends on time: no step begins before the one before it is over.
Script RandomScript(uint64_t seed) {
  using Kind = Step::Kind;
  std::mt19937_64 random(seed);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const auto some_bytes = [&] { return below(4) == 0 ? below(300'000) : 1 + below(2000); };
  struct Side {
    size_t name;
    bool finished = false;  // ours: nothing is sent any more
  };
  std::vector<Side> open;
  size_t made = 0;
  Script script;
  for (int i = 0; i < 40; ++i) {
    const size_t kind = below(12);
    if (kind < 2 || open.empty()) {
      const size_t count = 1 + below(3);
      script.push_back({Kind::kConnect, made, count});
      for (size_t n = 0; n < count; ++n) open.push_back({made++});
      continue;
    }
    const size_t at = below(open.size());
    Side& side = open[at];
    if (kind < 5) {
      script.push_back({Kind::kPeerWrites, side.name, some_bytes()});
    } else if (kind < 8) {
      if (!side.finished) script.push_back({Kind::kSend, side.name, some_bytes()});
    } else if (kind == 8) {
      if (!std::exchange(side.finished, true))
        script.push_back({Kind::kFinishSending, side.name, 0});
    } else {
      const Kind ends[] = {Kind::kPeerFinishes, Kind::kPeerResets, Kind::kClose};
      script.push_back({ends[kind - 9], side.name, 0});
      open.erase(open.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  return script;
}

std::string Pattern(size_t connection, size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + (connection + i * 7) % 26);
  return bytes;
}

// Plays a script over one world and writes down what each connection sees.
template <typename World>
class Player {
 public:
  explicit Player(std::unique_ptr<World> world)
      : world_(std::move(world)), listener_(world_->NewListener()) {
    Result<SocketId> id = backend().Adopt(listener_);
    EXPECT_TRUE(id.ok()) << id.status().message();
    listener_id_ = *id;
    backend().Accept(listener_id_, kListener);
  }

  Trace Play(const Script& script) {
    for (const Step& step : script) {
      Begin(step);
      if (!TurnUntil([&] { return Over(step); })) {
        ADD_FAILURE() << "step " << &step - script.data() << " is never over";
        break;
      }
    }
    Trace trace;
    for (const Connection& connection : connections_) {
      trace.push_back(connection.events);
      trace.push_back("received: " + connection.received);
      trace.push_back("its peer read: " + connection.peer_read);
    }
    return trace;
  }

  void OnCompletion(const Completion& done) {
    if (done.token == kListener) return OnAccepted(done);
    Connection& connection = connections_[done.token];
    EXPECT_FALSE(connection.closed) << "after the completion of Close";
    if (done.op == Op::kReceive) {
      OnReceived(done.token, done);
    } else if (done.op == Op::kSend) {
      OnSent(done.token, done.result);
    } else if (done.op == Op::kPollOut) {
      SendRest(done.token);
    } else if (done.op == Op::kClose) {
      connection.events += "closed, ";
      connection.closed = true;
    }
  }

 private:
  static constexpr uint64_t kListener = ~uint64_t{0};
  struct Connection {
    SocketId id = kNoSocket;
    std::string events, received, peer_read;
    std::string outbox;  // lives until it is sent
    size_t sent = 0, sent_in_all = 0;
    size_t written = 0;  // by its peer, so far
    bool ended = false, closing = false, closed = false;
  };

  typename World::Backend& backend() { return world_->backend(); }

  template <typename Condition>
  bool TurnUntil(Condition condition) {
    for (int i = 0; i < 20'000 && !condition(); ++i) {
      if (!backend().Turn(*this, 1'000'000).ok()) return false;
    }
    return condition();
  }

  void Begin(const Step& step) {
    using Kind = Step::Kind;
    Connection* connection = step.kind == Kind::kConnect ? nullptr : &connections_[step.connection];
    auto* peer = step.kind == Kind::kConnect ? nullptr : peers_[step.connection].get();
    switch (step.kind) {
      case Kind::kConnect:
        for (size_t n = 0; n < step.size; ++n) {
          peers_.push_back(world_->ConnectPeer(listener_));
          peers_.back()->Write("I am " + std::to_string(peers_.size()));
        }
        return;
      case Kind::kPeerWrites:
        to_write_ = Pattern(step.connection, step.size);
        connection->written = connection->received.size();
        return;
      case Kind::kSend:
        connection->outbox = Pattern(step.connection + 1, step.size);
        connection->sent = 0;
        connection->sent_in_all += step.size;
        return SendRest(step.connection);
      case Kind::kPeerFinishes:
        return peer->Finish();
      case Kind::kPeerResets:
        return peer->Reset();
      case Kind::kFinishSending:
        return backend().FinishSending(connection->id);
      case Kind::kClose:
        connection->closing = true;
        return backend().Close(connection->id, step.connection);
    }
  }

  bool Over(const Step& step) {
    using Kind = Step::Kind;
    if (step.kind == Kind::kConnect) {
      if (connections_.size() != peers_.size()) return false;
      for (size_t i = step.connection; i < connections_.size(); ++i) {
        const size_t said = ("I am " + std::to_string(i + 1)).size();
        if (connections_[i].received.size() < said) return false;
      }
      return true;
    }
    Connection& connection = connections_[step.connection];
    auto& peer = *peers_[step.connection];
    switch (step.kind) {
      case Kind::kPeerWrites: {
        // A piece at a time: a peer that blocks would wait for itself.
        if (connection.received.size() != connection.written) return false;
        const std::string piece = to_write_.substr(0, 4096);
        if (!piece.empty()) peer.Write(piece);
        connection.written += piece.size();
        to_write_.erase(0, piece.size());
        return piece.empty();
      }
      case Kind::kSend: {
        connection.peer_read += peer.Read(50'000);
        return connection.outbox.empty() && connection.peer_read.size() == connection.sent_in_all;
      }
      case Kind::kPeerFinishes:
      case Kind::kPeerResets:
        if (connection.ended && !std::exchange(connection.closing, true)) {
          backend().Close(connection.id, step.connection);
        }
        return connection.closed;
      case Kind::kFinishSending:
        return peer.SeesEnd();
      default:
        return connection.closed && peer.SeesEnd();
    }
  }

  void OnAccepted(const Completion& done) {
    ASSERT_GE(done.result, 0);
    Result<SocketId> id = backend().Adopt(done.result);
    ASSERT_TRUE(id.ok()) << id.status().message();
    connections_.emplace_back();
    connections_.back().id = *id;
    connections_.back().events = "accepted, ";
    backend().Receive(*id, connections_.size() - 1);
    if (!done.more) backend().Accept(listener_id_, kListener);
  }
  void OnReceived(uint64_t token, const Completion& done) {
    Connection& connection = connections_[token];
    if (done.result > 0) {
      connection.received.append(reinterpret_cast<const char*>(done.data.data()), done.data.size());
    } else if (done.result != -ENOBUFS) {
      EXPECT_FALSE(done.more);
      EXPECT_FALSE(connection.ended) << "a second end";
      connection.ended = true;
      connection.events += done.result == 0 ? "end of stream, " : ErrnoName(-done.result) + ", ";
      return;
    }
    if (!done.more && !connection.closing) backend().Receive(connection.id, token);
  }

  void SendRest(uint64_t token) {
    Connection& connection = connections_[token];
    const auto rest = std::as_bytes(std::span(connection.outbox)).subspan(connection.sent);
    if (!rest.empty()) backend().Send(connection.id, rest, token);
  }
  void OnSent(uint64_t token, int32_t result) {
    Connection& connection = connections_[token];
    if (result == -EAGAIN) return backend().PollOut(connection.id, token);
    if (result <= 0) {
      ADD_FAILURE() << "a send that nobody disturbed: " << ErrnoName(-result);
      return;
    }
    connection.sent += static_cast<size_t>(result);
    if (connection.sent < connection.outbox.size()) return SendRest(token);
    connection.events += "sent " + std::to_string(connection.sent) + ", ";
    connection.outbox.clear();
  }

  std::unique_ptr<World> world_;
  int listener_;
  SocketId listener_id_ = kNoSocket;
  std::string to_write_;
  std::deque<Connection> connections_;
  std::vector<std::unique_ptr<typename World::Peer>> peers_;
};

// Failures name the lines that differ, not all of the bytes.
testing::AssertionResult Same(const Trace& one, const Trace& other) {
  if (one.size() != other.size()) {
    return testing::AssertionFailure() << one.size() << " lines and " << other.size();
  }
  for (size_t i = 0; i < one.size(); ++i) {
    if (one[i] == other[i]) continue;
    return testing::AssertionFailure() << "line " << i << ": " << one[i].substr(0, 300) << "\n"
                                       << other[i].substr(0, 300);
  }
  return testing::AssertionSuccess();
}

template <typename World>
Trace TraceOf(const Script& script) {
  std::string refusal;
  auto world = World::Make({}, &refusal);
  if (world == nullptr) return {"not on this kernel: " + refusal};
  return Player<typename decltype(world)::element_type>(std::move(world)).Play(script);
}

// All that may happen to a connection without anybody's doing, and must not be seen.
Trace TraceOfFaultySimulator(const Script& script, uint64_t seed) {
  SimOptions sim;
  sim.seed = seed;
  sim.faults.short_send = 300;
  sim.faults.send_again = 200;
  sim.faults.delay = 100;
  sim.faults.end_multishot = 200;
  sim.faults.no_buffers = 100;
  sim.submit_max = 2;
  sim.complete_max = 2;
  return Player<SimWorld>(std::make_unique<SimWorld>(sim)).Play(script);
}

constexpr uint64_t kScripts = 12;

TEST(BackendTraceTest, IsTheSameOverEpollAndTheSimulatorWithAndWithoutFaults) {
  for (uint64_t seed = 1; seed <= kScripts && !HasFailure(); ++seed) {
    SCOPED_TRACE("script " + std::to_string(seed));
    const Script script = RandomScript(seed);
    const Trace trace = TraceOf<SimWorld>(script);
    EXPECT_TRUE(Same(trace, TraceOf<RealWorld<EpollBackend>>(script)));
    EXPECT_TRUE(Same(trace, TraceOfFaultySimulator(script, seed)));
  }
}

#ifdef OMBUS_HAVE_IOURING
TEST(BackendTraceTest, IsTheSameOverIoUringAndTheSimulator) {
  std::string refusal;
  if (RealWorld<UringBackend>::Make({}, &refusal) == nullptr) {
    GTEST_SKIP() << "not on this kernel: " << refusal;
  }
  for (uint64_t seed = 1; seed <= kScripts && !HasFailure(); ++seed) {
    SCOPED_TRACE("script " + std::to_string(seed));
    const Script script = RandomScript(seed);
    EXPECT_TRUE(Same(TraceOf<SimWorld>(script), TraceOf<RealWorld<UringBackend>>(script)));
  }
}
#endif

// What the comparison would be worth nothing without.
TEST(BackendTraceTest, HasAllThatHappenedAndInItsOrder) {
  using Kind = Step::Kind;
  const Trace trace = TraceOf<SimWorld>({{Kind::kConnect, 0, 2},
                                         {Kind::kPeerWrites, 1, 3},
                                         {Kind::kSend, 0, 70'000},
                                         {Kind::kPeerResets, 1, 0},
                                         {Kind::kFinishSending, 0, 0},
                                         {Kind::kPeerFinishes, 0, 0}});
  EXPECT_EQ(trace, (Trace{"accepted, sent 70000, end of stream, closed, ", "received: I am 1",
                          "its peer read: " + Pattern(1, 70'000), "accepted, ECONNRESET, closed, ",
                          "received: I am 2" + Pattern(1, 3), "its peer read: "}));
}

}  // namespace
}  // namespace ombus::net

// What the kernel says it was told: options of clients' sockets, and what /proc has of the ring.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "net/io_options.h"
#include "net/socket.h"
#include "tests/net/open_descriptors.h"
#include "tests/net/server_fixture.h"
#ifdef OMBUS_HAVE_IOURING
#include "net/uring_backend.h"
#include "net/uring_probe.h"
#endif

namespace ombus::net {
namespace {

// The server's end of a connection to `port` of this process.
int AcceptedSocket(uint16_t port) {
  for (const int fd : OpenDescriptors()) {
    sockaddr_in own{}, peer{};
    socklen_t bytes = sizeof own;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &bytes) != 0) continue;
    bytes = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &bytes) != 0) continue;
    if (own.sin_family == AF_INET && ntohs(own.sin_port) == port) return fd;
  }
  return -1;
}

class KernelReadback : public ServerFixture {};

TEST_P(KernelReadback, AServersClientHasTheOptionsThatWereAskedFor) {
  ServerOptions options;
  options.io.busy_poll_us = 17;
  options.io.congestion_control = "reno";
  options.backend = GetParam();
  if (const auto made = Server::Create(options); !made.ok()) {
    // Without the right to it the refusal is the error, and tested in io_options_test.cc.
    ASSERT_NE(made.status().message().find("SO_BUSY_POLL"), std::string::npos);
    options.io.busy_poll_us = 0;
  }
  Start(options);
  const RawPeer peer(server_->port());
  WaitForClients(1);
  const int fd = AcceptedSocket(server_->port());
  ASSERT_GE(fd, 0);
  char name[64] = {};
  socklen_t bytes = sizeof name;
  ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &bytes), 0);
  EXPECT_STREQ(name, "reno");
  if (options.io.busy_poll_us == 0) GTEST_SKIP() << "SO_BUSY_POLL is refused to this process";
  int busy_poll_us = 0;
  bytes = sizeof busy_poll_us;
  ASSERT_EQ(getsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &busy_poll_us, &bytes), 0);
  EXPECT_EQ(busy_poll_us, 17);
}

INSTANTIATE_TEST_SUITE_P(Backends, KernelReadback,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

TEST(BackendOptions, TakeOverAllThatConcernsTheRing) {
  ServerOptions options{.max_clients = 9};
  options.io = {.send_mode = SendMode::kPlain,
                .napi_busy_poll_us = 1,
                .sq_poll = true,
                .sq_poll_cpu = 2,
                .sq_poll_idle_ms = 3};
  const BackendOptions backend = BackendOptionsOf(options);
  EXPECT_GE(backend.sockets_hint, 9u);
  EXPECT_EQ(backend.send_mode, SendMode::kPlain);
  EXPECT_EQ(backend.napi_busy_poll_us, 1u);
  EXPECT_TRUE(backend.sq_poll);
  EXPECT_EQ(backend.sq_poll_cpu, 2);
  EXPECT_EQ(backend.sq_poll_idle_ms, 3u);
}

#ifdef OMBUS_HAVE_IOURING

// What /proc says of the one ring of this process.
class RingInfo : public testing::Test {
 protected:
  void Make(const BackendOptions& options) {
    auto made = UringBackend::Create(options);
    if (!made.ok()) GTEST_SKIP() << made.status().message();
    backend_ = std::move(*made);
  }
  void SendAByte() {
    struct {
      bool sent = false;
      void OnCompletion(const Completion& completion) { sent |= completion.op == Op::kSend; }
    } sink;
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const UniqueFd peer(pair[1]);
    static constexpr std::byte kByte{'x'};
    backend_->Send(*backend_->Adopt(pair[0]), std::span(&kByte, 1), 1);
    while (!sink.sent) ASSERT_TRUE(backend_->Turn(sink, 10'000'000).ok());
  }
  // The value of "key:"; nothing where this kernel does not say.
  static std::optional<std::string> Field(const std::string& key) {
    for (const int fd : OpenDescriptors()) {
      char target[64] = {};
      const std::string number = std::to_string(fd);
      if (readlink(("/proc/self/fd/" + number).c_str(), target, sizeof target - 1) <= 0) continue;
      if (std::strcmp(target, "anon_inode:[io_uring]") != 0) continue;
      std::ifstream info("/proc/self/fdinfo/" + number);
      for (std::string line; std::getline(info, line);) {
        if (!line.starts_with(key + ":")) continue;
        const size_t value = line.find_first_not_of(" \t", key.size() + 1);
        return value == std::string::npos ? "" : line.substr(value);
      }
    }
    return std::nullopt;
  }

  std::unique_ptr<UringBackend> backend_;
};

TEST_F(RingInfo, ShowsNoPollingWhereNoneIsAskedFor) {
  Make({});
  if (IsSkipped()) return;
  const auto thread = Field("SqThread");
  if (!thread.has_value()) GTEST_SKIP() << "this kernel says nothing of a ring's thread";
  EXPECT_EQ(*thread, "-1");
  EXPECT_NE(Field("NAPI").value_or(""), "enabled");
}

TEST_F(RingInfo, ShowsThePollingThreadWhereItIsToRunAndThatItSleepsWhenItIsIdle) {
  if (const Status granted = ProbePollingThread(); !granted.ok()) GTEST_SKIP() << granted.message();
  const int cpu = sched_getcpu();
  Make({.sq_poll = true, .sq_poll_cpu = cpu, .sq_poll_idle_ms = 1});
  if (IsSkipped()) return;
  ASSERT_EQ(backend_->TakeNote(), "");
  if (!Field("SqThread").has_value()) GTEST_SKIP() << "this kernel says nothing of the thread";
  SendAByte();  // it spins only after work
  // It sleeps when it has had none for so long; a test where it does not never ends.
  std::vector<std::string> words;  // of its stat, from the state on
  while (words.empty() || words[0] != "S") {
    const std::string thread = Field("SqThread").value();
    ASSERT_GT(std::atoi(thread.c_str()), 0);
    std::ifstream stat("/proc/self/task/" + thread + "/stat");
    std::string line;
    ASSERT_TRUE(std::getline(stat, line)) << thread;
    std::istringstream rest(line.substr(line.rfind(')') + 1));
    words.assign(std::istream_iterator<std::string>(rest), {});
    ASSERT_GT(words.size(), 12u) << line;
  }
  // Told nothing, the kernel would have let it spin for a second.
  const long ticks = std::atol(words[11].c_str()) + std::atol(words[12].c_str());
  EXPECT_LT(ticks, sysconf(_SC_CLK_TCK) / 4) << "of its own time";
  EXPECT_EQ(Field("SqThreadCpu"), std::to_string(cpu));
}

TEST_F(RingInfo, ShowsNapiBusyPollingForTheTimeThatWasAskedFor) {
  if (ProbeNapiBusyPoll() != 0) GTEST_SKIP() << "this kernel has no NAPI busy polling by io_uring";
  Make({.napi_busy_poll_us = 33});
  if (IsSkipped()) return;
  ASSERT_EQ(backend_->TakeNote(), "");
  const auto napi = Field("NAPI");
  if (!napi.has_value()) GTEST_SKIP() << "this kernel does not show it (6.13 does)";
  EXPECT_EQ(*napi, "enabled");
  EXPECT_EQ(Field("napi_busy_poll_dt"), "33000");  // ns
  EXPECT_EQ(Field("napi_prefer_busy_poll"), "true");
}

#endif  // OMBUS_HAVE_IOURING

}  // namespace
}  // namespace ombus::net

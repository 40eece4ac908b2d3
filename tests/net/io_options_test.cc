#include "net/io_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <string>

#include "net/basic_server.h"
#include "net/epoll_backend.h"
#include "net/socket.h"
#include "tests/net/in_child.h"
#include "tests/net/server_fixture.h"
#include "tests/system_call_filter.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

std::string CongestionControlOf(int fd) {
  char name[64] = {};
  socklen_t bytes = sizeof name;
  EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &bytes), 0);
  return name;
}

TEST(IoOptions, ByDefaultLeaveTheListenerAsItIs) {
  Result<UniqueFd> listener = Listen("127.0.0.1", 0, 1);
  ASSERT_TRUE(listener.ok());
  const std::string before = CongestionControlOf(listener->get());
  EXPECT_TRUE(PrepareListener(listener->get(), {}).ok());
  EXPECT_EQ(CongestionControlOf(listener->get()), before);
}

TEST(IoOptions, WhatTheListenerIsSetToItsClientsInherit) {
  Result<UniqueFd> listener = Listen("127.0.0.1", 0, 1);
  ASSERT_TRUE(listener.ok());
  // Every kernel has reno.
  ASSERT_TRUE(PrepareListener(listener->get(), {.congestion_control = "reno"}).ok());
  const RawPeer peer(LocalPort(listener->get()));
  const UniqueFd accepted(accept(listener->get(), nullptr, nullptr));
  while (!accepted.ok()) {
    const UniqueFd again(accept(listener->get(), nullptr, nullptr));
    if (!again.ok()) continue;
    EXPECT_EQ(CongestionControlOf(again.get()), "reno");
    return;
  }
  EXPECT_EQ(CongestionControlOf(accepted.get()), "reno");
}

int OptionOf(int fd, int level, int name) {
  int value = -1;
  socklen_t bytes = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, name, &value, &bytes), 0);
  return value;
}

TEST(IoOptions, TheListenerGetsItsCpuAndItsBusyPolling) {
  Result<UniqueFd> listener = Listen("127.0.0.1", 0, 1);
  ASSERT_TRUE(listener.ok());
  ASSERT_TRUE(PrepareListener(listener->get(), {.incoming_cpu = 0}).ok());
  EXPECT_EQ(OptionOf(listener->get(), SOL_SOCKET, SO_INCOMING_CPU), 0);
  const Status status = PrepareListener(listener->get(), {.busy_poll_us = 17});
  if (!status.ok()) GTEST_SKIP() << status.message();
  EXPECT_EQ(OptionOf(listener->get(), SOL_SOCKET, SO_BUSY_POLL), 17);
}

TEST(IoOptions, AClientsSocketSendsAtOnceAndNoticesADeadPeer) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_storage peer;
  (void)PrepareClientSocket(fd.get(), {.stalled_peer_ms = 1234}, &peer);
  EXPECT_NE(OptionOf(fd.get(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(OptionOf(fd.get(), SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_EQ(OptionOf(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
}

TEST(IoOptions, ACongestionControlThatIsNotThereIsAnErrorThatNamesThoseThatAre) {
  ServerOptions options;
  options.io.congestion_control = "nonesuch";
  const auto server = Server::Create(options);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(server.status().message(), HasSubstr("\"nonesuch\": ENOENT; this host has "));
  EXPECT_THAT(server.status().message(), HasSubstr("reno"));
}

// In this process and for good: SO_BUSY_POLL is answered with `error`.
bool ForbidBusyPoll(unsigned error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SO_BUSY_POLL, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return FilterSystemCalls(filter);
}

bool Says(const Status& status, std::initializer_list<const char*> parts) {
  return !status.ok() && std::all_of(parts.begin(), parts.end(), [&](const char* part) {
    return status.message().find(part) != std::string::npos;
  });
}

TEST(IoOptions, BusyPollingWithoutTheRightToItIsAnErrorWithTheCure) {
  const int failed = InChild([] {
    if (!ForbidBusyPoll(EPERM)) return false;
    ServerOptions options;
    options.io.busy_poll_us = 900'000;
    const auto server = Server::Create(options);
    return Says(server.status(),
                {"SO_BUSY_POLL) \"900000 us\": EPERM", "net.core.busy_read", "CAP_NET_ADMIN"}) &&
           Says(ProbeBusyPoll(), {"SO_BUSY_POLL) \"", "us\": EPERM", "net.core.busy_read"});
  });
  EXPECT_EQ(failed, 0);
}

TEST(IoOptions, AKernelWithoutBusyPollingIsNamedAsTheCause) {
  const int failed = InChild([] {
    return ForbidBusyPoll(ENOPROTOOPT) &&
           Says(ProbeBusyPoll(), {"ENOPROTOOPT", "this kernel has no busy polling"});
  });
  EXPECT_EQ(failed, 0);
}

TEST(IoOptions, AServerTakesAllOfThemAndServes) {
  ServerOptions options;
  options.io = {.send_mode = SendMode::kAuto,
                .napi_busy_poll_us = 10,
                .congestion_control = "reno",
                .incoming_cpu = 0,
                .sq_poll = true};
  auto server = Server::Create(options);
  ASSERT_TRUE(server.ok()) << server.status().message();
  RawPeer peer((*server)->port());
  while ((*server)->client_count() == 0) ASSERT_TRUE((*server)->PollIo(1'000'000).ok());
  const char payload[] = {'a'};
  ASSERT_EQ((*server)->Broadcast({.wal_seq = 1, .payload = payload, .size = 1, .type = 1}),
            BroadcastResult::kOk);
  while (peer.bytes().size() < 17) {
    ASSERT_TRUE((*server)->PollIo(1'000'000).ok());
    peer.Drain();
  }
  EXPECT_EQ(peer.Frames().size(), 1u);
}

TEST(IoOptions, TheSendBufferAskedForIsThatOfEachClient) {
  const auto bytes_of = [](uint32_t asked) {
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_storage peer;
    (void)PrepareClientSocket(fd.get(), {.send_buffer_bytes = asked}, &peer);
    int bytes = 0;
    socklen_t length = sizeof bytes;
    EXPECT_EQ(getsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, &length), 0);
    return bytes;
  };
  EXPECT_EQ(bytes_of(16384), 2 * 16384);  // the kernel doubles it, for its own bookkeeping
  EXPECT_GT(bytes_of(0), 0);
  EXPECT_NE(bytes_of(0), bytes_of(16384));
}

TEST(IoOptions, EpollNotesWhatItHasNot) {
  auto epoll = EpollBackend::Create(
      {.send_mode = SendMode::kZeroCopy, .napi_busy_poll_us = 10, .sq_poll = true});
  ASSERT_TRUE(epoll.ok());
  EXPECT_EQ((*epoll)->TakeNote(),
            "epoll \"options\": has no zero-copy sends, NAPI busy polling, a polling kernel "
            "thread; use io_uring, or leave them out");
  auto plain = EpollBackend::Create({});
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ((*plain)->TakeNote(), "");
}

TEST(IoOptions, EveryModeHasTheNameThatTheCommandTakes) {
  EXPECT_STREQ(NameOf(SendMode::kFixed), "fixed");
  EXPECT_STREQ(NameOf(SendMode::kPlain), "plain");
  EXPECT_STREQ(NameOf(SendMode::kZeroCopy), "zc");
  EXPECT_STREQ(NameOf(SendMode::kAuto), "auto");
}

}  // namespace
}  // namespace ombus::net

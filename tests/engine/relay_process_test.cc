// Producer, relay and clients as processes of their own, and what happens when one is killed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>

#include "ombus/relay.h"
#include "tests/engine/engine_test_stream.h"
#include "tests/engine/tcp_reader.h"

namespace ombus {
namespace {

// A forked child; killed at the end if it still runs.
class Child {
 public:
  explicit Child(const std::function<int()>& body) : pid_(fork()) {
    if (pid_ == 0) _exit(body());
  }
  ~Child() { Kill(SIGKILL); }
  void Kill(int number) {
    if (pid_ <= 0) return;
    kill(pid_, number);
    waitpid(pid_, &result_, 0);
    pid_ = -1;
  }
  int Join() {
    waitpid(pid_, &result_, 0);
    pid_ = -1;
    return WIFEXITED(result_) ? WEXITSTATUS(result_) : -1;
  }

 private:
  pid_t pid_;
  int result_ = 0;
};

class RelayProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(ports_), 0); }
  void TearDown() override {
    close(ports_[0]);
    close(ports_[1]);
  }

  // Runs a relay in a child, and says where it listens. Fork before any thread is started.
  std::unique_ptr<Child> StartRelay(uint16_t* port, uint32_t wait_clients = 1) {
    auto child = std::make_unique<Child>([&] {
      RelayOptions options;
      options.stream = stream_.name();
      options.wait_clients = wait_clients;
      options.server.slow_client_policy = SlowClientPolicy::kWait;
      auto relay = Relay::Create(options);
      if (!relay.ok()) return 1;
      const uint16_t mine = (*relay)->port();
      if (write(ports_[1], &mine, sizeof mine) != sizeof mine) return 2;
      return (*relay)->Run().ok() ? 0 : 3;
    });
    EXPECT_EQ(read(ports_[0], port, sizeof *port), static_cast<ssize_t>(sizeof *port));
    return child;
  }
  // Publishes from…to - 1 in a child, which then dies without closing its stream.
  void PublishAndDie(uint64_t from, uint64_t to) {
    Child producer([&] {
      auto made = Producer::Create({.name = stream_.name()});
      if (!made.ok()) return 1;
      while ((*made)->live_consumers() == 0) sched_yield();
      for (uint64_t seq = from; seq < to; ++seq) {
        if (PublishOne(**made, seq) != PublishResult::kOk) return 2;
      }
      kill(getpid(), SIGKILL);
      return 3;
    });
    EXPECT_EQ(producer.Join(), -1);  // by the signal
  }
  bool Joined(const Producer& producer) {
    return Eventually([&] { return producer.live_consumers() == 1; });
  }

  TestStream stream_;
  int ports_[2];
};

TEST_F(RelayProcessTest, AKilledRelayDoesNotStopTheProducerAndAnotherTakesItsPlace) {
  uint16_t first_port = 0, second_port = 0;
  auto first = StartRelay(&first_port);
  auto second = StartRelay(&second_port);
  auto producer = MakeProducer(stream_.name(), {.capacity = 64});
  {
    TcpReader reader(first_port);
    ASSERT_TRUE(Joined(*producer));
    for (uint64_t seq = 1; seq <= 32; ++seq) {
      ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
    }
    ASSERT_TRUE(reader.AwaitLast(32));
    first->Kill(SIGKILL);
    EXPECT_TRUE(reader.AwaitEnd());
  }
  // More than a ring full: the dead relay's line is found and set free.
  for (uint64_t seq = 33; seq <= 1000; ++seq) {
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  }
  TcpReader reader(second_port);
  ASSERT_TRUE(Joined(*producer));
  for (uint64_t seq = 1001; seq <= 1050; ++seq) {
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  }
  EXPECT_TRUE(reader.AwaitLast(1050));
  EXPECT_EQ(reader.frames(), 50u);
}

TEST_F(RelayProcessTest, ARelayKilledBeforeItsFirstRecordDoesNotHoldTheProducer) {
  uint16_t port = 0;
  auto relay = StartRelay(&port, 0);
  auto producer = MakeProducer(stream_.name(), {.capacity = 16});
  ASSERT_TRUE(Joined(*producer));
  relay->Kill(SIGKILL);
  for (uint64_t seq = 1; seq <= 100; ++seq) {
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
  }
  EXPECT_EQ(producer->live_consumers(), 0u);
}

TEST_F(RelayProcessTest, AProducerThatIsKilledAndRestartedLosesNothing) {
  uint16_t port = 0;
  auto relay = StartRelay(&port);
  const int early = ConnectTo(port);  // so that the relay joins; read once no more forks come
  PublishAndDie(1, 501);
  PublishAndDie(501, 1001);
  PublishAndDie(1001, 1501);
  size_t got = 0, expected = 0;
  for (uint64_t seq = 1; seq <= 1500; ++seq) expected += kFrameHeaderBytes + seq % 200;
  char sink[4096];
  while (got < expected) {
    const ssize_t n = recv(early, sink, sizeof sink, 0);
    ASSERT_GT(n, 0);
    got += static_cast<size_t>(n);
  }
  EXPECT_EQ(got, expected);
  close(early);
}

TEST_F(RelayProcessTest, AKilledClientDoesNotDisturbTheOthers) {
  uint16_t port = 0;
  auto relay = StartRelay(&port, 2);
  Child client([&] {
    const int fd = ConnectTo(port);
    char byte;
    (void)!recv(fd, &byte, 1, 0);
    pause();
    return 0;
  });
  auto producer = MakeProducer(stream_.name(), {.capacity = 8192});
  TcpReader reader(port);
  ASSERT_TRUE(Joined(*producer));
  for (uint64_t seq = 1; seq <= 3000; ++seq) {
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
    if (seq == 1500) client.Kill(SIGKILL);
  }
  EXPECT_TRUE(reader.AwaitLast(3000));
  EXPECT_EQ(reader.frames(), 3000u);
  EXPECT_EQ(reader.bad() + reader.jumps(), 0u);
}

}  // namespace
}  // namespace ombus

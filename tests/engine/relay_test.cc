// The relay end to end in one process: producer, relay and TCP clients, on both back ends, in one
// thread and with egress threads.
#include "ombus/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/backend_select.h"
#include "tests/engine/engine_test_stream.h"
#include "tests/engine/tcp_reader.h"
#include "tests/net/in_child.h"

namespace ombus {
namespace {

using ::testing::HasSubstr;

struct Ways {
  BackendChoice backend;
  uint32_t egress_threads;
};

class RelayTest : public ::testing::TestWithParam<Ways> {
 protected:
  void SetUp() override {
    if (GetParam().backend != BackendChoice::kUring) return;
    const Status uring = net::ChooseBackend(BackendChoice::kUring, nullptr).status();
    if (!uring.ok()) GTEST_SKIP() << uring.message();
  }
  void TearDown() override { StopRelay(); }

  void StartRelay(RelayOptions options = {}) {
    options.stream = stream_.name();
    options.server.backend = GetParam().backend;
    options.egress_threads = GetParam().egress_threads;
    options.on_event = [this](const ServerEvent& event) {
      const std::lock_guard<std::mutex> lock(mutex_);
      events_.push_back(event.text);
    };
    auto relay = Relay::Create(options);
    ASSERT_TRUE(relay.ok()) << relay.status().message();
    relay_ = std::move(*relay);
    EXPECT_STREQ(relay_->backend_name(),
                 GetParam().backend == BackendChoice::kUring ? "io_uring" : "epoll");
    thread_ = std::thread([this] { status_ = relay_->Run(); });
  }
  void StopRelay() {
    if (!thread_.joinable()) return;
    relay_->Stop();
    JoinRelay();
  }
  void JoinRelay() {
    thread_.join();
    EXPECT_EQ(status_.message(), "");
  }
  std::vector<std::unique_ptr<TcpReader>> ConnectReaders(size_t count) {
    std::vector<std::unique_ptr<TcpReader>> readers;
    for (size_t i = 0; i < count; ++i) {
      readers.push_back(std::make_unique<TcpReader>(relay_->port()));
      EXPECT_TRUE(readers.back()->connected());
    }
    return readers;
  }
  bool Joined(const Producer& producer) {
    return Eventually([&] { return producer.live_consumers() == 1; });
  }
  bool Told(const std::string& part) {
    return Eventually([&] {
      const std::lock_guard<std::mutex> lock(mutex_);
      return std::any_of(events_.begin(), events_.end(), [&](const std::string& event) {
        return event.find(part) != std::string::npos;
      });
    });
  }

  static void PublishRange(Producer& producer, uint64_t from, uint64_t to) {
    for (uint64_t seq = from; seq < to; ++seq) {
      ASSERT_EQ(PublishOne(producer, seq), PublishResult::kOk);
    }
  }
  static void ExpectComplete(TcpReader& reader, uint64_t from, uint64_t to) {
    EXPECT_TRUE(reader.AwaitLast(to - 1)) << reader.last();
    EXPECT_EQ(reader.first(), from);
    EXPECT_EQ(reader.frames(), to - from);
    EXPECT_EQ(reader.jumps(), 0u);
    EXPECT_EQ(reader.bad(), 0u);
  }

  TestStream stream_;
  std::mutex mutex_;
  std::vector<std::string> events_;
  std::unique_ptr<Relay> relay_;
  std::thread thread_;
  Status status_;
};

INSTANTIATE_TEST_SUITE_P(
    BackEnds, RelayTest,
    ::testing::Values(Ways{BackendChoice::kEpoll, 0}, Ways{BackendChoice::kUring, 0},
                      Ways{BackendChoice::kEpoll, 2}, Ways{BackendChoice::kUring, 2},
                      Ways{BackendChoice::kUring, 3}),
    [](const auto& info) {
      const uint32_t threads = info.param.egress_threads;
      return (info.param.backend == BackendChoice::kUring ? "IoUring" : "Epoll") +
             (threads == 0 ? "" : "With" + std::to_string(threads));
    });

RelayOptions Lossless(uint32_t wait_clients, IdleStrategy idle = IdleStrategy::kSleep) {
  RelayOptions options;
  options.wait_clients = wait_clients;
  options.idle = idle;
  options.server.slow_client_policy = SlowClientPolicy::kWait;
  return options;
}

TEST_P(RelayTest, EveryClientGetsEveryRecordInOrderByteForByte) {
  auto producer = MakeProducer(stream_.name(), {.capacity = 32768});
  StartRelay(Lossless(4));
  auto readers = ConnectReaders(4);
  ASSERT_TRUE(Joined(*producer));
  PublishRange(*producer, 1, 20'001);
  for (auto& reader : readers) ExpectComplete(*reader, 1, 20'001);
}

TEST_P(RelayTest, ASleepingRelayIsWokenByPublishesAndByClients) {
  RelayOptions options;
  options.idle_spin_ns = 0;
  auto producer = MakeProducer(stream_.name());
  StartRelay(options);
  ASSERT_TRUE(Joined(*producer));
  for (uint64_t seq = 1; seq <= 5; ++seq) {
    const uint64_t sleeps = relay_->stats().sleeps;
    ASSERT_TRUE(Eventually([&] { return relay_->stats().sleeps > sleeps; }));
    TcpReader reader(relay_->port());
    ASSERT_TRUE(Eventually([&] { return relay_->stats().server.clients_accepted >= seq; }));
    ASSERT_EQ(PublishOne(*producer, seq), PublishResult::kOk);
    EXPECT_TRUE(reader.AwaitLast(seq));
  }
}

TEST_P(RelayTest, WithWaitASlowReaderLosesNothing) {
  auto producer = MakeProducer(stream_.name(), {.capacity = 32768});
  RelayOptions options = Lossless(2);
  options.server.log_bytes = 256u << 10;
  options.server.send_buffer_bytes = 8192;
  options.server.slow_wait_ms = 60'000;
  StartRelay(options);
  const int slow = ConnectTo(relay_->port());
  TcpReader fast(relay_->port());
  ASSERT_TRUE(Joined(*producer));
  PublishRange(*producer, 1, 20'001);
  // The slow one takes nothing until the relay cannot go on.
  uint64_t relayed = 0;
  ASSERT_TRUE(Eventually([&] {
    relayed = relay_->stats().server.records_broadcast;
    return relayed > 0 && relayed < 20'000;
  }));
  std::vector<char> sink(65536);
  size_t got = 0, expected = 0;
  for (uint64_t seq = 1; seq <= 20'000; ++seq) expected += kFrameHeaderBytes + seq % 200;
  while (got < expected) {
    const ssize_t n = recv(slow, sink.data(), sink.size(), 0);
    ASSERT_GT(n, 0);
    got += static_cast<size_t>(n);
  }
  EXPECT_EQ(got, expected);
  ExpectComplete(fast, 1, 20'001);
  close(slow);
}

TEST_P(RelayTest, WithDisconnectOnlyTheSlowReaderIsCut) {
  auto producer = MakeProducer(stream_.name(), {.capacity = 4096});
  RelayOptions options;
  options.wait_clients = 2;
  options.server.log_bytes = 4u << 20;
  options.server.send_buffer_bytes = 8192;
  StartRelay(options);
  const int slow = ConnectTo(relay_->port());
  TcpReader fast(relay_->port());
  ASSERT_TRUE(Joined(*producer));
  uint64_t seq = 1;
  while (relay_->stats().server.slow_client_drops == 0 && seq < 2'000'000) {
    PublishRange(*producer, seq, seq + 1000);
    seq += 1000;
    ASSERT_TRUE(fast.AwaitLast(seq - 1));  // the fast one keeps up
  }
  EXPECT_EQ(relay_->stats().server.slow_client_drops, 1u);
  ExpectComplete(fast, 1, seq);
  close(slow);
}

TEST_P(RelayTest, AnOrderlyStopFlushesWhatIsPending) {
  auto producer = MakeProducer(stream_.name(), {.capacity = 32768});
  StartRelay(Lossless(1));
  TcpReader reader(relay_->port());
  ASSERT_TRUE(Joined(*producer));
  PublishRange(*producer, 1, 20'001);
  ASSERT_TRUE(Eventually([&] { return relay_->stats().tail > 0; }));
  StopRelay();
  const uint64_t relayed = relay_->stats().records_relayed;
  EXPECT_TRUE(reader.AwaitEnd());
  EXPECT_EQ(reader.frames(), relayed);
  EXPECT_EQ(reader.jumps() + reader.bad(), 0u);
  EXPECT_EQ(producer->live_consumers(), 0u);
}

TEST_P(RelayTest, TheEndOfTheStreamReachesTheClientsAfterItsLastRecord) {
  auto producer = MakeProducer(stream_.name());
  RelayOptions options = Lossless(1);
  options.on_end = StreamEnd::kExit;
  StartRelay(options);
  TcpReader reader(relay_->port());
  ASSERT_TRUE(Joined(*producer));
  PublishRange(*producer, 1, 1001);
  producer->Close();
  JoinRelay();
  EXPECT_TRUE(reader.AwaitEnd());
  ExpectComplete(reader, 1, 1001);
}

TEST_P(RelayTest, ClientsStayWhileTheStreamIsReplacedByOneOfOtherGeometry) {
  auto first = MakeProducer(stream_.name(), {.capacity = 64});
  StartRelay(Lossless(1));
  TcpReader reader(relay_->port());
  ASSERT_TRUE(Joined(*first));
  PublishRange(*first, 1, 51);
  auto second = MakeProducer(stream_.name(), {.capacity = 8192, .slot_size = 1024});
  ASSERT_TRUE(Joined(*second));
  PublishRange(*second, 51, 1001);
  ExpectComplete(reader, 1, 1001);
}

TEST_P(RelayTest, AClientThatSendsGarbageIsClosedAndTheOthersGoOn) {
  auto producer = MakeProducer(stream_.name());
  StartRelay(Lossless(2));
  TcpReader reader(relay_->port());
  const int garbage = ConnectTo(relay_->port());
  ASSERT_TRUE(Joined(*producer));
  const std::string bytes(64, 'x');
  ASSERT_EQ(send(garbage, bytes.data(), bytes.size(), MSG_NOSIGNAL), 64);
  char byte;
  EXPECT_LE(recv(garbage, &byte, 1, 0), 0);
  PublishRange(*producer, 1, 501);
  ExpectComplete(reader, 1, 501);
  EXPECT_TRUE(Eventually([&] { return relay_->stats().server.protocol_errors == 1; }));
  close(garbage);
}

TEST_P(RelayTest, APortInUseIsAnErrorThatNamesIt) {
  StartRelay();
  RelayOptions options;
  options.stream = stream_.name();
  options.server.backend = GetParam().backend;
  options.server.port = relay_->port();
  const Status status = Relay::Create(options).status();
  EXPECT_EQ(status.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(status.message(), HasSubstr(std::to_string(relay_->port())));
}

// As by exit() where the relay is global. The threads there are in the parent alone.
TEST_P(RelayTest, AForkedChildThatDestroysItsCopyLeavesTheClients) {
  auto producer = MakeProducer(stream_.name());
  StartRelay();
  ASSERT_TRUE(Joined(*producer));
  auto readers = ConnectReaders(3);
  ASSERT_TRUE(Eventually([&] { return relay_->stats().clients == 3; }));
  EXPECT_EQ(net::InChild([&] {
              alarm(60);
              relay_.reset();
              return true;
            }),
            0);
  PublishRange(*producer, 1, 101);
  for (auto& reader : readers) ExpectComplete(*reader, 1, 101);
}

TEST(RelayOptionsTest, WhatMakesNoSenseIsRefusedWithTheCure) {
  RelayOptions nameless, cpu, burst;
  cpu.stream = burst.stream = "/x";
  cpu.cpu = 1'000'000;
  burst.burst_max = 1;
  for (const RelayOptions& options : {nameless, cpu, burst}) {
    const Status status = Relay::Create(options).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("EINVAL; "));
  }
}

}  // namespace
}  // namespace ombus

// Memory runs out in one of a relay's egress threads: as it starts, as it takes its first client,
// in the middle of serving; there with the first allocation, with the second, and so on. The relay
// ends with the cause, the clients of the other thread get all that was broadcast, and nothing is
// left: no thread, no descriptor, no memory.
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "net/backend_select.h"
#include "net/frame.h"
#include "ombus/relay.h"
#include "tests/engine/engine_test_stream.h"
#include "tests/engine/refusing_memory.h"
#include "tests/engine/tcp_reader.h"
#include "tests/net/raw_peer.h"

namespace ombus {
namespace {

constexpr int64_t kNone = INT64_MAX;
std::atomic<int64_t> granted_before_refusal{kNone};  // to the second egress thread; then no more

}  // namespace

bool IsRefused() {
  if (granted_before_refusal.load() == kNone) return false;
  char name[16] = {};
  if (pthread_getname_np(pthread_self(), name, sizeof name) != 0) return false;
  return std::strcmp(name, "ombus-egress-1") == 0 && granted_before_refusal.fetch_sub(1) <= 0;
}

namespace {

enum class Stage : uint8_t { kStart, kFirstClient, kServing };

class EgressMemoryTest : public ::testing::TestWithParam<BackendChoice> {
 protected:
  void SetUp() override {
    const Status there = net::ChooseBackend(GetParam(), nullptr).status();
    if (!there.ok()) GTEST_SKIP() << there.message();
    producer_ = MakeProducer(stream_.name(), {.capacity = 32768});
  }

  // One relay's life, in which at that stage so many allocations are granted and no more.
  void Live(Stage stage, int64_t granted) {
    RelayOptions options;
    options.stream = stream_.name();
    options.server.backend = GetParam();
    options.egress_threads = 2;
    auto made = Relay::Create(options);
    ASSERT_TRUE(made.ok()) << made.status().message();
    const std::unique_ptr<Relay> relay = std::move(*made);
    if (stage == Stage::kStart) granted_before_refusal = granted;
    Status status;
    std::atomic<bool> over{false};
    std::thread run([&] {
      status = relay->Run();
      over = true;
    });
    const auto until = [&](const std::function<bool()>& done) {
      EXPECT_TRUE(Eventually([&] { return over || done(); }));
    };
    until([&] { return relay->stats().egress.size() == 2 && producer_->live_consumers() == 1; });
    {
      TcpReader other(relay->port());  // the first thread's client
      until([&] { return relay->stats().clients == 1; });
      if (stage == Stage::kFirstClient) granted_before_refusal = granted;
      const auto join = [&](uint32_t clients) {
        auto peer = std::make_unique<net::RawPeer>(relay->port());
        std::vector<std::byte> hello;
        net::AppendHello(&hello, {});
        (void)send(peer->fd(), hello.data(), hello.size(), MSG_NOSIGNAL);  // it may be over
        until([&] {
          peer->Drain();
          return relay->stats().clients == clients && !peer->bytes().empty();
        });
        return peer;
      };
      if (!over) {
        const auto first = join(2);
        Publish(100);
        until([&] { return other.last() == next_ - 1; });
        if (stage == Stage::kServing) granted_before_refusal = granted;
        Publish(100);
        const auto third = join(3), fourth = join(4);  // one for each thread
      }
      granted_before_refusal = kNone;
      if (refusals == 0) relay->Stop();
      run.join();
      if (other.connected() && relay->stats().server.records_broadcast != 0) {
        EXPECT_TRUE(other.AwaitEnd());
        EXPECT_EQ(other.frames(), relay->stats().server.records_broadcast);
        EXPECT_EQ(other.jumps() + other.bad(), 0u);
      }
    }
    EXPECT_EQ(status.ok(), refusals == 0) << status.message();
    if (refusals == 0) return;
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_NE(status.message().find("egress thread: ENOMEM"), std::string::npos);
  }

  void RefuseEachAt(Stage stage) {
    Live(stage, kNone);  // what is allocated once and kept
    const int64_t blocks_before = blocks;
    const int descriptors_before = EntriesOf("/proc/self/fd");
    const int threads_before = EntriesOf("/proc/self/task");
    uint64_t tried = 0;
    for (int64_t granted = 0;; ++granted, ++tried) {
      refusals = 0;
      Live(stage, granted);
      if (HasFailure() || refusals == 0) break;
      EXPECT_EQ(blocks, blocks_before) << "after allocation " << granted;
      EXPECT_EQ(EntriesOf("/proc/self/fd"), descriptors_before) << "after allocation " << granted;
      EXPECT_EQ(EntriesOf("/proc/self/task"), threads_before) << "after allocation " << granted;
    }
    EXPECT_GT(tried, 0u);
  }

  void Publish(uint64_t count) {
    for (const uint64_t end = next_ + count; next_ < end; ++next_) {
      ASSERT_EQ(PublishOne(*producer_, next_), PublishResult::kOk);
    }
  }

  TestStream stream_;
  std::unique_ptr<Producer> producer_;
  uint64_t next_ = 1;
};

INSTANTIATE_TEST_SUITE_P(BackEnds, EgressMemoryTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         [](const auto& info) {
                           return info.param == BackendChoice::kUring ? "IoUring" : "Epoll";
                         });

TEST_P(EgressMemoryTest, AsAThreadStartsIsTheRelaysError) { RefuseEachAt(Stage::kStart); }

TEST_P(EgressMemoryTest, AsAThreadTakesItsFirstClientIsTheRelaysError) {
  RefuseEachAt(Stage::kFirstClient);
}

TEST_P(EgressMemoryTest, AsAThreadServesIsTheRelaysError) { RefuseEachAt(Stage::kServing); }

}  // namespace
}  // namespace ombus

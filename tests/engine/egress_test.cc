// A relay with egress threads, end to end over real sockets: what only shows where clients of one
// log are served by several threads. relay_test.cc has all that is as without them.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/backend_select.h"
#include "net/frame.h"
#include "ombus/client.h"
#include "ombus/relay.h"
#include "tests/engine/engine_test_stream.h"
#include "tests/engine/tcp_reader.h"
#include "tests/net/in_child.h"
#include "tests/net/raw_peer.h"

namespace ombus {
namespace {

using net::RawPeer;
using ::testing::HasSubstr;

size_t EgressThreads() {
  size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    count += name.starts_with("ombus-egress-");
  }
  return count;
}

class EgressTest : public ::testing::TestWithParam<BackendChoice> {
 protected:
  void SetUp() override {
    const Status there = net::ChooseBackend(GetParam(), nullptr).status();
    if (!there.ok()) GTEST_SKIP() << there.message();
    producer_ = MakeProducer(stream_.name(), {.capacity = 32768});
  }
  void TearDown() override { StopRelay(); }

  RelayOptions Options(uint32_t threads = 2) {
    RelayOptions options;
    options.stream = stream_.name();
    options.server.backend = GetParam();
    options.egress_threads = threads;
    options.on_event = [this](const ServerEvent& event) {
      const std::lock_guard<std::mutex> lock(mutex_);
      elsewhere_ += std::this_thread::get_id() != thread_.get_id();
      events_ += event.text + "\n";
    };
    return options;
  }
  void StartRelay(const RelayOptions& options) {
    auto relay = Relay::Create(options);
    ASSERT_TRUE(relay.ok()) << relay.status().message();
    relay_ = std::move(*relay);
    {
      const std::lock_guard<std::mutex> lock(mutex_);  // before any event comes
      thread_ = std::thread([this] { status_ = relay_->Run(); });
    }
    ASSERT_TRUE(Eventually([&] { return producer_->live_consumers() == 1; }));
  }
  void StopRelay() {
    if (!thread_.joinable()) return;
    relay_->Stop();
    thread_.join();
    EXPECT_EQ(status_.message(), "");
  }
  bool Clients(uint32_t count) {
    return Eventually([&] { return relay_->stats().clients == count; });
  }
  bool ClientsOfLanes(const std::vector<uint32_t>& counts) {
    return Eventually([&] {
      std::vector<uint32_t> have;
      for (const EgressStats& one : relay_->stats().egress) have.push_back(one.clients);
      return have == counts;
    });
  }
  std::string Events() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return events_;
  }
  void Publish(uint64_t count) {
    for (const uint64_t end = next_ + count; next_ < end; ++next_) {
      ASSERT_EQ(PublishOne(*producer_, next_), PublishResult::kOk);
    }
  }

  TestStream stream_;
  std::unique_ptr<Producer> producer_;
  uint64_t next_ = 1;
  std::unique_ptr<Relay> relay_;
  std::mutex mutex_;
  std::string events_;
  size_t elsewhere_ = 0;  // events told in another thread than Run's
  std::thread thread_;
  Status status_;
};

INSTANTIATE_TEST_SUITE_P(BackEnds, EgressTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         [](const auto& info) {
                           return info.param == BackendChoice::kUring ? "IoUring" : "Epoll";
                         });

TEST_P(EgressTest, ClientsAreDealtEvenlyAndCountedTogetherAndApart) {
  StartRelay(Options(3));
  EXPECT_TRUE(Eventually([] { return EgressThreads() == 3; }));
  std::vector<std::unique_ptr<TcpReader>> readers;
  for (uint32_t i = 1; i <= 9; ++i) {
    readers.push_back(std::make_unique<TcpReader>(relay_->port()));
    ASSERT_TRUE(Clients(i));
  }
  EXPECT_TRUE(ClientsOfLanes({3, 3, 3}));
  Publish(2000);
  for (auto& reader : readers) {
    EXPECT_TRUE(reader->AwaitLast(2000));
    EXPECT_EQ(reader->frames(), 2000u);
    EXPECT_EQ(reader->jumps() + reader->bad(), 0u);
  }
  EXPECT_TRUE(Eventually([&] { return relay_->stats().server.frames_delivered == 18'000; }));
  StopRelay();
  EXPECT_EQ(EgressThreads(), 0u);
  const RelayStats stats = relay_->stats();
  EXPECT_EQ(stats.server.records_broadcast, 2000u);
  EXPECT_EQ(stats.server.clients_accepted, 9u);
  EXPECT_EQ(stats.server.clients_disconnected, 9u);
  uint64_t bytes = 0;
  for (const EgressStats& one : stats.egress) {
    EXPECT_EQ(one.server.frames_delivered, 6000u);
    EXPECT_EQ(one.server.records_broadcast, 2000u);
    bytes += one.server.bytes_sent;
  }
  EXPECT_EQ(stats.server.bytes_sent, bytes);
  EXPECT_THAT(Events(), HasSubstr("joined"));
  EXPECT_EQ(elsewhere_, 0u);
}

TEST_P(EgressTest, WhatTheKernelRefusesToEveryThreadIsToldOnce) {
  RelayOptions options = Options(3);
  options.server.io.sq_poll = true;
  options.server.io.sq_poll_cpu = 4095;
  StartRelay(options);
  StopRelay();
  const std::string events = Events();
  const std::string note =
      GetParam() == BackendChoice::kUring ? "SQPOLL" : "a polling kernel thread";
  ASSERT_THAT(events, HasSubstr(note));
  EXPECT_EQ(events.find(note), events.rfind(note)) << events;
}

TEST_P(EgressTest, WhatTheKernelRefusesToTheLastThreadAloneIsTold) {
  if (GetParam() == BackendChoice::kEpoll) GTEST_SKIP() << "epoll locks no memory";
  if (geteuid() != 0) GTEST_SKIP() << "needs a user of its own: run as root";
  EXPECT_EQ(net::InChild([&] {
              const rlimit little = {4u << 20, 4u << 20};
              if (setrlimit(RLIMIT_MEMLOCK, &little) != 0 || setgroups(0, nullptr) != 0 ||
                  setuid(1'000'000 + static_cast<uid_t>(getpid())) != 0) {
                return false;
              }
              RelayOptions options = Options(6);
              options.server.log_bytes = 512u << 10;  // mapped twice for each
              auto relay = Relay::Create(options);
              if (!relay.ok()) return false;
              std::thread thread([&] { (void)(*relay)->Run(); });
              (*relay)->Stop();
              thread.join();
              return Events().find("ulimit -l") != std::string::npos;
            }),
            0);
}

TEST_P(EgressTest, OneThreadIsNoneBesideTheRelays) {
  StartRelay(Options(1));
  TcpReader reader(relay_->port());
  ASSERT_TRUE(Clients(1));
  EXPECT_EQ(EgressThreads(), 0u);
  EXPECT_TRUE(relay_->stats().egress.empty());
}

TEST_P(EgressTest, LimitsHoldOverAllThreadsTogether) {
  RelayOptions options = Options();
  options.server.max_clients = 5;
  options.server.max_clients_per_address = 3;
  StartRelay(options);
  const auto refused = [&](uint64_t count) {
    return Eventually([&] { return relay_->stats().server.clients_refused == count; });
  };
  std::vector<std::unique_ptr<RawPeer>> one, two;
  for (int i = 0; i < 5; ++i) one.push_back(std::make_unique<RawPeer>(relay_->port()));
  EXPECT_TRUE(refused(2));
  EXPECT_TRUE(Clients(3));
  for (int i = 0; i < 3; ++i) {
    two.push_back(std::make_unique<RawPeer>(relay_->port(), 0, INADDR_LOOPBACK + 1));
  }
  EXPECT_TRUE(refused(3));
  EXPECT_TRUE(Clients(5));
  EXPECT_THAT(Events(), HasSubstr("max_clients_per_address"));
  // Who leaves makes room, whatever thread served it.
  one.clear();
  EXPECT_TRUE(Clients(2));
  for (int i = 0; i < 3; ++i) one.push_back(std::make_unique<RawPeer>(relay_->port()));
  EXPECT_TRUE(Clients(5));
  EXPECT_EQ(relay_->stats().server.clients_refused, 3u);
}

TEST_P(EgressTest, AClientResumesWithAnotherThreadAndMissesNothing) {
  StartRelay(Options());
  RawPeer first(relay_->port());
  ASSERT_TRUE(ClientsOfLanes({1, 0}));
  uint64_t expected = 0;
  const auto receive = [&](Client& client, uint64_t until) {
    Record record;
    while (client.wal_seq() < until) {
      const ClientResult result = client.Poll(&record, 1'000'000'000);
      if (result == ClientResult::kEmpty || result == ClientResult::kEpochChanged) continue;
      ASSERT_EQ(result, ClientResult::kRecord) << client.status().message();
      if (expected == 0) expected = record.wal_seq;
      ASSERT_EQ(record.wal_seq, expected);
      expected = record.wal_seq + 1;
    }
  };
  std::vector<std::unique_ptr<RawPeer>> fillers;
  for (uint32_t round = 0; round < 6; ++round) {
    auto client = Client::Connect({.port = relay_->port(), .resume_from = expected});
    ASSERT_TRUE(client.ok()) << client.status().message();
    ASSERT_TRUE(Clients(2 + round));
    Publish(500);
    ASSERT_NO_FATAL_FAILURE(receive(**client, next_ - 1));
    client->reset();
    ASSERT_TRUE(Clients(1 + round));
    // The next one is dealt to the other thread.
    fillers.push_back(std::make_unique<RawPeer>(relay_->port()));
    ASSERT_TRUE(Clients(2 + round));
    Publish(100);
  }
  EXPECT_EQ(relay_->stats().server.slow_client_drops, 0u);
}

// What a peer that said HELLO missed, all of it told in gaps; 0 from where it does not go on.
uint64_t Missed(const RawPeer& peer, uint64_t last) {
  uint64_t next = 0, missed = 0;
  for (const net::Frame& frame : peer.Frames()) {
    net::Gap gap;
    if (net::ParseGap(frame, &gap)) {
      EXPECT_EQ(gap.from, next);
      missed += gap.to + 1 - gap.from;
      next = gap.to + 1;
    } else if (!frame.control() && frame.type != kTypeSlowWarning) {
      EXPECT_TRUE(next == 0 || frame.wal_seq == next) << next << " is " << frame.wal_seq;
      next = frame.wal_seq + 1;
    }
  }
  EXPECT_EQ(next, last + 1);
  return missed;
}

TEST_P(EgressTest, SlowClientsOfEachThreadSkipAtTheHardMarkAndTheOthersMissNothing) {
  RelayOptions options = Options();
  options.server.slow_client_policy = SlowClientPolicy::kSkip;
  options.server.soft_lag_bytes = 100'000;
  options.server.hard_lag_bytes = 300'000;
  options.server.send_buffer_bytes = 8192;
  StartRelay(options);
  std::vector<std::unique_ptr<RawPeer>> slow;
  std::vector<std::unique_ptr<TcpReader>> fast;
  std::vector<std::byte> hello;
  net::AppendHello(&hello, {});
  for (uint32_t i = 0; i < 2; ++i) {
    slow.push_back(std::make_unique<RawPeer>(relay_->port(), 4096));
    slow[i]->Send(hello);
    ASSERT_TRUE(Clients(i + 1));
  }
  for (uint32_t i = 0; i < 2; ++i) {
    fast.push_back(std::make_unique<TcpReader>(relay_->port()));
    ASSERT_TRUE(Clients(i + 3));
  }
  ASSERT_TRUE(ClientsOfLanes({2, 2}));
  const auto skipped = [&] {
    for (const EgressStats& one : relay_->stats().egress) {
      if (one.server.slow_client_skips == 0) return false;
    }
    return true;
  };
  while (!skipped()) {
    Publish(500);
    for (auto& reader : fast) ASSERT_TRUE(reader->AwaitLast(next_ - 1));
  }
  Publish(1);  // who has just skipped what is there gets this one
  for (auto& reader : fast) ASSERT_TRUE(reader->AwaitLast(next_ - 1));
  for (auto& peer : slow) {
    size_t had = 0;
    ASSERT_TRUE(Eventually([&] {
      peer->Drain();
      if (std::exchange(had, peer->bytes().size()) != peer->bytes().size()) return false;
      const auto frames = peer->Frames();
      return !frames.empty() && frames.back().wal_seq == next_ - 1 && !frames.back().control();
    })) << peer->Frames().size();
    EXPECT_GT(Missed(*peer, next_ - 1), 0u);
  }
  for (auto& reader : fast) {
    EXPECT_EQ(reader->frames(), next_ - 1);
    EXPECT_EQ(reader->jumps() + reader->bad(), 0u);
  }
  StopRelay();
  EXPECT_EQ(relay_->stats().server.slow_client_drops, 0u);
  EXPECT_GE(relay_->stats().server.slow_client_warnings, 2u);
}

// Has every record that was ever published, since they follow from their sequence.
class EveryRecord final : public CatchUpSource {
 public:
  size_t Read(uint64_t, uint64_t from, std::span<std::byte> into) override {
    if (busy_.exchange(true)) ++at_once_;
    size_t used = 0;
    for (uint64_t seq = std::max<uint64_t>(from, 1); seq <= last_; ++seq) {
      const std::vector<uint8_t> payload = PayloadOf(seq);
      if (used + net::FrameBytes(payload.size()) > into.size()) break;
      net::EncodeFrame(into.data() + used, {.wal_seq = seq,
                                            .payload = payload.data(),
                                            .size = static_cast<uint16_t>(payload.size()),
                                            .type = TypeOf(seq)});
      used += net::FrameBytes(payload.size());
    }
    busy_ = false;
    return used;
  }
  void Has(uint64_t last) { last_ = last; }
  int at_once() const { return at_once_; }

 private:
  std::atomic<uint64_t> last_{0};
  std::atomic<bool> busy_{false};
  std::atomic<int> at_once_{0};
};

TEST_P(EgressTest, ClientsOfEachThreadCatchUpFromASourceThatIsReadByOneAtATime) {
  auto source = std::make_shared<EveryRecord>();
  RelayOptions options = Options();
  options.server.slow_client_policy = SlowClientPolicy::kCatchUp;
  options.server.catch_up = source;
  options.server.catch_up_wait_ms = 60'000;
  options.server.log_bytes = 256u << 10;
  options.server.send_buffer_bytes = 8192;
  StartRelay(options);
  std::vector<std::unique_ptr<RawPeer>> slow;
  for (uint32_t i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<RawPeer>(relay_->port(), 65536));
    ASSERT_TRUE(Clients(i + 1));
  }
  const auto all_catch_up = [&] {
    for (const EgressStats& one : relay_->stats().egress) {
      if (one.server.catch_ups < 2) return false;
    }
    return true;
  };
  for (int chunk = 0; chunk < 60 || !all_catch_up(); ++chunk) {
    Publish(500);
    source->Has(next_ - 1);
  }
  size_t expected = 0;
  for (uint64_t seq = 1; seq < next_; ++seq) expected += net::FrameBytes(PayloadOf(seq).size());
  ASSERT_TRUE(Eventually([&] {
    bool all = true;
    for (auto& peer : slow) {
      peer->Drain();
      all &= peer->bytes().size() >= expected;
    }
    return all;
  }));
  for (auto& peer : slow) {
    EXPECT_EQ(Missed(*peer, next_ - 1), 0u);
    EXPECT_EQ(peer->Frames().size(), next_ - 1);
  }
  EXPECT_EQ(source->at_once(), 0);
}

TEST_P(EgressTest, AnotherProducersRecordsComeAfterItsEpochWasToldInEachThread) {
  StartRelay(Options());
  std::vector<std::unique_ptr<Client>> clients;
  for (uint32_t i = 0; i < 2; ++i) {
    auto client = Client::Connect({.port = relay_->port()});
    ASSERT_TRUE(client.ok()) << client.status().message();
    clients.push_back(std::move(*client));
    ASSERT_TRUE(Clients(i + 1));
  }
  Record record;
  Publish(100);
  for (auto& client : clients) {
    ASSERT_TRUE(Eventually([&] {
      (void)client->Poll(&record, 100'000'000);
      return client->epoch() != 0 && client->wal_seq() == 100;
    }));
  }
  producer_.reset();
  producer_ = MakeProducer(stream_.name(), {.capacity = 32768});
  next_ = 1;
  Publish(50);
  for (auto& client : clients) {
    ClientResult result = ClientResult::kEmpty;
    while (result == ClientResult::kEmpty) result = client->Poll(&record, 100'000'000);
    EXPECT_EQ(result, ClientResult::kEpochChanged);
    for (uint64_t seq = 1; seq <= 50;) {
      result = client->Poll(&record, 100'000'000);
      if (result == ClientResult::kEmpty) continue;
      ASSERT_EQ(result, ClientResult::kRecord);
      ASSERT_EQ(record.wal_seq, seq++);
    }
  }
}

TEST_P(EgressTest, PinsItsThreadsWhereAsked) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &allowed)) ++cpu;
  RelayOptions options = Options();
  options.egress_cpus = {cpu, cpu};
  StartRelay(options);
  TcpReader reader(relay_->port());
  ASSERT_TRUE(Clients(1));
  Publish(10);
  EXPECT_TRUE(reader.AwaitLast(10));
  ASSERT_EQ(relay_->stats().egress.size(), 2u);
  // The one without a client posts its statistics when it first runs.
  EXPECT_TRUE(Eventually([&] {
    return std::ranges::all_of(relay_->stats().egress,
                               [&](const EgressStats& one) { return one.cpu == cpu; });
  }));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

rlim_t Limited(int resource, rlim_t value) {
  const rlimit limit{value, value};
  return setrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0 ? value : 0;
}

size_t PagesMapped() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST_P(EgressTest, AThreadThatCannotBeStartedIsTheRelaysError) {
  RelayOptions options = Options();
  options.on_event = {};
  EXPECT_EQ(net::InChild([&] {
              auto relay = Relay::Create(options);
              if (!relay.ok()) return false;
              // Larger than any stack that is left over, and than what is allowed.
              pthread_attr_t large;
              pthread_attr_init(&large);
              if (pthread_attr_setstacksize(&large, 1u << 30) != 0) return false;
              if (pthread_setattr_default_np(&large) != 0) return false;
              if (Limited(RLIMIT_AS, (PagesMapped() + 65536) * 4096) == 0) return false;
              const Status status = (*relay)->Run();
              return status.message().starts_with("pthread_create \"ombus-egress-0\"");
            }),
            0);
}

TEST_P(EgressTest, AThreadThatFailsIsTheRelaysError) {
  RelayOptions options = Options();
  options.on_event = {};
  EXPECT_EQ(net::InChild([&] {
              auto relay = Relay::Create(options);
              if (!relay.ok()) return false;
              // None is left for the descriptor that each watches.
              if (Limited(RLIMIT_NOFILE, 3) == 0) return false;
              const Status status = (*relay)->Run();
              return status.message().find("EMFILE") != std::string::npos;
            }),
            0);
}

#endif

TEST(EgressOptionsTest, WhatMakesNoSenseIsRefusedWithTheCure) {
  const auto refusal = [](uint32_t threads, std::vector<int> cpus) {
    RelayOptions options;
    options.stream = "/x";
    options.egress_threads = threads;
    options.egress_cpus = std::move(cpus);
    const Status status = Relay::Create(options).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    return status.message();
  };
  EXPECT_THAT(refusal(65, {}), HasSubstr("at most 64"));
  EXPECT_THAT(refusal(0, {0}), HasSubstr("one for each of egress_threads"));
  EXPECT_THAT(refusal(3, {0, 0}), HasSubstr("one for each of egress_threads"));
  EXPECT_THAT(refusal(2, {0, 1'000'000}), HasSubstr("choose one of"));
  EXPECT_THAT(refusal(2, {0, -1}), HasSubstr("choose one of"));
}

}  // namespace
}  // namespace ombus

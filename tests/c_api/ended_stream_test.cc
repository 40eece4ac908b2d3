// What a poll costs that has nothing to say, of a stream that lives or was destroyed, and how it
// finds out that the name leads to another.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <memory>

#include "ombus/om_bus.h"
#include "tests/net/syscall_count.h"
#include "tests/ring/child_process.h"
#include "tests/ring/ring_test_name.h"

namespace ombus {
namespace {

class EndedStreamTest : public testing::Test {
 protected:
  OmBusStream* Make() {
    OmBusStreamConfig config = {};
    config.stream_name = name_.str().c_str();
    config.capacity = 2;
    config.max_consumers = 1;
    OmBusStream* stream = nullptr;
    EXPECT_EQ(om_bus_stream_create(&stream, &config), 0);
    return stream;
  }
  OmBusEndpoint* Open() {
    OmBusEndpointConfig config = {};
    config.stream_name = name_.str().c_str();
    OmBusEndpoint* endpoint = nullptr;
    EXPECT_EQ(om_bus_endpoint_open(&endpoint, &config), 0);
    return endpoint;
  }
  // Of a stream that is then destroyed.
  OmBusEndpoint* OpenEnded() {
    OmBusStream* const stream = Make();
    OmBusEndpoint* const endpoint = Open();
    om_bus_stream_destroy(stream);
    return endpoint;
  }
  // A process that has a stream, until it is told or killed.
  std::unique_ptr<ChildProcess> StartOwner() {
    auto owner = std::make_unique<ChildProcess>([this](ChildProcess::Parent& parent) {
      OmBusStream* const stream = Make();
      parent.Tell();
      parent.Await();
      om_bus_stream_destroy(stream);
      return 0;
    });
    EXPECT_TRUE(owner->Await());
    return owner;
  }

  RingTestName name_;
  OmBusRecord record_ = {};
};

TEST_F(EndedStreamTest, APollAsksTheSystemSeldom) {
  constexpr int kPolls = 10'000;
  if (!net::CountSyscalls([] { return true; }).has_value()) GTEST_SKIP() << "ptrace is not allowed";
  const auto phases = net::CountSyscalls([&] {
    OmBusEndpoint* const endpoint = OpenEnded();
    bool empty = om_bus_endpoint_poll(endpoint, &record_) == 0;
    net::NextPhase();
    for (int i = 0; i < kPolls; ++i) empty &= om_bus_endpoint_poll(endpoint, &record_) == 0;
    net::NextPhase();
    om_bus_endpoint_close(endpoint);
    return empty;
  });
  ASSERT_TRUE(phases.has_value());
  EXPECT_LT(net::TotalOf((*phases)[1]), kPolls / 10);
}

TEST_F(EndedStreamTest, OfEmptyPollsOfAStreamThatLivesOneIn64AsksTheSystemAtMost) {
  constexpr int kPolls = 64'000;
  if (!net::CountSyscalls([] { return true; }).has_value()) GTEST_SKIP() << "ptrace is not allowed";
  const auto phases = net::CountSyscalls([&] {
    OmBusStream* const stream = Make();
    OmBusEndpoint* const endpoint = Open();
    bool empty = true;
    net::NextPhase();
    for (int i = 0; i < kPolls / 2; ++i) {
      empty &= om_bus_endpoint_poll(endpoint, &record_) == 0;
      empty &= om_bus_endpoint_poll_batch(endpoint, &record_, 1) == 0;
    }
    net::NextPhase();
    om_bus_endpoint_close(endpoint);
    om_bus_stream_destroy(stream);
    return empty;
  });
  ASSERT_TRUE(phases.has_value());
  EXPECT_LE(net::TotalOf((*phases)[1]), 2 * kPolls / 64) << "the clock may be one, too";
}

TEST_F(EndedStreamTest, TheNextPollTellsOfANewStreamOfAnotherProcess) {
  OmBusEndpoint* const endpoint = OpenEnded();
  ASSERT_EQ(om_bus_endpoint_poll(endpoint, &record_), 0);
  const auto owner = StartOwner();
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record_), OM_ERR_BUS_EPOCH_CHANGED);
  owner->Tell();
  EXPECT_EQ(owner->Wait(), 0);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record_), OM_ERR_BUS_EPOCH_CHANGED);  // for good
  om_bus_endpoint_close(endpoint);
}

// By `rm`, or by systemd's RemoveIPC: nothing in the object tells of that, nor of its successor.
TEST_F(EndedStreamTest, PollsTellThatTheObjectWasRemovedAndAnotherHasItsName) {
  constexpr int kPollsMax = 1'000'000'000;  // it looks every 100 ms
  for (const bool batch : {false, true}) {
    const auto poll = [&](OmBusEndpoint* endpoint) {
      return batch ? om_bus_endpoint_poll_batch(endpoint, &record_, 1)
                   : om_bus_endpoint_poll(endpoint, &record_);
    };
    const auto first = StartOwner();
    OmBusEndpoint* const endpoint = Open();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(poll(endpoint), 0);  // and it has looked
    first->Kill();
    ASSERT_EQ(shm_unlink(name_.str().c_str()), 0);
    EXPECT_EQ(poll(endpoint), 0);
    const auto second = StartOwner();
    int code = 0;
    for (int i = 0; i < kPollsMax && code == 0; ++i) code = poll(endpoint);
    EXPECT_EQ(code, OM_ERR_BUS_EPOCH_CHANGED);
    EXPECT_EQ(poll(endpoint), OM_ERR_BUS_EPOCH_CHANGED) << "for good";
    om_bus_endpoint_close(endpoint);
    OmBusEndpoint* const anew = Open();
    EXPECT_EQ(poll(anew), 0);
    om_bus_endpoint_close(anew);
    second->Tell();
    EXPECT_EQ(second->Wait(), 0);
  }
}

}  // namespace
}  // namespace ombus

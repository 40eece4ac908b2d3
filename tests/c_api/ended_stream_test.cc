// What a poll of a stream costs that was destroyed, and how it finds out that the name has come
// back.
#include <gtest/gtest.h>

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
  // Of a stream that is then destroyed.
  OmBusEndpoint* OpenEnded() {
    OmBusStream* const stream = Make();
    OmBusEndpointConfig config = {};
    config.stream_name = name_.str().c_str();
    OmBusEndpoint* endpoint = nullptr;
    EXPECT_EQ(om_bus_endpoint_open(&endpoint, &config), 0);
    om_bus_stream_destroy(stream);
    return endpoint;
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

TEST_F(EndedStreamTest, TheNextPollTellsOfANewStreamOfAnotherProcess) {
  OmBusEndpoint* const endpoint = OpenEnded();
  ASSERT_EQ(om_bus_endpoint_poll(endpoint, &record_), 0);
  ChildProcess child([&](ChildProcess::Parent& parent) {
    OmBusStream* const stream = Make();
    parent.Tell();
    parent.Await();
    om_bus_stream_destroy(stream);
    return 0;
  });
  ASSERT_TRUE(child.Await());
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record_), OM_ERR_BUS_EPOCH_CHANGED);
  child.Tell();
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(om_bus_endpoint_poll(endpoint, &record_), OM_ERR_BUS_EPOCH_CHANGED);  // for good
  om_bus_endpoint_close(endpoint);
}

}  // namespace
}  // namespace ombus

// Consumer::Open seen from outside while it is under way: this program's own getpid, which Open
// calls last, runs a test's function first.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/ring/raw_object.h"
#include "tests/ring/ring_fixture.h"

namespace {

std::function<void()> before_getpid;

}  // namespace

extern "C" {
pid_t InterceptedGetpid() __asm__("getpid");
pid_t InterceptedGetpid() {
  if (before_getpid) before_getpid();
  return static_cast<pid_t>(syscall(SYS_getpid));
}
}

namespace ombus {
namespace {

class ConsumerOpenTest : public RingFixture {
 protected:
  void TearDown() override { before_getpid = nullptr; }
};

// Whoever waits for a reader to publish would else publish what this one, whose line holds the
// producer back already, then joins behind.
TEST_F(ConsumerOpenTest, IsNoLiveConsumerBeforeItHasJoinedThoughItsLineHadAnOwner) {
  auto producer = MakeProducer();
  RawObject object(name_.str());
  MakeConsumer().reset();
  ASSERT_NE(object.line(0).pid.load(), 0u) << "the former owner's stays";
  std::optional<uint32_t> counted;
  before_getpid = [&] {
    if (LineHoldsBack(object.line(0).control.load())) counted = producer->live_consumers();
  };
  auto consumer = MakeConsumer();
  before_getpid = nullptr;
  ASSERT_TRUE(counted.has_value()) << "Open no longer asks for its process between the two";
  EXPECT_EQ(*counted, 0u);
  EXPECT_EQ(producer->live_consumers(), 1u);
}

}  // namespace
}  // namespace ombus

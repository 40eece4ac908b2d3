// RingFixture: a test with a stream of its own, gone at its end, and the making of its two ends.
#ifndef OMBUS_TESTS_RING_RING_FIXTURE_H_
#define OMBUS_TESTS_RING_RING_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/ring/ring_test_name.h"

namespace ombus {

class RingFixture : public testing::Test {
 protected:
  std::unique_ptr<Producer> MakeProducer(ProducerOptions options = {}) {
    options.name = name_.str();
    auto made = Producer::Create(options);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? std::move(*made) : nullptr;
  }
  std::unique_ptr<Consumer> MakeConsumer(ConsumerOptions options = {}) {
    options.name = name_.str();
    auto made = Consumer::Open(options);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? std::move(*made) : nullptr;
  }

  RingTestName name_;
};

}  // namespace ombus

#endif  // OMBUS_TESTS_RING_RING_FIXTURE_H_

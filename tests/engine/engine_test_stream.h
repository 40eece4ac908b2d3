// What the engine's tests share: a stream name that no other test has, payloads that can be told
// apart byte for byte, and a wait that ends as soon as it can.
#ifndef OMBUS_TESTS_ENGINE_ENGINE_TEST_STREAM_H_
#define OMBUS_TESTS_ENGINE_ENGINE_TEST_STREAM_H_

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ombus/producer.h"

namespace ombus {

class TestStream {
 public:
  TestStream() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string unique = test->name();
    for (char& c : unique) c = c == '/' ? '-' : c;
    name_ = "/om-e-" + std::to_string(getpid()) + "-" + unique.substr(0, 180);
  }
  ~TestStream() {
    if (getpid() == owner_) shm_unlink(name_.c_str());
  }
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;

  const std::string& name() const { return name_; }

 private:
  std::string name_;
  pid_t owner_ = getpid();
};

// Not inlined: g++ 12 finds false overflows in constant-folded copies.
// The payload that belongs to a sequence: its length and each byte follow from it.
[[gnu::noinline]] inline std::vector<uint8_t> PayloadOf(uint64_t wal_seq) {
  std::vector<uint8_t> payload(wal_seq % 200);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(wal_seq * 31 + i);
  return payload;
}
inline uint8_t TypeOf(uint64_t wal_seq) { return static_cast<uint8_t>(1 + wal_seq % 50); }

[[gnu::noinline]] inline PublishResult PublishOne(Producer& producer, uint64_t wal_seq,
                                                  uint64_t timeout_ns = 20'000'000'000) {
  const std::vector<uint8_t> payload = PayloadOf(wal_seq);
  return producer.Publish({.wal_seq = wal_seq,
                           .payload = payload.data(),
                           .size = static_cast<uint16_t>(payload.size()),
                           .type = TypeOf(wal_seq)},
                          timeout_ns);
}

// Whether `done` came true within a time that only a hanging test uses up.
template <typename F>
bool Eventually(F&& done, std::chrono::seconds limit = std::chrono::seconds(15)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));  // what it looks at has its turn
  }
  return true;
}

inline std::unique_ptr<Producer> MakeProducer(const std::string& name,
                                              ProducerOptions options = {}) {
  options.name = name;
  Result<std::unique_ptr<Producer>> made = Producer::Create(options);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return made.ok() ? std::move(*made) : nullptr;
}

}  // namespace ombus

#endif  // OMBUS_TESTS_ENGINE_ENGINE_TEST_STREAM_H_

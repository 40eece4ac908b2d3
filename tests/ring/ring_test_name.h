// A stream name that no other test has, removed at the end.
#ifndef OMBUS_TESTS_RING_RING_TEST_NAME_H_
#define OMBUS_TESTS_RING_RING_TEST_NAME_H_

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace ombus {

class RingTestName {
 public:
  RingTestName() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    name_ =
        "/ombus-test-" + std::to_string(getpid()) + "-" + std::string(test->name()).substr(0, 200);
    std::replace(name_.begin() + 1, name_.end(), '/', '-');  // of a test with a parameter
  }
  ~RingTestName() {
    if (getpid() == owner_) shm_unlink(name_.c_str());
  }
  RingTestName(const RingTestName&) = delete;
  RingTestName& operator=(const RingTestName&) = delete;

  const std::string& str() const { return name_; }

 private:
  std::string name_;
  pid_t owner_ = getpid();
};

}  // namespace ombus

#endif  // OMBUS_TESTS_RING_RING_TEST_NAME_H_

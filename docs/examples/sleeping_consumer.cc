// Reads a stream and sleeps while there is nothing: no core is spent on waiting, and the producer
// pays nothing for it.
//
//   sleeping_consumer /orders
//
// g++ -std=c++20 sleeping_consumer.cc $(pkg-config --cflags --libs ombus) -o sleeping_consumer
#include <ombus/consumer.h>

#include <chrono>
#include <cstdio>
#include <thread>

namespace {

constexpr uint64_t kSleepNs = 100'000'000;  // with a timeout: a killed producer wakes nobody

ombus::Result<std::unique_ptr<ombus::Consumer>> OpenWhenThere(const char* name) {
  while (true) {
    auto consumer = ombus::Consumer::Open({.name = name});
    const ombus::StatusCode code = consumer.status().code();
    if (code != ombus::StatusCode::kNotFound && code != ombus::StatusCode::kUnavailable) {
      return consumer;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: sleeping_consumer /NAME\n"), 2;
  auto consumer = OpenWhenThere(argv[1]);
  if (!consumer.ok()) {
    return std::fprintf(stderr, "%s\n", consumer.status().message().c_str()), 1;
  }
  unsigned long long records = 0, gaps = 0;
  ombus::Record record;
  ombus::PollResult result = ombus::PollResult::kEmpty;
  while (result != ombus::PollResult::kClosed) {
    result = (*consumer)->Poll(&record);
    if (result == ombus::PollResult::kEmpty) {
      (*consumer)->Wait(kSleepNs);
    } else if (ombus::IsRecord(result)) {
      ++records;
      if (result == ombus::PollResult::kGap) ++gaps;
    }
  }
  std::printf("received %llu records, %llu gaps\n", records, gaps);
  return 0;
}

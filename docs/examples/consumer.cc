// Reads a stream until its producer ends it, by polling: the lowest latency, a core of its own.
//
//   consumer /orders
//
// g++ -std=c++20 consumer.cc $(pkg-config --cflags --libs ombus) -o consumer
#include <ombus/consumer.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: consumer /NAME\n"), 2;
  ombus::ConsumerOptions options;
  options.name = argv[1];
  auto consumer = ombus::Consumer::Open(options);
  while (!consumer.ok() && (consumer.status().code() == ombus::StatusCode::kNotFound ||
                            consumer.status().code() == ombus::StatusCode::kUnavailable)) {
    consumer = ombus::Consumer::Open(options);  // until the producer is there
  }
  if (!consumer.ok()) {
    return std::fprintf(stderr, "%s\n", consumer.status().message().c_str()), 1;
  }
  unsigned long long records = 0, gaps = 0;
  ombus::PollResult end = ombus::PollResult::kEmpty;
  while (end != ombus::PollResult::kClosed) {
    end = (*consumer)
              ->Drain(256,
                      [&](const ombus::Record& record) {
                        // record.payload points into the ring: use it now, or copy it.
                        ++records;
                        if ((record.flags & ombus::kRecordGap) != 0) ++gaps;
                      })
              .end;
    if (end == ombus::PollResult::kEmpty) (*consumer)->CheckName();
    if (end == ombus::PollResult::kEvicted) {
      std::fprintf(stderr, "too slow: %llu records lost\n",
                   static_cast<unsigned long long>((*consumer)->lost_records()));
    }
  }
  std::printf("received %llu records, %llu gaps\n", records, gaps);
  return 0;
}

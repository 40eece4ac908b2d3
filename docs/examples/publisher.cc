// Publishes COUNT records into a ring, each written in place. Each carries its own number.
//
//   publisher /orders 1000 2     waits for 2 consumers, then publishes 1000 records
//
// g++ -std=c++20 publisher.cc $(pkg-config --cflags --libs ombus) -o publisher
#include <ombus/producer.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: publisher /NAME COUNT CONSUMERS\n"), 2;
  const uint64_t count = std::strtoull(argv[2], nullptr, 10);
  const uint64_t consumers = std::strtoull(argv[3], nullptr, 10);

  ombus::ProducerOptions options;
  options.name = argv[1];
  auto producer = ombus::Producer::Create(options);
  if (!producer.ok()) {
    return std::fprintf(stderr, "%s\n", producer.status().message().c_str()), 1;
  }
  while ((*producer)->live_consumers() < consumers) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (uint64_t seq = 1; seq <= count; ++seq) {
    void* room = (*producer)->TryReserve();  // in the ring itself: nothing is copied
    while (room == nullptr) {                // the slowest consumer is a whole ring behind
      if ((*producer)->WaitForRoom(ombus::kWaitForever) != ombus::PublishResult::kOk) return 1;
      room = (*producer)->TryReserve();
    }
    std::memcpy(room, &seq, sizeof(seq));
    if ((*producer)->Commit(seq, 1, sizeof(seq)) != ombus::PublishResult::kOk) return 1;
  }
  (*producer)->Close();  // consumers drain the ring and are told that it has ended
  std::printf("published %llu records\n", static_cast<unsigned long long>(count));
  return 0;
}

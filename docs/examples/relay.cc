// A producer whose process also runs the relay, in a thread of its own: remote clients receive what
// is published, and no other program is needed on this host.
//
//   relay /orders 1 <file     waits for 1 client, then publishes the lines of standard input
//
// g++ -std=c++20 relay.cc $(pkg-config --cflags --libs ombus) -pthread -o relay
#include <ombus/producer.h>
#include <ombus/relay.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

namespace {

int Fail(const ombus::Status& status) {
  std::fprintf(stderr, "%s\n", status.message().c_str());
  return 1;
}

ombus::RelayOptions OptionsFor(const char* stream, uint32_t clients) {
  ombus::RelayOptions options;
  options.stream = stream;
  options.server.slow_client_policy = ombus::SlowClientPolicy::kWait;  // lossless end to end
  options.wait_clients = clients;
  options.on_end = ombus::StreamEnd::kExit;
  options.on_event = [](const ombus::ServerEvent& event) {
    std::fprintf(stderr, "relay: %s\n", event.text.c_str());
  };
  return options;
}

// Each line of standard input is a record. False if the stream is not ours any more.
bool PublishLines(ombus::Producer& producer, uint64_t* published) {
  for (std::string line; std::getline(std::cin, line);) {
    const ombus::Record record{.wal_seq = ++*published,
                               .payload = line.data(),
                               .size = static_cast<uint16_t>(line.size()),
                               .type = 1};
    // Waits while the slowest reader, here the relay, is a whole ring behind.
    if (producer.Publish(record) != ombus::PublishResult::kOk) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: relay /NAME CLIENTS\n"), 2;
  const auto clients = static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10));
  auto producer = ombus::Producer::Create({.name = argv[1], .slot_size = 1024});
  if (!producer.ok()) return Fail(producer.status());
  auto relay = ombus::Relay::Create(OptionsFor(argv[1], clients));
  if (!relay.ok()) return Fail(relay.status());

  ombus::Status ended;
  std::thread thread([&] { ended = (*relay)->Run(); });
  std::printf("listening on %u\n", (*relay)->port());
  std::fflush(stdout);
  while ((*producer)->live_consumers() == 0) {  // the relay, once its clients are there
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  uint64_t published = 0;
  const bool all = PublishLines(**producer, &published);
  (*producer)->Close();  // the relay flushes its clients, tells them, and returns
  thread.join();
  if (!ended.ok()) return Fail(ended);
  std::printf("relayed %llu records\n", static_cast<unsigned long long>(published));
  return all ? 0 : 1;
}

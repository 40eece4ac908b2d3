// A program outside the tree, as a user writes it: ten records through a ring, and a server that
// starts and stops. It sees nothing but what is installed.
#include <ombus/consumer.h>
#include <ombus/producer.h>
#include <ombus/server.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace {

int Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  return 1;
}

int PassTenRecords() {
  ombus::ProducerOptions options;
  options.name = "/ombus-outside-" + std::to_string(getpid());
  auto producer = ombus::Producer::Create(options);
  if (!producer.ok()) return Fail(producer.status().message());
  ombus::ConsumerOptions reader;
  reader.name = options.name;
  auto consumer = ombus::Consumer::Open(reader);
  if (!consumer.ok()) return Fail(consumer.status().message());

  for (uint64_t seq = 1; seq <= 10; ++seq) {
    ombus::Record record;
    record.wal_seq = seq;
    record.payload = &seq;
    record.size = sizeof(seq);
    record.type = 1;
    if ((*producer)->Publish(record) != ombus::PublishResult::kOk) return Fail("publish");
  }
  for (uint64_t seq = 1; seq <= 10; ++seq) {
    ombus::Record record;
    if ((*consumer)->Poll(&record) != ombus::PollResult::kRecord) return Fail("poll");
    if (record.wal_seq != seq || record.size != sizeof(seq)) return Fail("another record came");
  }
  return 0;
}

int StartAndStopServer() {
  auto server = ombus::Server::Create(ombus::ServerOptions{});
  if (!server.ok()) return Fail(server.status().message());
  if ((*server)->port() == 0) return Fail("no port");
  const ombus::Status turn = (*server)->PollIo(0);
  if (!turn.ok()) return Fail(turn.message());
  (*server)->Shutdown(0);
  return 0;
}

}  // namespace

int main() {
  const int ring = PassTenRecords();
  return ring != 0 ? ring : StartAndStopServer();
}

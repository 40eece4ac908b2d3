// Receives a stream over TCP and resumes after a restart: the sequence it is done with is kept in a
// cursor file. What the server no longer has is told as a gap, never skipped in silence.
//
//   tcp_client 127.0.0.1 7001 /var/lib/mine/cursor [STOP_AFTER]
//
// g++ -std=c++20 tcp_client.cc $(pkg-config --cflags --libs ombus) -o tcp_client
#include <ombus/client.h>
#include <ombus/cursor_file.h>

#include <cstdio>
#include <cstdlib>

namespace {

int Fail(const ombus::Status& status) {
  std::fprintf(stderr, "%s\n", status.message().c_str());
  return 1;
}

ombus::ClientOptions OptionsFor(const char* host, const char* port, uint64_t resume_from) {
  ombus::ClientOptions options;
  options.host = host;
  options.port = static_cast<uint16_t>(std::strtoul(port, nullptr, 10));
  options.resume_from = resume_from;  // 0: whatever comes next
  options.reconnect = true;           // resumes by itself after a lost connection, too
  options.max_retries = 50;
  return options;
}

struct Totals {
  unsigned long long records = 0, missing = 0;
};

// Until the stream ends, the connection is lost for good, or stop_after records have come.
ombus::ClientResult Receive(ombus::Client& client, uint64_t stop_after, Totals* totals) {
  ombus::ClientResult result = ombus::ClientResult::kEmpty;
  while (result < ombus::ClientResult::kEndOfStream && totals->records < stop_after) {
    ombus::Record record;
    result = client.Poll(&record, 1'000'000'000);
    if (result == ombus::ClientResult::kGap) {
      totals->missing += record.wal_seq - client.expected_wal_seq();
    }
    if (result == ombus::ClientResult::kRecord || result == ombus::ClientResult::kGap) {
      ++totals->records;
    }
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: tcp_client HOST PORT CURSOR [STOP_AFTER]\n"), 2;
  const uint64_t stop_after = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : ~uint64_t{0};
  const ombus::Result<uint64_t> done = ombus::LoadCursorFile(argv[3]);
  if (!done.ok() && done.status().code() != ombus::StatusCode::kNotFound) {
    return Fail(done.status());
  }
  auto client = ombus::Client::Connect(OptionsFor(argv[1], argv[2], done.ok() ? *done + 1 : 0));
  if (!client.ok()) return Fail(client.status());
  Totals totals;
  const ombus::ClientResult result = Receive(**client, stop_after, &totals);
  if (result > ombus::ClientResult::kEndOfStream) Fail((*client)->status());
  const uint64_t last = totals.records > 0 ? (*client)->wal_seq() : done.ok() ? *done : 0;
  if (const auto saved = ombus::SaveCursorFile(argv[3], last); !saved.ok()) return Fail(saved);
  std::printf("received %llu records up to %llu, %llu missing\n", totals.records,
              static_cast<unsigned long long>(last), totals.missing);
  return 0;
}

// DueRecord and LatencyClients: records that carry the time they were due, and the clients that
// measure against it, for the open-loop modes of `ombus bench`.
//
// Threads: one each; both processes are on one host and so on one clock.
#ifndef OMBUS_TOOLS_LATENCY_CLIENTS_H_
#define OMBUS_TOOLS_LATENCY_CLIENTS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "net/socket.h"
#include "ombus/histogram.h"
#include "ombus/record.h"
#include "ombus/status.h"
#include "tools/bench_content.h"

namespace ombus::tools {

class DueRecord {
 public:
  explicit DueRecord(uint32_t size) : payload_(size) {}
  // due_ns 0: it counts as a record and its time does not. The payload is good until the next.
  Record Make(uint64_t wal_seq, uint64_t due_ns) {
    std::memcpy(payload_.data(), &due_ns, sizeof due_ns);
    const uint64_t word = BenchWord(wal_seq);
    std::memcpy(payload_.data() + payload_.size() - sizeof word, &word, sizeof word);
    return {wal_seq, payload_.data(), static_cast<uint16_t>(payload_.size()), 1, 0};
  }

 private:
  std::vector<unsigned char> payload_;
};

// A connection to this host.
Result<net::UniqueFd> ConnectLoopback(uint16_t port);

// The clients of one sender, read busily in turn. `mode` names the benchmark in errors.
class LatencyClients {
 public:
  LatencyClients(const char* mode, uint32_t size) : mode_(mode), size_(size) {}

  Status Connect(uint16_t port, uint32_t clients);
  // How many records came, or an error where one is wrong.
  Result<uint64_t> ReadAll();
  const Histogram& times() const { return times_; }

 private:
  static constexpr size_t kBufferBytes = 128u << 10;  // of the largest frame two
  struct Client {
    net::UniqueFd socket;
    std::vector<std::byte> buffer;
    size_t filled = 0;
    uint64_t wal_seq = 0;
  };

  Status Error(const std::string& what) const;
  Status Take(Client* client, uint64_t now_ns, uint64_t* records);

  const char* const mode_;
  const uint32_t size_;
  std::vector<Client> clients_;
  Histogram times_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_LATENCY_CLIENTS_H_

// FakeServer: stands in for BasicServer in the tests of the relay's loop. It keeps what is
// broadcast, has as much room as the test says, and sleeps on nothing but the watched descriptor.
//
// Threads: the relay's calls from its thread; the rest is atomic or locked, for the test's.
#ifndef OMBUS_TESTS_ENGINE_FAKE_SERVER_H_
#define OMBUS_TESTS_ENGINE_FAKE_SERVER_H_

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ombus/server.h"
#include "ombus/wire.h"

namespace ombus {

// What the test and the server it has given away both see.
struct FakeWorld {
  std::atomic<uint64_t> room{1u << 20};
  std::atomic<uint32_t> clients{1};
  std::atomic<uint64_t> turns{0}, long_turns{0};
  std::atomic<uint32_t> record_bytes_max{65535};
  std::atomic<int> refusals{0};  // so many Broadcasts are answered kFull
  std::atomic<bool> flushed{false};
  std::atomic<int> bye{0};
  std::atomic<bool> destroyed{false};
  std::mutex mutex;
  std::vector<std::pair<uint64_t, bool>> epochs;                   // begun, and whether whole
  std::vector<std::pair<uint64_t, std::vector<uint8_t>>> records;  // wal_seq and payload

  size_t count() {
    const std::lock_guard<std::mutex> lock(mutex);
    return records.size();
  }
  std::vector<uint64_t> sequences() {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<uint64_t> all;
    for (const auto& record : records) all.push_back(record.first);
    return all;
  }
};

class FakeServer {
 public:
  explicit FakeServer(FakeWorld* world) : world_(world) {}
  ~FakeServer() { world_->destroyed = true; }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  BroadcastResult Broadcast(const Record& record) {
    if (record.size > world_->record_bytes_max) return BroadcastResult::kTooLarge;
    const bool refused = world_->refusals > 0;
    if (refused) --world_->refusals;
    if (refused || world_->room < kFrameHeaderBytes + record.size) {
      return BroadcastResult::kFull;
    }
    const auto* bytes = static_cast<const uint8_t*>(record.payload);
    const std::lock_guard<std::mutex> lock(world_->mutex);
    world_->records.emplace_back(record.wal_seq, std::vector<uint8_t>(bytes, bytes + record.size));
    return BroadcastResult::kOk;
  }
  void BeginEpoch(uint64_t epoch, bool whole) {
    const std::lock_guard<std::mutex> lock(world_->mutex);
    world_->epochs.emplace_back(epoch, whole);
  }
  Status Turn(uint64_t timeout_ns) {
    ++world_->turns;
    if (timeout_ns == 0) return Status();
    ++world_->long_turns;
    pollfd watched{watched_fd_, POLLIN, 0};
    poll(&watched, 1, static_cast<int>(std::max<uint64_t>(1, timeout_ns / 1'000'000)));
    return Status();
  }
  uint64_t room() const { return world_->room; }
  Status WatchDescriptor(int fd) {
    watched_fd_ = fd;
    return Status();
  }
  bool Flush(uint64_t) {
    world_->flushed = true;
    return true;
  }
  void Shutdown(uint64_t, ByeReason why) { world_->bye = static_cast<int>(why); }
  uint32_t client_count() const { return world_->clients; }
  uint16_t port() const { return 7; }
  const char* backend_name() const { return "fake"; }
  ServerStats stats() const { return {}; }
  std::vector<ServerEvent> TakeEvents() { return {}; }

 private:
  FakeWorld* world_;
  int watched_fd_ = -1;
};

}  // namespace ombus

#endif  // OMBUS_TESTS_ENGINE_FAKE_SERVER_H_

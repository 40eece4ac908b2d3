// EgressGroup: several egress threads as one server for the relay's loop: what that broadcasts is
// encoded once, into a log that all lanes send from. docs/decisions/egress-threads.md says why.
//
// Threads: the relay's, but for what the lanes do among themselves. Cost of a record: as without
// lanes; of a turn: a store, and a fence and a load for each lane.
#ifndef OMBUS_ENGINE_EGRESS_GROUP_H_
#define OMBUS_ENGINE_EGRESS_GROUP_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/egress_lane.h"
#include "engine/egress_reports.h"
#include "engine/egress_stats.h"
#include "net/basic_server.h"
#include "net/shared_log.h"
#include "ombus/relay.h"

namespace ombus::engine {

template <net::Backend B>
class EgressGroup {
 public:
  // A lane for each back end; the first one accepts.
  static Result<std::unique_ptr<EgressGroup>> Create(RelayOptions options,
                                                     std::vector<std::unique_ptr<B>> backends,
                                                     net::UniqueFd listener);
  ~EgressGroup() { Shutdown(0, ByeReason::kShutdown); }
  EgressGroup(const EgressGroup&) = delete;
  EgressGroup& operator=(const EgressGroup&) = delete;

  // Not ok: the group can only be shut down.
  Status StartThreads() {
    for (auto& lane : lanes_) {
      if (Status started = lane->Start(); !started.ok()) return started;
    }
    return Status();
  }

  BroadcastResult Broadcast(const Record& record) {
    const BroadcastResult result = log_->Broadcast(record);
    if (result == BroadcastResult::kFull) [[unlikely]]
      blocked_bytes_ = net::FrameBytes(record.size);
    return result;
  }
  void BeginEpoch(uint64_t epoch, bool whole) { log_->BeginEpoch(epoch, whole); }

  // Lets the lanes see what was broadcast; waits for a record that was refused to find room, for a
  // client to come or go, or for the descriptor watched.
  Status Turn(uint64_t timeout_ns) {
    Publish();
    const uint64_t blocked = std::exchange(blocked_bytes_, 0);
    if (timeout_ns != 0) {
      const uint32_t news = EgressReports::kClients | EgressReports::kFailure |
                            (blocked != 0 ? EgressReports::kProgress : 0);
      reports_->Await(news, watched_, timeout_ns, [&] {
        return reports_->failed() || client_count() != clients_seen_ ||
               (blocked != 0 && log_->room() >= blocked);
      });
      clients_seen_ = client_count();
    }
    return reports_->failed() ? reports_->status() : Status();
  }
  uint64_t room() { return log_->room(); }
  // The caller's.
  Status WatchDescriptor(int fd) {
    watched_ = fd;
    return Status();
  }

  bool Flush(uint64_t timeout_ns) {
    Publish();
    const uint64_t end_ns = AddNs(NowNs(), timeout_ns);
    uint64_t now_ns = 0;
    while (!log_->Drained() && (now_ns = NowNs()) < end_ns) {
      reports_->Await(EgressReports::kProgress, -1, end_ns - now_ns,
                      [this] { return log_->Drained(); });
    }
    return log_->Drained();
  }
  // Ends the threads.
  void Shutdown(uint64_t timeout_ns, ByeReason why) {
    for (auto& lane : lanes_) lane->Stop(timeout_ns, why);
    for (auto& lane : lanes_) lane->Join();
  }

  uint32_t client_count() const {
    uint32_t count = 0;
    for (const auto& lane : lanes_) count += lane->client_count();
    return count;
  }
  uint16_t port() const { return lanes_[0]->server().port(); }
  const char* backend_name() const { return lanes_[0]->server().backend_name(); }
  std::vector<ServerEvent> TakeEvents() { return reports_->TakeEvents(); }
  std::vector<EgressStats> egress() const {
    std::vector<EgressStats> all;
    for (const auto& lane : lanes_) all.push_back(lane->stats());
    return all;
  }
  ServerStats stats() const {
    const net::BroadcastLog& log = log_->log();
    return SumOf(egress(), log.frames(), log.head() - log.frames() * kFrameHeaderBytes);
  }

 private:
  using Lane = EgressLane<net::BasicServer<B>>;

  EgressGroup(std::unique_ptr<net::SharedLog> log, std::unique_ptr<EgressReports> reports)
      : log_(std::move(log)), reports_(std::move(reports)) {}

  Status AddLane(const RelayOptions& options, std::unique_ptr<B> backend, net::UniqueFd listener,
                 std::shared_ptr<net::Admission> admission);

  void Publish() {
    if (!log_->Publish()) return;
    for (auto& lane : lanes_) lane->Wake();
  }

  // In the first lane's thread: to whom has the fewest, the first one itself where that is it.
  bool Deal(int fd) {
    size_t to = 0;
    uint32_t fewest = lanes_[0]->server().connected();
    for (size_t i = 1; i < lanes_.size(); ++i) {
      const uint32_t load = lanes_[i]->load();
      if (load < fewest) {
        fewest = load;
        to = i;
      }
    }
    if (to != 0) lanes_[to]->Take(net::UniqueFd(fd));
    return to != 0;
  }

  const std::unique_ptr<net::SharedLog> log_;  // outlives the lanes
  const std::unique_ptr<EgressReports> reports_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  int watched_ = -1;
  uint64_t blocked_bytes_ = 0;  // of the frame that was refused since the last turn; 0: none
  uint32_t clients_seen_ = 0;
};

template <net::Backend B>
Result<std::unique_ptr<EgressGroup<B>>> EgressGroup<B>::Create(
    RelayOptions options, std::vector<std::unique_ptr<B>> backends, net::UniqueFd listener) {
  ServerOptions& server = options.server;
  if (Status status = net::SessionTable::CheckOptions(&server); !status.ok()) return status;
  if (server.catch_up != nullptr) server.catch_up = OneAtATime(server.catch_up);
  auto log = net::SharedLog::Create(server, static_cast<uint32_t>(backends.size()));
  if (!log.ok()) return log.status();
  auto reports = EgressReports::Create();
  if (!reports.ok()) return reports.status();
  std::unique_ptr<EgressGroup> group(new EgressGroup(std::move(*log), std::move(*reports)));
  const auto admission =
      std::make_shared<net::Admission>(server.max_clients, server.max_clients_per_address);
  for (auto& backend : backends) {
    if (Status added =
            group->AddLane(options, std::move(backend), std::exchange(listener, {}), admission);
        !added.ok()) {
      return added;
    }
  }
  return group;
}

template <net::Backend B>
Status EgressGroup<B>::AddLane(const RelayOptions& options, std::unique_ptr<B> backend,
                               net::UniqueFd listener, std::shared_ptr<net::Admission> admission) {
  const auto number = static_cast<uint32_t>(lanes_.size());
  auto bell = Bell::Create();
  if (!bell.ok()) return bell.status();
  net::SharedPart part{.log = log_.get(), .reader = number, .admission = std::move(admission)};
  if (number == 0) part.deal = [this](int fd) { return Deal(fd); };
  auto server = net::BasicServer<B>::Create(std::move(backend), std::move(listener), options.server,
                                            std::move(part));
  if (!server.ok()) return server.status();
  lanes_.push_back(std::make_unique<Lane>(std::move(*server), std::move(*bell), options, number,
                                          log_.get(), reports_.get()));
  return Status();
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_EGRESS_GROUP_H_

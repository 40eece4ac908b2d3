// EgressLane: one thread that sends a shared log to clients of its own: take over what is
// published, send, receive, idle when there is nothing. Its server is a BasicServer over the log.
//
// Threads: Start, Wake, Stop and Join are the relay's; Take and load the acceptor's; stats any. All
// else runs in the lane's own.
#ifndef OMBUS_ENGINE_EGRESS_LANE_H_
#define OMBUS_ENGINE_EGRESS_LANE_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/bell.h"
#include "engine/cpu_pin.h"
#include "engine/egress_reports.h"
#include "engine/egress_thread.h"
#include "engine/idle_policy.h"
#include "engine/idle_rest.h"
#include "engine/memory_guard.h"
#include "engine/relay_clock.h"
#include "engine/stats_board.h"
#include "net/shared_log.h"
#include "net/socket.h"
#include "ombus/relay.h"
#include "ombus/wire.h"

namespace ombus::engine {

template <typename S>
class EgressLane {
 public:
  // Log and reports outlive the lane, which is the log's reader of that number.
  EgressLane(std::unique_ptr<S> server, std::unique_ptr<Bell> bell, const RelayOptions& options,
             uint32_t number, net::SharedLog* log, EgressReports* reports)
      : number_(number),
        cpu_(options.egress_cpus.empty() ? -1 : options.egress_cpus[number]),
        bell_(std::move(bell)),
        server_(std::move(server)),
        log_(log),
        reports_(reports),
        idle_(options.idle, options.idle_spin_ns) {}

  S& server() { return *server_; }
  Status Start() {
    return thread_.Start("ombus-egress-" + std::to_string(number_), [this] { Run(); });
  }
  void Wake() { bell_->RingIf(kPublished); }
  // Says BYE, flushes within the time and ends.
  void Stop(uint64_t timeout_ns, ByeReason why) {
    shutdown_ns_ = timeout_ns;
    why_ = why;
    stopping_.store(true, std::memory_order_release);
    bell_->Ring();
  }
  void Join() {
    thread_.Join();
    inbox_.clear();
  }

  // A connection that another lane has accepted.
  void Take(net::UniqueFd fd) {
    {
      const std::lock_guard<std::mutex> lock(inbox_mutex_);
      inbox_.push_back(std::move(fd));
    }
    waiting_.fetch_add(1, std::memory_order_release);
    bell_->Ring();
  }
  // How many connections are its business, those it has yet to take included; more than any other
  // has once it has failed.
  uint32_t load() const {
    if (failed_.load(std::memory_order_relaxed)) return ~uint32_t{0};
    return waiting_.load(std::memory_order_relaxed) + connected_.load(std::memory_order_relaxed);
  }
  uint32_t client_count() const { return clients_.load(std::memory_order_relaxed); }
  EgressStats stats() const { return board_.Read(); }

 private:
  static constexpr uint32_t kPublished = 1;                 // what it sleeps for
  static constexpr uint64_t kHousekeepingNs = 100'000'000;  // statistics posted, events told
  static constexpr uint64_t kWaitForRoomNs = 1'000'000;     // a socket with room ends it sooner

  void Run() {
    Status status;
    const bool enough = RunGuarded([&] {
      status = Serve();
      if (!status.ok()) reports_->Fail(status);
    });
    clients_.store(0, std::memory_order_relaxed);
    if (enough && status.ok()) return;
    failed_.store(true, std::memory_order_relaxed);
    log_->GiveUp(number_);
    if (!enough) reports_->FailForLackOfMemory();
    reports_->bell().RingIf(EgressReports::kProgress);
  }

  Status Serve() {
    if (cpu_ >= 0) {
      if (Status pinned = PinThisThread(cpu_); !pinned.ok()) return pinned;
    }
    Status status = server_->WatchDescriptor(bell_->fd());
    now_ns_ = busy_ns_ = NowNs();
    while (status.ok() && !stopping_.load(std::memory_order_acquire)) {
      status = OneTurn();
      if (now_ns_ - posted_ns_ >= kHousekeepingNs) Housekeep();
    }
    if (status.ok()) server_->Shutdown(shutdown_ns_, why_);
    GatherStats();
    board_.PostLast(stats_);
    reports_->Tell(server_->TakeEvents());
    return status;
  }

  Status OneTurn() {
    const uint64_t head = server_->head();
    if (waiting_.load(std::memory_order_acquire) != 0) TakeAll();
    if (Status status = Turn(0); !status.ok()) return status;
    if (server_->head() != head) {
      ++stats_.busy_turns;
      busy_ns_ = now_ns_;
      idle_.OnBusy();
      return Status();
    }
    ++stats_.idle_turns;
    // Where none may lose anything, a client holds it up.
    return server_->behind() ? Sleep(kWaitForRoomNs) : Idle();
  }

  Status Turn(uint64_t timeout_ns) {
    Status status = server_->Turn(timeout_ns);
    now_ns_ = NowNs();
    connected_.store(server_->connected(), std::memory_order_relaxed);
    const uint32_t clients = server_->client_count();
    const bool joined = clients_.exchange(clients, std::memory_order_relaxed) != clients;
    reports_->bell().RingIf(EgressReports::kProgress | (joined ? EgressReports::kClients : 0));
    return status;
  }

  void TakeAll() {
    std::vector<net::UniqueFd> taken;
    {
      const std::lock_guard<std::mutex> lock(inbox_mutex_);
      taken.swap(inbox_);
    }
    for (net::UniqueFd& fd : taken) server_->TakeClient(fd.Release());
    // First counted here, then no longer there.
    connected_.store(server_->connected(), std::memory_order_relaxed);
    waiting_.fetch_sub(static_cast<uint32_t>(taken.size()), std::memory_order_release);
  }

  Status Idle() {
    const IdleStep step = idle_.OnIdle(now_ns_ - busy_ns_);
    if (RestAwake(step.action)) return Status();
    if (step.action == IdleAction::kSleepFor) return Sleep(step.sleep_ns);
    bell_->Arm(kPublished);
    return Sleep(server_->behind() ? 0 : step.sleep_ns);
  }

  // A connection that is handed over and a stop ring whether it is armed or not.
  Status Sleep(uint64_t sleep_ns) {
    ++stats_.sleeps;
    if (now_ns_ - posted_ns_ >= kHousekeepingNs) Housekeep();
    Status status = Turn(sleep_ns);
    bell_->Disarm();
    return status;
  }

  void Housekeep() {
    posted_ns_ = now_ns_;
    GatherStats();
    board_.Post(stats_);
    reports_->Tell(server_->TakeEvents());
  }

  void GatherStats() {
    stats_.cpu = cpu_;
    stats_.clients = server_->client_count();
    stats_.server = server_->stats();
  }

  const uint32_t number_;
  const int cpu_;
  const std::unique_ptr<Bell> bell_;  // outlives the server, which watches it
  const std::unique_ptr<S> server_;
  net::SharedLog* const log_;
  EgressReports* const reports_;
  IdlePolicy idle_;
  uint64_t now_ns_ = 0, busy_ns_ = 0, posted_ns_ = 0;
  EgressStats stats_;
  StatsBoard<EgressStats> board_;

  std::mutex inbox_mutex_;
  std::vector<net::UniqueFd> inbox_;
  std::atomic<uint32_t> waiting_{0};  // in the inbox
  std::atomic<uint32_t> connected_{0}, clients_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> stopping_{false};
  uint64_t shutdown_ns_ = 0;
  ByeReason why_ = ByeReason::kShutdown;
  EgressThread thread_;  // the last: it runs over all of the above
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_EGRESS_LANE_H_

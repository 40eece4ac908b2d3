// RelayOn: the relay's loop over one server type: drain a burst from the ring into the broadcast
// log, let the server send, accept and receive, idle when there is nothing.
//
// The server is a type parameter (BasicServer over io_uring or epoll; a fake one in tests), so that
// a record passes no virtual call. Threads: as in ombus/relay.h.
#ifndef OMBUS_ENGINE_BASIC_RELAY_H_
#define OMBUS_ENGINE_BASIC_RELAY_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "engine/burst_policy.h"
#include "engine/cpu_pin.h"
#include "engine/event_desk.h"
#include "engine/idle_policy.h"
#include "engine/idle_rest.h"
#include "engine/relay_clock.h"
#include "engine/stats_board.h"
#include "engine/stream_feed.h"
#include "engine/wake_set.h"
#include "ombus/relay.h"
#include "ombus/wire.h"

namespace ombus::engine {

inline constexpr uint64_t kHousekeepingNs = 100'000'000;  // statistics posted, events told
inline constexpr uint64_t kWaitForRoomNs = 1'000'000;     // a socket with room ends it sooner
inline constexpr uint64_t kUnwokenSleepNs = 1'000'000;    // where no descriptor wakes us

template <typename S>
class RelayOn final : public Relay {
 public:
  RelayOn(const RelayOptions& options, std::unique_ptr<S> server, std::unique_ptr<WakeSet> wake,
          std::string note)
      : options_(options),
        wake_(std::move(wake)),
        server_(std::move(server)),
        feed_(options.stream, MillisToNs(options.stream_wait_ms), wake_.get()),
        burst_(options.burst_min, options.burst_max),
        idle_(options.idle, options.idle_spin_ns),
        desk_(options.on_event),
        start_note_(std::move(note)) {}

  Status Run() override {
    if (run_.exchange(true, std::memory_order_relaxed)) {
      return Status(StatusCode::kInvalidArgument,
                    "relay run: EINVAL; it runs or has run already: create another");
    }
    Status status = Start();
    while (status.ok() && !ended_ && !wake_->interrupted()) {
      status = feed_.attached() ? RelayTurn() : AttachTurn();
      if (now_ns_ - posted_ns_ >= kHousekeepingNs) Housekeep();
    }
    Finish();
    return status;
  }

  void Stop() override { wake_->Interrupt(); }
  uint16_t port() const override { return server_->port(); }
  const char* backend_name() const override { return server_->backend_name(); }
  RelayStats stats() const override { return board_.Read(); }

 private:
  Status Start() {
    // Before this one is pinned: threads begin where the one that starts them may run.
    if constexpr (requires { server_->StartThreads(); }) {
      if (Status started = server_->StartThreads(); !started.ok()) return started;
    }
    if (options_.cpu >= 0) {
      if (Status pinned = PinThisThread(options_.cpu); !pinned.ok()) return pinned;
    }
    now_ns_ = busy_ns_ = NowNs();
    if (!start_note_.empty()) desk_.Tell(std::exchange(start_note_, ""));
    return server_->WatchDescriptor(wake_->fd());
  }

  // Until the stream is there, clients are served, and awaited if so asked.
  Status AttachTurn() {
    uint64_t wait_ns = kHousekeepingNs;
    if (ever_attached_ || server_->client_count() >= options_.wait_clients) {
      if (Status status = feed_.TryAttach(now_ns_); !status.ok()) return status;
      if (feed_.attached()) return OnAttached();
      if (std::string why = feed_.TakeComplaint(); !why.empty()) desk_.Tell(std::move(why));
      wait_ns = feed_.retry_wait_ns(now_ns_);
    }
    Status status = server_->Turn(wait_ns);
    now_ns_ = NowNs();
    return status;
  }

  Status OnAttached() {
    ever_attached_ = true;
    placement_checked_ = options_.cpu < 0;
    closed_told_ = false;
    lost_before_ = stats_.records_lost;
    busy_ns_ = now_ns_;
    const Consumer& consumer = feed_.consumer();
    desk_.Tell("stream \"" + feed_.stream() + "\": attached at position " +
               std::to_string(consumer.tail()));
    BeginEpoch(consumer.missed_records());
    if (options_.idle == IdleStrategy::kSleep && !feed_.wakes()) desk_.Tell(feed_.wake_note());
    frame_bytes_max_ = kFrameHeaderBytes + feed_.consumer().payload_max();
    return Status();
  }

  // The clients are told of another producer, and whether they get its records from the first one
  // on. Whoever finds a stream that was there before joins live and has missed nothing.
  void BeginEpoch(uint64_t missed) {
    const uint64_t epoch = feed_.consumer().epoch();
    if (epoch == epoch_) return;
    server_->BeginEpoch(epoch, missed == 0);
    epoch_ = epoch;
    next_wal_seq_ = 0;
    if (missed == 0) return;
    stats_.records_missed += missed;
    desk_.Tell("stream \"" + feed_.stream() + "\": " + std::to_string(missed) +
               " records were published before the relay was attached again");
  }

  // Where no client may lose anything, a turn reads only what surely finds room, so that the ring
  // fills up behind a slow client and its backpressure reaches the producer. One record is always
  // read and offered: being refused is what the server times the slow client by.
  size_t BurstThatFits() {
    const uint64_t burst = burst_.burst();
    if (options_.server.slow_client_policy != SlowClientPolicy::kWait) return burst;
    return std::clamp<uint64_t>(server_->room() / frame_bytes_max_, 1, burst);
  }

  Status RelayTurn() {
    const uint64_t start_ns = now_ns_;
    const size_t burst = BurstThatFits();
    const BatchResult batch = feed_.consumer().Drain(burst, [this](const Record& r) { Take(r); });
    Status status = server_->Turn(0);
    now_ns_ = NowNs();
    ++stats_.turns;
    if (!status.ok()) return status;
    if (batch.count > 0) {
      OnBusy(batch.count, burst, now_ns_ - start_ns);
      return Status();
    }
    return batch.end == PollResult::kEmpty ? Idle() : OnRingEvent(batch.end);
  }

  // The payload is copied before anybody asks whether it was still whole: the producer may evict us
  // and write over it at any time.
  void Take(const Record& record) {
    Record copy = record;
    copy.payload = copy_.data();
    std::memcpy(copy_.data(), record.payload, record.size);
    if (!feed_.consumer().valid()) [[unlikely]] {
      return LoseOne();  // the ring counts those after it
    }
    ring_page_ = record.payload;
    if (record.wal_seq != next_wal_seq_) [[unlikely]]
      NoteJump(record.wal_seq);
    next_wal_seq_ = record.wal_seq + 1;
    const BroadcastResult result = server_->Broadcast(copy);
    if (result != BroadcastResult::kOk) [[unlikely]]
      BroadcastSlow(copy, result);
  }

  void NoteJump(uint64_t wal_seq) {
    // Sequences that start anew, or lower, are the application's business.
    if (next_wal_seq_ == 0 || wal_seq < next_wal_seq_) return;
    ++stats_.gaps;
    desk_.OnGap(next_wal_seq_, wal_seq);
  }

  // Offers a refused record again until the slow client has caught up or was cut. It is out of the
  // ring already, so also an orderly stop gives it its flush_ms.
  void BroadcastSlow(const Record& record, BroadcastResult result) {
    uint64_t give_up_ns = ~uint64_t{0};
    while (result == BroadcastResult::kFull && now_ns_ < give_up_ns) {
      if (!server_->Turn(kWaitForRoomNs).ok()) break;  // it fails again in the turn's own call
      now_ns_ = NowNs();
      Housekeep();
      if (wake_->interrupted() && give_up_ns == ~uint64_t{0}) {
        wake_->Quieten();
        give_up_ns = AddNs(now_ns_, MillisToNs(options_.flush_ms));
      }
      result = server_->Broadcast(record);
    }
    if (result == BroadcastResult::kTooLarge) ++stats_.records_too_large;
    if (result == BroadcastResult::kFull) LoseOne();
  }

  void LoseOne() {
    ++stats_.records_lost;
    ++lost_before_;
  }

  void OnBusy(size_t count, size_t burst, uint64_t turn_ns) {
    ++stats_.busy_turns;
    stats_.records_relayed += count;
    stats_.turn_ns.Record(turn_ns);
    busy_ns_ = now_ns_;
    idle_.OnBusy();
    if (burst == burst_.burst()) burst_.OnTurn(count);
    if (!placement_checked_) [[unlikely]]
      CheckPlacement();
    if (closed_told_) [[unlikely]] {
      closed_told_ = false;
      feed_.OnProgress();
    }
  }

  // Where the ring lies is known once a page of it has been touched.
  void CheckPlacement() {
    placement_checked_ = true;
    std::string note = NumaNote(options_.cpu, NumaNodeOfCpu(options_.cpu),
                                NumaNodeOfMemory(ring_page_), feed_.stream());
    if (!note.empty()) desk_.Tell(std::move(note));
  }

  Status OnRingEvent(PollResult event) {
    switch (event) {
      case PollResult::kCorrupt:
        ++stats_.corrupt_records;
        return Status();
      case PollResult::kEvicted:
        stats_.records_lost = lost_before_ + feed_.consumer().lost_records();
        return Status();
      case PollResult::kEpochChanged:
        OnEpochChanged();
        return Status();
      case PollResult::kClosed:
        return OnClosed();
      default:
        return Status();
    }
  }

  void OnEpochChanged() {
    ++stats_.epoch_changes;
    const bool replaced = feed_.consumer().replaced();
    desk_.Tell("stream \"" + feed_.stream() + "\": " +
               (replaced ? "replaced by another; attaching to that one"
                         : "another producer has taken it over; going on in place"));
    closed_told_ = false;
    if (replaced) {
      feed_.Detach();
    } else {
      BeginEpoch(0);
    }
  }

  Status OnClosed() {
    if (options_.on_end == StreamEnd::kExit) {
      ended_ = true;
      return Status();
    }
    if (!closed_told_) {
      desk_.Tell("stream \"" + feed_.stream() +
                 "\": ended by its producer; the clients stay until there is a new one");
    }
    closed_told_ = true;
    feed_.OnClosed(now_ns_);
    return feed_.attached() ? SleepInServer(feed_.retry_wait_ns(now_ns_)) : Status();
  }

  Status Idle() {
    ++stats_.idle_turns;
    feed_.consumer().CheckName();
    const IdleStep step = idle_.OnIdle(now_ns_ - busy_ns_);
    if (RestAwake(step.action)) return Status();
    if (step.action == IdleAction::kSleepFor) return SleepInServer(step.sleep_ns);
    return SleepUntilWoken(step.sleep_ns);
  }

  Status SleepUntilWoken(uint64_t sleep_ns) {
    if (!feed_.wakes()) return SleepInServer(kUnwokenSleepNs);
    Status status;
    if (feed_.consumer().ArmWake()) status = SleepInServer(sleep_ns);  // else something came
    feed_.consumer().DisarmWake();
    return status;
  }

  Status SleepInServer(uint64_t sleep_ns) {
    ++stats_.sleeps;
    Housekeep();  // nobody waits for us now, and the sleep may be long
    Status status = server_->Turn(sleep_ns);
    now_ns_ = NowNs();
    return status;
  }

  void Housekeep() {
    if (now_ns_ - posted_ns_ < kHousekeepingNs) return;
    posted_ns_ = now_ns_;
    GatherStats();
    board_.Post(stats_);
    TellEvents();
  }

  void GatherStats() {
    stats_.attached = feed_.attached();
    if (stats_.attached) {
      stats_.head = feed_.consumer().head();
      stats_.tail = feed_.consumer().tail();
    }
    stats_.burst = burst_.burst();
    stats_.clients = server_->client_count();
    stats_.server = server_->stats();
    if constexpr (requires { server_->egress(); }) stats_.egress = server_->egress();
  }

  void TellEvents() {
    desk_.TellAll(server_->TakeEvents());
    desk_.TellCounts(feed_.stream(), stats_);
  }

  // Lets go of the ring first: whatever the clients do now, the producer goes on.
  void Finish() {
    GatherStats();
    feed_.Detach();
    wake_->Quieten();
    const uint64_t flush_ns = MillisToNs(options_.flush_ms);
    const uint64_t start_ns = NowNs();
    // Half the time for all together, the rest for each by itself: a client that stands still must
    // not cost the others their BYE.
    if (!server_->Flush(flush_ns / 2)) {
      desk_.Tell("stop: some clients did not take all that was pending within " +
                 std::to_string(options_.flush_ms / 2) + " ms; the rest have as long again");
    }
    const uint64_t spent_ns = std::min(NowNs() - start_ns, flush_ns);
    server_->Shutdown(flush_ns - spent_ns, ended_ ? ByeReason::kEndOfStream : ByeReason::kShutdown);
    GatherStats();
    TellEvents();
    board_.PostLast(stats_);
  }

  const RelayOptions options_;
  std::atomic<bool> run_{false};         // once
  const std::unique_ptr<WakeSet> wake_;  // outlives the server, which watches it
  const std::unique_ptr<S> server_;
  StreamFeed feed_;
  BurstPolicy burst_;
  IdlePolicy idle_;
  EventDesk desk_;
  std::string start_note_;

  uint64_t now_ns_ = 0;     // read once per turn
  uint64_t busy_ns_ = 0;    // end of the last turn that relayed something
  uint64_t posted_ns_ = 0;  // last housekeeping
  uint64_t epoch_ = 0;      // the last one that clients were told of
  uint64_t next_wal_seq_ = 0;
  uint64_t lost_before_ = 0;  // records lost in earlier attachments
  uint64_t frame_bytes_max_ = kFrameBytesMax;
  bool ended_ = false;
  bool ever_attached_ = false;
  bool closed_told_ = false;
  bool placement_checked_ = true;
  const void* ring_page_ = nullptr;
  RelayStats stats_;
  StatsBoard<RelayStats> board_;
  alignas(64) std::array<std::byte, 65536> copy_;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_BASIC_RELAY_H_

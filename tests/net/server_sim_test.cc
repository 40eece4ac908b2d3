// The server over the simulator: many seeds of short sends, full sockets, resets, late, lost and
// cancelled completions, queues that are full and buffers that ran out, under every policy and with
// any marks. Every client reads a gap-free run of exact frames, or is told: by a GAP that names
// what is missing, by the warning before a jump, or by the end of its stream. So do the clients of
// several servers over one log, whatever turn of theirs comes when; and those that come back to
// another server of the stream, with an empty log, which is behind the one before or ahead of it.
//
// OMBUS_SIM_SEEDS says how many seeds (the long form: 10000), OMBUS_SIM_FIRST where they begin.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <functional>
#include <random>

#include "net/basic_server.h"
#include "net/shared_log.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"
#include "tests/net/frame_store.h"

namespace ombus::net {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kSeeds = 40;
#else
constexpr uint64_t kSeeds = 400;
#endif

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What was broadcast of one incarnation of the producer. That of epoch e is number e - 1; its
// records are of type e.
struct SimEpoch {
  uint64_t first = 1, next = 1;  // sequences; of what this server has
  bool whole = true;
  uint64_t had = 1;  // clients may have what any server had before this sequence
};

// Checks one client's bytes, frame by frame.
class Checker {
 public:
  // What HELLO names: a sequence, and the epoch in which it counts.
  Checker(const std::vector<SimEpoch>* epochs, bool hello, uint64_t resume_from, uint64_t epoch)
      : epochs_(epochs), hello_(hello), resume_from_(resume_from), resume_epoch_(epoch) {}

  // Takes whole frames; what is left stays. False: a frame that must not be.
  testing::AssertionResult Take(std::span<const std::byte> bytes) {
    left_.insert(left_.end(), bytes.begin(), bytes.end());
    std::span<const std::byte> left(left_);
    Frame frame;
    ParseResult parsed;
    testing::AssertionResult good = testing::AssertionSuccess();
    while (good && (parsed = ParseFrame(left, &frame)) == ParseResult::kFrame) {
      good = frame.control() ? OnControl(frame) : OnData(frame);
      left = left.subspan(frame.bytes());
    }
    if (good && parsed != ParseResult::kPartial) good = Bad("no frame");
    left_.erase(left_.begin(), left_.end() - static_cast<ptrdiff_t>(left.size()));
    return good;
  }
  bool complete() const {
    return epoch_ == epochs_->size() && next_ == epochs_->back().next && left_.empty();
  }
  // Of records that the server had; the unknown beginnings of epochs do not count.
  uint64_t gaps() const { return gaps_; }

 private:
  const SimEpoch& at(uint64_t epoch) const { return epochs_->at(epoch - 1); }

  testing::AssertionResult Bad(const std::string& what) const {
    return testing::AssertionFailure()
           << what << "; expected sequence " << next_ << " of epoch " << epoch_ << "; HELLO from "
           << resume_from_ << " of epoch " << resume_epoch_ << "; then " << told_;
  }

  testing::AssertionResult OnData(const Frame& frame) {
    SlowWarningFrame warning;
    if (ParseSlowWarning(frame, &warning)) {
      // Until WELCOME the server may not know yet that it said HELLO.
      jump_told_ |= !welcomed_;
      return testing::AssertionSuccess();
    }
    if (bye_) return Bad("data after BYE");
    if (frame.type != epoch_) {
      if (welcomed_) return Bad("a record of epoch " + std::to_string(frame.type));
      if (auto good = Enter(frame.type); !good) return good;
    }
    if (welcomed_ && (end_missing_ || beginning_missing_)) {
      return Bad(std::string("a missing ") + (end_missing_ ? "end" : "beginning") +
                 " that nobody told");
    }
    if (!jump_told_ && end_missing_) return Bad("a missing end that nobody told");
    if (next_ != 0 && frame.wal_seq != next_) {
      if (!jump_told_ || frame.wal_seq < next_) {
        return Bad("a jump to " + std::to_string(frame.wal_seq) + " that nobody told");
      }
      ++gaps_;
    }
    jump_told_ = gap_told_ = end_missing_ = beginning_missing_ = false;
    next_ = frame.wal_seq + 1;
    for (size_t i = 0; i < frame.size; ++i) {
      if (frame.payload[i] != static_cast<std::byte>(frame.wal_seq)) return Bad("a wrong byte");
    }
    return testing::AssertionSuccess();
  }

  // Another epoch begins. What is missing between the last record and its first has to be told.
  testing::AssertionResult Enter(uint64_t epoch) {
    if (epoch < epoch_ || epoch > epochs_->size()) return Bad("epoch " + std::to_string(epoch));
    if (epoch_ == 0) {
      epoch_ = epoch;
      next_ = 0;  // a gap told before may have been another's
      return testing::AssertionSuccess();
    }
    bool complete = next_ == 0 || next_ >= at(epoch_).next;
    for (uint64_t e = epoch_ + 1; e < epoch; ++e) complete &= at(e).next == at(e).first;
    end_missing_ |= !complete && !gap_told_;
    beginning_missing_ = !at(epoch).whole;
    epoch_ = epoch;
    next_ = at(epoch).first;
    return testing::AssertionSuccess();
  }

  testing::AssertionResult OnControl(const Frame& frame) {
    if (!hello_) return Bad("a control frame without HELLO");
    Welcome welcome;
    Gap gap;
    Bye bye;
    if (ParseWelcome(frame, &welcome)) {
      Note("WELCOME " + std::to_string(welcome.epoch));
      return OnWelcome(welcome);
    }
    if (ParseGap(frame, &gap)) {
      Note("GAP " + std::to_string(gap.from) + "-" + std::to_string(gap.to));
      return OnGap(gap);
    }
    if (ParseBye(frame, &bye)) {
      bye_ = true;
    } else if (frame.type != static_cast<uint8_t>(ControlType::kHeartbeat)) {
      return Bad("an unknown control frame");
    }
    return testing::AssertionSuccess();
  }

  void Note(const std::string& what) {
    told_ += (next_ == 0 ? "" : "…" + std::to_string(next_ - 1) + ", ") + what + ", ";
    if (told_.size() > 1000) told_.erase(0, 500);
  }

  testing::AssertionResult OnWelcome(const Welcome& welcome) {
    // What came before it was sent before HELLO arrived; it is sent again.
    if (!welcomed_ && resume_from_ != 0) {
      next_ = resume_from_;
      epoch_ = resume_epoch_;
      end_missing_ = beginning_missing_ = false;
    }
    if (welcome.epoch == 0) return testing::AssertionSuccess();  // it does not know it yet
    const bool warned = !std::exchange(welcomed_, true) && jump_told_;
    if (welcome.epoch == epoch_) {
      gap_told_ |= warned;  // of this epoch's end, too, where no record of it follows
      return testing::AssertionSuccess();
    }
    auto good = Enter(welcome.epoch);
    if (warned) end_missing_ = beginning_missing_ = false;
    return good;
  }

  testing::AssertionResult OnGap(const Gap& gap) {
    if (gap.to < gap.from) return Bad("a gap that ends before it begins");
    const bool at_beginning = epoch_ != 0 && next_ == at(epoch_).first;
    if (next_ != 0 && gap.from != next_ && !(jump_told_ && gap.from > next_) &&
        !(at_beginning && gap.from < next_)) {
      return Bad("a gap from " + std::to_string(gap.from));
    }
    const bool of_start = gap.why == static_cast<uint32_t>(GapReason::kEpochStart);
    // Also for who joined in the epoch before, got nothing of it and says HELLO only now.
    const bool unknown = of_start && epoch_ != 0 && gap.to < at(epoch_).first;
    gaps_ += end_missing_ || (next_ < gap.to + 1 && !unknown);
    if (of_start) end_missing_ = false;
    if (at_beginning) beginning_missing_ = false;
    gap_told_ = true;
    next_ = gap.to + 1;
    return testing::AssertionSuccess();
  }

  const std::vector<SimEpoch>* epochs_;
  bool hello_;
  uint64_t resume_from_, resume_epoch_;
  uint64_t epoch_ = 0, next_ = 0, gaps_ = 0;  // 0: any
  bool welcomed_ = false, bye_ = false;
  bool jump_told_ = false, gap_told_ = false;             // since the last record
  bool end_missing_ = false, beginning_missing_ = false;  // and have to be told before the next
  std::vector<std::byte> left_;
  std::string told_;  // for the message
};

struct SimClient {
  int fd;
  bool reader;       // one of those that read all the time
  bool from_latest;  // resumes in what was the latest epoch
  Checker checker;
  bool ended = false;

  void Read(SimNetwork* network, size_t most) {
    std::vector<std::byte> chunk(most);
    const int got = network->Read(fd, chunk);
    if (got > 0) {
      ASSERT_TRUE(checker.Take(std::span(chunk).first(static_cast<size_t>(got))));
    } else if (got != -EAGAIN) {
      ended = true;  // it is told: the end of the stream, or a reset
    }
  }
};

class SimRun {
 public:
  // So many servers share a log; 0: one with its own.
  SimRun(uint64_t seed, uint32_t sharers) : random_(seed), network_(1024 << random_() % 4) {
    listener_ = network_.NewListener();
    const SimOptions sim = RandomFaults(seed);
    options_ = RandomOptions();
    sim_ = sim;
    if (sharers == 0) {
      StartServer();
    } else {
      StartSharers(sim, sharers);
    }
  }

  void Run() {
    for (int step = 0; step < 600 && !testing::Test::HasFatalFailure(); ++step) Step();
    Drain();
    if (testing::Test::HasFatalFailure()) return;
    CheckEnd();
    LeaveAndCount();
  }

  std::string Describe() const {
    static constexpr const char* kPolicies[] = {"disconnect", "wait", "skip", "catch-up"};
    return std::string(kPolicies[static_cast<int>(options_.slow_client_policy)]) + ", lag " +
           std::to_string(options_.client_lag_bytes_max) + ", soft " +
           std::to_string(options_.soft_lag_bytes) + ", hard " +
           std::to_string(options_.hard_lag_bytes) + (store_ == nullptr ? "" : ", a source") +
           (store_is_whole_ ? "" : " with holes") + (lead_ == 0 ? "" : " that is ahead") +
           (resets_ ? ", resets" : "") + (restarts_ ? ", epochs" : "") +
           (replaced_ ? ", replaced" : "");
  }

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }
  bool Chance(uint64_t in) { return random_() % in == 0; }

  SimOptions RandomFaults(uint64_t seed) {
    SimOptions sim;
    sim.seed = seed;
    sim.shuffle = Chance(2);
    SimFaults& f = sim.faults;
    for (uint32_t* fault : {&f.short_send, &f.send_again, &f.delay, &f.end_multishot, &f.no_buffers,
                            &f.accept_error}) {
      if (Chance(2)) *fault = static_cast<uint32_t>(Below(200));
    }
    resets_ = Chance(3);
    if (resets_) f.reset = static_cast<uint32_t>(Below(4));
    if (resets_ && Chance(2)) f.cancel = static_cast<uint32_t>(Below(3));
    if (Chance(3)) sim.submit_max = static_cast<uint32_t>(1 + Below(16));
    if (Chance(3)) sim.complete_max = static_cast<uint32_t>(1 + Below(16));
    sim.backend.receive_buffers = static_cast<uint32_t>(1 + Below(8));
    return sim;
  }

  ServerOptions RandomOptions() {
    ServerOptions options;
    options.epoch = 1;
    restarts_ = Chance(2);
    options.log_bytes = kLogBytesMin;
    options.client_lag_bytes_max = 20'000 + Below(40'000);
    options.turn_bytes_max = static_cast<uint32_t>(1 + Below(20'000));
    options.slow_client_policy = static_cast<SlowClientPolicy>(Below(4));
    options.drain_ms = static_cast<uint32_t>(1 + Below(1000));
    options.control_frames_per_second = 0;
    options.heartbeat_ms = static_cast<uint32_t>(Below(3));
    options.client_timeout_ms = 0;
    options.catch_up_wait_ms = static_cast<uint32_t>(Below(100));
    if (Chance(2)) options.soft_lag_bytes = 1 + Below(options.client_lag_bytes_max);
    if (options.soft_lag_bytes != 0) options.soft_lag_ms = static_cast<uint32_t>(Below(2));
    if (Chance(2) && options.slow_client_policy != SlowClientPolicy::kWait) {
      options.hard_lag_bytes = 1 + Below(options.client_lag_bytes_max);
      options.hard_lag_ms = static_cast<uint32_t>(Below(2));
    }
    if (Chance(2) || options.slow_client_policy == SlowClientPolicy::kCatchUp) {
      options.catch_up = store_ = std::make_shared<FrameStore>();
      store_is_whole_ = !Chance(3);
      if (Chance(2)) lead_ = Below(50);
    }
    if (Chance(4)) options.require_hello = true;
    options.hello_timeout_ms = 60'000;
    return options;
  }

  void StartServer() {
    Add(BasicServer<SimBackend>::Create(std::make_unique<SimBackend>(&network_, sim_),
                                        UniqueFd(listener_), options_));
  }

  // Another server takes the place of the one there was. It may be behind that one, or ahead, and
  // learn only later which epoch it is in.
  void ReplaceServer() {
    replaced_ = true;
    servers_.clear();
    for (const SimClient& client : clients_) network_.Close(client.fd);
    clients_.clear();
    left_behind_ = network_.open();  // connections that it had not taken
    listener_ = network_.NewListener();
    ++sim_.seed;
    SimEpoch& epoch = epochs_.back();
    if (store_ == nullptr && made_.empty() && !Chance(3)) {
      const uint64_t back = Below(std::min<uint64_t>(epoch.next - epoch.first, 100) + 1);
      epoch.next = Chance(3) ? epoch.next + Below(20) : epoch.next - back;
    }
    options_.epoch = Chance(2) ? epochs_.size() : 0;
    unnamed_ = options_.epoch == 0;
    StartServer();
  }
  void NameEpoch() {
    if (std::exchange(unnamed_, false)) servers_[0]->BeginEpoch(epochs_.size(), Chance(2));
  }

  void Add(Result<std::unique_ptr<BasicServer<SimBackend>>> made) {
    ASSERT_TRUE(made.ok()) << made.status().message();
    servers_.push_back(std::move(*made));
  }

  void StartSharers(SimOptions sim, uint32_t sharers) {
    options_.heartbeat_ms = 0;  // else one of them always has a heartbeat on its way
    ASSERT_TRUE(SessionTable::CheckOptions(&options_).ok());
    auto log = SharedLog::Create(options_, sharers);
    ASSERT_TRUE(log.ok()) << log.status().message();
    log_ = std::move(*log);
    const auto admission = std::make_shared<Admission>(options_.max_clients, 0);
    for (uint32_t i = 0; i < sharers; ++i, ++sim.seed) {
      SharedPart part{.log = log_.get(), .reader = i, .admission = admission};
      if (i == 0) {
        part.deal = [this](int fd) {
          const uint64_t to = Below(servers_.size());
          if (to != 0) servers_[to]->TakeClient(fd);
          return to != 0;
        };
      }
      Add(BasicServer<SimBackend>::Create(std::make_unique<SimBackend>(&network_, sim),
                                          i == 0 ? UniqueFd(listener_) : UniqueFd(), options_,
                                          std::move(part)));
    }
  }

  void Step() {
    if (clients_.size() < 8 && Chance(20)) Connect();
    if (log_ == nullptr && Chance(300)) ReplaceServer();
    if (Chance(200) && !clients_.empty()) network_.Reset(clients_[Below(clients_.size())].fd);
    for (uint64_t n = Below(6); n > 0; --n) Broadcast(Below(1500));
    if (store_ != nullptr && !store_is_whole_ && Chance(20)) {
      store_->HoldBack(Below(100));
      if (Chance(3)) store_->Forget(Below(200));
    }
    Turn();
    for (SimClient& client : clients_) {
      if (client.reader || Chance(30)) {
        ASSERT_NO_FATAL_FAILURE(client.Read(&network_, 1 + Below(8192)));
      }
    }
  }

  void Connect() {
    const int fd = network_.NewSocket();
    ASSERT_EQ(network_.Connect(fd, network_.AddressOf(listener_)), 0);
    if (log_ != nullptr) log_->Publish();  // nobody can have had what no server could see
    const bool hello = options_.require_hello || Chance(2);
    const uint64_t epoch = 1 + (Chance(2) ? epochs_.size() - 1 : Below(epochs_.size()));
    const SimEpoch& named = epochs_[epoch - 1];
    // Nobody can be in an epoch without a record.
    const uint64_t records = std::max(named.had, named.next) - named.first;
    const uint64_t resume_from =
        hello && Chance(2) && records != 0 ? named.first + Below(records + 1) : 0;
    clients_.push_back({fd, !Chance(3), resume_from != 0 && epoch == epochs_.size(),
                        Checker(&epochs_, hello, resume_from, epoch)});
    if (!hello) return;
    std::vector<std::byte> bytes;
    AppendHello(&bytes, {.resume_from = resume_from,
                         .epoch = resume_from == 0 ? 0 : epoch,
                         .heartbeat_ms = Chance(2) ? 1u : 0u});
    (void)network_.Write(fd, bytes);
  }

  // Another producer, from its first record on or not.
  void Restart() {
    never_named_ |= unnamed_;
    const bool whole = !Chance(3);
    const uint64_t first = whole ? 1 : 2 + Below(50);
    epochs_.push_back({.first = first, .next = first, .whole = whole, .had = first});
    if (log_ != nullptr) log_->BeginEpoch(epochs_.size(), whole);
    if (log_ == nullptr) servers_[0]->BeginEpoch(epochs_.size(), whole);
  }

  // One more record. The source has it at once, the servers once as many as `lead_` follow.
  void Broadcast(size_t size) {
    if (restarts_ && epochs_.size() < 100 && Chance(200) && BroadcastMade(0)) Restart();
    if (made_.size() > lead_) return void(BroadcastMade(lead_));
    made_.emplace_back(size, static_cast<std::byte>(epochs_.back().next + made_.size()));
    if (store_ != nullptr) store_->Append(epochs_.size(), RecordOf(made_.size() - 1));
    (void)BroadcastMade(lead_);
  }
  Record RecordOf(size_t made) const {
    return {.wal_seq = epochs_.back().next + made,
            .payload = made_[made].data(),
            .size = static_cast<uint16_t>(made_[made].size()),
            .type = static_cast<uint8_t>(epochs_.size())};
  }
  // Whether no more than so many are left.
  bool BroadcastMade(size_t left) {
    while (made_.size() > left) {
      NameEpoch();
      const BroadcastResult result =
          log_ != nullptr ? log_->Broadcast(RecordOf(0)) : servers_[0]->Broadcast(RecordOf(0));
      if (result != BroadcastResult::kOk) return false;
      made_.pop_front();
      epochs_.back().had = std::max(epochs_.back().had, ++epochs_.back().next);
    }
    return true;
  }

  // Sharers take their turns when they like.
  void Turn() {
    if (log_ != nullptr && Chance(2)) log_->Publish();
    for (auto& server : servers_) {
      if (log_ != nullptr && !Chance(8 >> Below(4))) continue;
      ASSERT_TRUE(server->Turn(Chance(4) ? Below(1'000'000) : 0).ok());
    }
    if (log_ == nullptr) return;
    // What a server says that it still reads from never falls: the writer has gone by it.
    const uint64_t writes_to = log_->log().head() + log_->room();
    ASSERT_GE(writes_to, std::exchange(writes_to_, writes_to));
  }
  void TurnAll() {
    if (log_ != nullptr) log_->Publish();
    for (auto& server : servers_) ASSERT_TRUE(server->Turn(1'000'000).ok());
  }
  bool AllDrained() {
    if (log_ != nullptr && !log_->Drained()) return false;
    return std::all_of(servers_.begin(), servers_.end(),
                       [](auto& server) { return server->all_drained(); });
  }
  uint64_t Sum(uint64_t ServerStats::*counter) {
    uint64_t sum = 0;
    for (auto& server : servers_) sum += server->stats().*counter;
    return sum;
  }
  uint32_t ClientCount() {
    uint32_t count = 0;
    for (auto& server : servers_) count += server->client_count();
    return count;
  }

  void Drain() {
    if (testing::Test::HasFatalFailure()) return;
    // Up to where the server before this one was.
    while (epochs_.back().next < epochs_.back().had) {
      Broadcast(1);
      ASSERT_NO_FATAL_FAILURE(TurnAll());
      for (SimClient& client : clients_) ASSERT_NO_FATAL_FAILURE(client.Read(&network_, 65536));
    }
    if (store_ != nullptr) store_->HoldBack(0);
    for (int round = 0; round < 2; ++round) {
      // Accepting may pause, completions be many turns late, and a turn send a few bytes only.
      int quiet_turns = 0;
      for (int step = 0; step < 500'000 && quiet_turns < 50; ++step) {
        const bool all = BroadcastMade(0);
        ASSERT_NO_FATAL_FAILURE(TurnAll());
        for (SimClient& client : clients_) ASSERT_NO_FATAL_FAILURE(client.Read(&network_, 65536));
        quiet_turns += all && AllDrained() && !network_.Readable(listener_);
      }
      ASSERT_EQ(quiet_turns, 50);
      // One more for those who joined after the last.
      if (round == 0) Broadcast(1);
    }
    for (int i = 0; i < 10; ++i) {
      for (SimClient& client : clients_) ASSERT_NO_FATAL_FAILURE(client.Read(&network_, 65536));
    }
  }

  void CheckEnd() {
    uint32_t complete = 0;
    for (const SimClient& client : clients_) {
      complete += client.checker.complete() && !client.ended;
      // A server is asked for what others had by those alone who name an epoch that it knows.
      const bool asked = !replaced_ || (client.from_latest && !never_named_);
      const bool catches_up = options_.slow_client_policy == SlowClientPolicy::kCatchUp;
      if (catches_up && store_is_whole_ && asked) {
        EXPECT_EQ(client.checker.gaps(), 0u);
      }
    }
    EXPECT_GE(complete, ClientCount());
    if (options_.slow_client_policy != SlowClientPolicy::kDisconnect) {
      EXPECT_EQ(Sum(&ServerStats::slow_client_drops), 0u);
    }
    EXPECT_EQ(Sum(&ServerStats::protocol_errors), 0u);
  }

  // Nothing is left of those who have gone: no session, no descriptor.
  void LeaveAndCount() {
    for (const SimClient& client : clients_) network_.Close(client.fd);
    for (int step = 0; step < 5000 && network_.open() > left_behind_ + 1; ++step) {
      ASSERT_NO_FATAL_FAILURE(TurnAll());
    }
    EXPECT_EQ(ClientCount(), 0u);
    EXPECT_EQ(network_.open(), left_behind_ + 1);  // the listener
  }

  std::mt19937_64 random_;
  SimNetwork network_;
  int listener_ = -1;
  ServerOptions options_;
  std::shared_ptr<FrameStore> store_;
  size_t lead_ = 0;                          // of the source before the servers
  std::deque<std::vector<std::byte>> made_;  // and not yet broadcast
  bool store_is_whole_ = true, resets_ = false, restarts_ = false;
  bool replaced_ = false, unnamed_ = false;  // another server; which has yet to learn its epoch
  bool never_named_ = false;                 // and another began before it had
  size_t left_behind_ = 0;
  SimOptions sim_;
  std::unique_ptr<SharedLog> log_;
  uint64_t writes_to_ = 0;
  std::vector<std::unique_ptr<BasicServer<SimBackend>>> servers_;
  std::vector<SimClient> clients_;
  std::vector<SimEpoch> epochs_{1};
};

void RunSeeds(uint64_t default_count, const std::function<uint32_t(uint64_t)>& sharers) {
  const uint64_t first = FromEnvironment("OMBUS_SIM_FIRST", 1);
  const uint64_t count = FromEnvironment("OMBUS_SIM_SEEDS", default_count);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SimRun run(seed, sharers(seed));
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + run.Describe());
    run.Run();
    if (testing::Test::HasFailure()) break;
  }
}

TEST(ServerSimTest, GivesEveryClientAGapFreeRunOrTellsIt) {
  RunSeeds(kSeeds, [](uint64_t) { return 0; });
}

TEST(ServerSimTest, SoDoServersThatShareALog) {
  RunSeeds(kSeeds / 2, [](uint64_t seed) { return 1 + static_cast<uint32_t>(seed % 3); });
}

}  // namespace
}  // namespace ombus::net

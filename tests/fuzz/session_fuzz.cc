// The server's sessions: connects, HELLO and resume, half frames, stalled readers, resets, epochs,
// time-outs, records of all sizes, a catch-up source that lags or goes bad and a network with
// faults, under any policy and marks, in the order the input says, over the simulator. After each
// step every peer checks what it got, and the server's figures must agree with each other; at the
// end everybody who is still served has everything, and no descriptor is left.
#include <algorithm>
#include <memory>

#include "net/basic_server.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/session_model.h"
#include "tests/fuzz/session_peer.h"
#include "tests/fuzz/sim_input.h"

namespace ombus::net {
namespace {

constexpr size_t kPeersMax = 6, kStepsMax = 400;
constexpr uint64_t kEpochsMax = 200;  // the server remembers some more
constexpr int kQuietTurns = 300;
constexpr uint64_t kNsPerMs = 1'000'000;

ServerOptions OptionsOf(FuzzInput* input) {
  const uint8_t flags = input->Byte(), more = input->Byte();
  ServerOptions options = {.max_clients = 4, .log_bytes = kLogBytesMin};
  options.client_lag_bytes_max = 1000 + uint64_t{input->Byte()} * 700;
  options.slow_client_policy = static_cast<SlowClientPolicy>(more % 4);
  const bool waits = options.slow_client_policy == SlowClientPolicy::kWait;
  if ((flags & 1) != 0) options.epoch = 1;
  options.require_hello = (flags & 2) != 0;
  options.oversized_cuts = (flags & 4) != 0;
  if ((flags & 8) != 0) options.turn_bytes_max = 100;
  if ((flags & 16) != 0) options.control_frames_per_second = 5;
  if ((flags & 32) != 0) options.max_clients_per_address = 3;
  if ((flags & 64) != 0) options.heartbeat_ms = 10;
  if ((flags & 128) != 0) options.slow_wait_ms = 20;
  if ((more & 8) != 0) options.soft_lag_bytes = 1 + options.client_lag_bytes_max / 4;
  if ((more & 16) != 0 && !waits) options.hard_lag_bytes = 1 + options.client_lag_bytes_max / 2;
  if (options.soft_lag_bytes != 0 && (more & 32) != 0) options.soft_lag_ms = 5;
  if (options.hard_lag_bytes != 0 && (more & 32) != 0) options.hard_lag_ms = 5;
  options.catch_up_wait_ms = (more & 64) != 0 ? 20 : 0;
  options.hello_timeout_ms = 50;
  options.client_timeout_ms = 200;
  options.drain_ms = 100;
  return options;
}

class World {
 public:
  explicit World(FuzzInput* input)
      : input_(input),
        network_(size_t{1024} << input->Byte() % 7),
        listener_(network_.NewListener()) {
    const SimOptions sim = SimOptionsOf(input);
    options_ = OptionsOf(input);
    model_ = BroadcastModel(options_.epoch);
    if (input->Byte() % 2 == 0 || options_.slow_client_policy == SlowClientPolicy::kCatchUp) {
      options_.catch_up = source_ = std::make_shared<ModelSource>(&model_);
    }
    epochs_ = options_.epoch;
    auto made = BasicServer<SimBackend>::Create(std::make_unique<SimBackend>(&network_, sim),
                                                UniqueFd(listener_), options_);
    FUZZ_CHECK(made.ok());
    server_ = std::move(*made);
  }

  void Run() {
    for (size_t step = 0; step < kStepsMax && !input_->empty(); ++step) {
      Step();
      CheckFigures();
    }
    Settle();
    server_->Shutdown(10 * kNsPerMs, ByeReason::kShutdown);
    FUZZ_CHECK(server_->client_count() == 0);
    server_.reset();
    CheckNothingIsLeft();
  }

 private:
  void Step() {
    switch (input_->Byte() % 18) {
      case 0:
      case 1:
        return Connect();
      case 2:
      case 3:
        return SayHello();
      case 4:
        if (SessionPeer* peer = AnyPeer()) {
          input_->Byte() % 8 == 0 ? peer->SayBye() : peer->SayHeartbeat(input_->Byte());
          peer->Write(~size_t{0});
        }
        return;
      case 5:
        if (SessionPeer* peer = AnyPeer()) {
          peer->SayAnything(input_->Bytes(input_->Byte() % 80));
          peer->Write(~size_t{0});
        }
        return;
      case 6:
        if (SessionPeer* peer = AnyPeer()) peer->Write(input_->Byte());
        return;
      case 7:
        return EndOne();
      case 8:
      case 9:
        if (SessionPeer* peer = AnyPeer()) peer->Read(1 + size_t{input_->Byte()} * 256);
        return;
      case 10:
      case 11:
        return Broadcast();
      case 12:
        return BeginEpoch();
      case 13:
        return ChangeSource();
      case 14:
        FUZZ_CHECK(server_->Turn(input_->Byte() * kNsPerMs).ok());
        return;
      default:
        FUZZ_CHECK(server_->Turn(0).ok());
    }
  }

  SessionPeer* AnyPeer() {
    if (peers_.empty()) return nullptr;
    return peers_[input_->Byte() % peers_.size()].get();
  }

  void Connect() {
    if (peers_.size() >= kPeersMax) return;
    const int fd = network_.NewSocket();
    FUZZ_CHECK(network_.Connect(fd, network_.AddressOf(listener_)) == 0);
    const bool skips = options_.slow_client_policy == SlowClientPolicy::kSkip || source_ != nullptr;
    peers_.push_back(std::make_unique<SessionPeer>(&network_, fd, &model_, skips));
  }

  void SayHello() {
    SessionPeer* peer = AnyPeer();
    if (peer == nullptr) return;
    const uint8_t flags = input_->Byte();
    Hello hello;
    if ((flags & 1) != 0) hello.resume_from = input_->Number<uint16_t>();
    if ((flags & 2) != 0 && model_.count() != 0) {  // one that there is, or nearly
      const size_t index = model_.count() - 1 - input_->Byte() % model_.count();
      hello.resume_from = model_.at(index).wal_seq + (flags >> 6);
      hello.epoch = model_.epoch_of(index).name;
    }
    if ((flags & 4) != 0) hello.epoch = input_->Byte();
    if ((flags & 8) != 0) hello.heartbeat_ms = 1 + input_->Byte();
    peer->SayHello(hello);
    peer->Write((flags & 16) != 0 ? input_->Byte() : ~size_t{0});
  }

  void EndOne() {
    SessionPeer* peer = AnyPeer();
    if (peer == nullptr || !peer->open()) return;
    switch (input_->Byte() % 4) {
      case 0:
        return network_.Close(peer->fd());
      case 1:
        return network_.Reset(peer->fd());
      case 2:
        return network_.FinishSending(peer->fd());
      default:  // and forget it, for there to be room for others
        network_.Close(peer->fd());
        std::erase_if(peers_, [&](const auto& each) { return each.get() == peer; });
    }
  }

  void Broadcast() {
    const uint8_t kind = input_->Byte();
    const auto size = static_cast<uint16_t>(kind < 128 ? 8 + kind : 8 + (kind - 127) * 500);
    for (uint32_t n = 1 + input_->Byte() % 16; n > 0 && model_.count() < 4000; --n) {
      const uint64_t wal_seq = last_wal_seq_ + 1 + (kind % 16 == 0 ? 2 : 0);
      const Record record = {
          .wal_seq = wal_seq, .payload = model_.NextPayload(size).data(), .size = size, .type = 1};
      switch (server_->Broadcast(record)) {
        case BroadcastResult::kOk:
          model_.Add(wal_seq, size);
          last_wal_seq_ = wal_seq;
          break;
        case BroadcastResult::kFull:
          FUZZ_CHECK(options_.slow_client_policy == SlowClientPolicy::kWait);
          return;
        case BroadcastResult::kTooLarge:
          FUZZ_CHECK(FrameBytes(size) > options_.client_lag_bytes_max);
          return;
      }
    }
  }

  void BeginEpoch() {
    const uint8_t kind = input_->Byte();
    const uint64_t epoch = kind % 8 == 0 || epochs_ == kEpochsMax ? 0 : ++epochs_;
    const bool whole = (kind & 16) != 0;
    server_->BeginEpoch(epoch, whole);
    // Sequences may begin anew, also with 0.
    if (model_.BeginEpoch(epoch, whole) && (kind & 32) != 0) {
      last_wal_seq_ = uint64_t{kind} / 64 - 1;
    }
  }

  void ChangeSource() {
    const uint8_t kind = input_->Byte();
    if (source_ == nullptr) return;
    if (kind % 4 == 0) source_->Forget(kind);
    if (kind % 4 == 1) source_->HoldBack(kind / 4);
    if (kind % 4 == 2) source_->Spoil(kind >= 128);
  }

  void CheckFigures() {
    const uint64_t lag_max = options_.client_lag_bytes_max;
    FUZZ_CHECK(server_->min_lag() <= server_->max_lag());
    FUZZ_CHECK(server_->max_lag() <= lag_max);
    FUZZ_CHECK(server_->room() <= lag_max);
    FUZZ_CHECK(server_->client_count() <= options_.max_clients);
    const ServerStats stats = server_->stats();
    const uint64_t there = stats.clients_accepted - stats.clients_disconnected;
    FUZZ_CHECK(options_.require_hello ? there >= server_->client_count()
                                      : there == server_->client_count());
    FUZZ_CHECK(there <= options_.max_clients);
    FUZZ_CHECK(stats.records_broadcast == model_.count());
    FUZZ_CHECK(server_->TakeEvents().size() <= 256);
  }

  void TurnAndReadAll() {
    FUZZ_CHECK(server_->Turn(kNsPerMs).ok());
    for (const auto& peer : peers_) peer->Read(1 << 16);
  }

  // Everybody reads. A HELLO may be on its way, and accepting pause, for many turns.
  void ReadUntilQuiet() {
    int quiet_turns = 0;
    for (int turn = 0; turn < 100'000 && quiet_turns < kQuietTurns; ++turn) {
      TurnAndReadAll();
      const bool quiet = server_->all_drained() && !network_.Readable(listener_);
      quiet_turns = quiet ? quiet_turns + 1 : 0;
    }
    FUZZ_CHECK(quiet_turns == kQuietTurns);
  }

  // Who is served has everything after that, one more record included.
  void Settle() {
    if (source_ != nullptr) source_->HoldBack(0);
    ReadUntilQuiet();
    const uint16_t size = 8;
    const Record last = {.wal_seq = last_wal_seq_ + 1,
                         .payload = model_.NextPayload(size).data(),
                         .size = size,
                         .type = 1};
    FUZZ_CHECK(server_->Broadcast(last) == BroadcastResult::kOk);
    model_.Add(last.wal_seq, size);
    ReadUntilQuiet();
    uint32_t served = 0;
    for (const auto& peer : peers_) {
      served += peer->open() && !peer->ended() && peer->HasAll(last.wal_seq) ? 1 : 0;
    }
    FUZZ_CHECK(served >= server_->client_count());
  }

  // Of the descriptors ever made, only those are open that the peers have.
  void CheckNothingIsLeft() {
    size_t ours = 0;
    for (const auto& peer : peers_) ours += peer->open() ? 1 : 0;
    FUZZ_CHECK(network_.open() == ours);
  }

  FuzzInput* input_;
  SimNetwork network_;
  int listener_;
  ServerOptions options_;
  BroadcastModel model_{0};
  std::shared_ptr<ModelSource> source_;
  uint64_t last_wal_seq_ = 0, epochs_ = 0;
  std::vector<std::unique_ptr<SessionPeer>> peers_;
  std::unique_ptr<BasicServer<SimBackend>> server_;
};

}  // namespace
}  // namespace ombus::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ombus::FuzzInput input(data, size);
  ombus::net::World(&input).Run();
  return 0;
}

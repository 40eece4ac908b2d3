// A client that reconnects, over the simulator, and what servers may do to it: frames good and bad,
// silence, half-closed and reset connections, nobody there. Every poll comes back with something
// that makes sense, what ended stays ended, and what the client itself says is well-formed.
#include <memory>
#include <optional>

#include "net/basic_client.h"
#include "net/session.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/sim_input.h"
#include "tests/fuzz/stream_writer.h"

namespace ombus::net {
namespace {

constexpr size_t kStepsMax = 400;
constexpr uint64_t kNsPerMs = 1'000'000;

bool HasRecord(ClientResult result) {
  return result == ClientResult::kRecord || result == ClientResult::kGap ||
         result == ClientResult::kReorder;
}

ClientOptions OptionsOf(FuzzInput* input) {
  const uint8_t flags = input->Byte();
  ClientOptions options = {.connect_timeout_ms = 50, .receive_buffer_bytes = 1};
  options.hello = (flags & 1) == 0;
  options.reconnect = (flags & 2) == 0;
  options.reject_reorder = (flags & 4) != 0;
  if ((flags & 8) != 0) options.resume_from = input->Byte();
  options.heartbeat_ms = (flags & 16) != 0 ? 0 : 10;
  if ((flags & 32) != 0) options.idle_timeout_ms = 40;
  if ((flags & 64) != 0) options.max_retries = 3;
  options.retry_base_ms = 1;
  options.retry_max_ms = 8;
  return options;
}

class World {
 public:
  explicit World(FuzzInput* input)
      : input_(input),
        network_(size_t{64} << input->Byte() % 11),
        listener_(network_.NewListener()) {
    const SimOptions sim = SimOptionsOf(input);
    options_ = OptionsOf(input);
    std::vector<sockaddr_storage> addresses = {network_.AddressOf(listener_)};
    if (input->Byte() % 4 == 0) addresses.insert(addresses.begin(), SimNetwork::Address(65535));
    ClientNetwork network = {
        .look_up = [addresses] { return Result<std::vector<sockaddr_storage>>(addresses); },
        .new_socket =
            [this](const sockaddr_storage&) {
              return Result<UniqueFd>(UniqueFd(network_.NewSocket()));
            }};
    client_ = std::make_unique<BasicClient<SimBackend>>(
        std::make_unique<SimBackend>(&network_, sim), addresses, options_, std::move(network));
    (void)client_->ConnectFirst();
  }

  void Run() {
    for (size_t step = 0; step < kStepsMax && !input_->empty(); ++step) Step();
    client_.reset();
    CheckNothingIsLeft();
  }

 private:
  void Step() {
    switch (input_->Byte() % 12) {
      case 0:
      case 1:
        return Accept();
      case 2:
      case 3:
      case 4:
        writer_.Append(input_, &outbox_);
        return Write();
      case 5:
        return EndOne();
      case 6:
        if (client_->SendHeartbeat()) FUZZ_CHECK(!final_);
        return;
      case 7:
      case 8:
        return Poll(input_->Byte() * kNsPerMs);
      case 9:
        return PollBatch();
      default:
        return Poll(0);
    }
  }

  void Accept() {
    if (!network_.Readable(listener_)) return;
    if (server_ >= 0) network_.Close(server_);
    server_ = network_.Accept(listener_);
    reader_ = {};
    outbox_.clear();
  }
  void Write() {
    if (server_ < 0 || !network_.Known(server_)) return;
    Read();
    const int written = network_.Write(server_, outbox_);
    if (written > 0) outbox_.erase(outbox_.begin(), outbox_.begin() + written);
  }
  // What it says is control frames, and nothing at all where it is to be silent.
  void Read() {
    std::byte bytes[256];
    const int got = network_.Read(server_, bytes);
    if (got <= 0) return;
    std::span<const std::byte> left(bytes, static_cast<size_t>(got));
    while (!left.empty()) {
      Frame frame;
      const auto outcome = reader_.Read(&left, &frame);
      FUZZ_CHECK(outcome != ControlReader::Outcome::kBad);
      if (outcome == ControlReader::Outcome::kFrame) {
        FUZZ_CHECK(frame.type == static_cast<uint8_t>(ControlType::kHello) ||
                   frame.type == static_cast<uint8_t>(ControlType::kHeartbeat));
      }
    }
  }
  void EndOne() {
    if (server_ < 0 || !network_.Known(server_)) return;
    switch (input_->Byte() % 3) {
      case 0:
        return network_.Close(server_);
      case 1:
        return network_.Reset(server_);
      default:
        return network_.FinishSending(server_);
    }
  }

  void Poll(uint64_t timeout_ns) {
    Record record;
    const ClientResult result = client_->Poll(&record, timeout_ns);
    if (HasRecord(result)) {
      FUZZ_CHECK(client_->wal_seq() == record.wal_seq);
      Use(record);
    }
    Note(result);
  }
  void PollBatch() {
    Record records[4];
    ClientResult end;
    const size_t count = client_->PollBatch(records, 0, &end);
    FUZZ_CHECK(count <= 4);
    for (size_t i = 0; i < count; ++i) Use(records[i]);
    FUZZ_CHECK(count == 0 || !final_);
    Note(end);
  }
  void Use(const Record& record) {
    for (uint32_t i = 0; i < record.size; ++i) {
      sum_ = sum_ + static_cast<const uint8_t*>(record.payload)[i];
    }
  }
  void Note(ClientResult result) {
    if (final_) FUZZ_CHECK(result == *final_);
    const bool protocol_error = result == ClientResult::kProtocolError;
    if (result == ClientResult::kEndOfStream || result == ClientResult::kDisconnected ||
        (protocol_error && !options_.reconnect)) {
      final_ = result;
      FUZZ_CHECK(!client_->status().ok() && !client_->connected());
    }
    if (protocol_error) FUZZ_CHECK(client_->status().code() == StatusCode::kCorrupt);
  }

  // Of the descriptors ever made, only the listener and the servers' ends are open.
  void CheckNothingIsLeft() {
    if (server_ >= 0) network_.Close(server_);
    while (network_.Readable(listener_)) network_.Close(network_.Accept(listener_));
    network_.Close(listener_);
    FUZZ_CHECK(network_.open() == 0);
  }

  FuzzInput* input_;
  SimNetwork network_;
  int listener_, server_ = -1;
  ClientOptions options_;
  StreamWriter writer_;
  std::vector<std::byte> outbox_;
  ControlReader reader_;
  std::optional<ClientResult> final_;
  volatile uint64_t sum_ = 0;
  std::unique_ptr<BasicClient<SimBackend>> client_;
};

}  // namespace
}  // namespace ombus::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ombus::FuzzInput input(data, size);
  ombus::net::World(&input).Run();
  return 0;
}

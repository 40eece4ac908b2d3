// BasicClient: a client over one Backend: connects, receives, reconnects. ombus/client.h wraps it;
// ClientStream knows what the bytes mean.
//
// The buffer belongs to the kernel while a receive is under way, so that one is queued only when no
// whole frame is left, and a lost connection is given up only after its close has completed.
//
// Threads: one at a time.
#ifndef OMBUS_NET_BASIC_CLIENT_H_
#define OMBUS_NET_BASIC_CLIENT_H_

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/backend.h"
#include "net/backoff.h"
#include "net/client_stream.h"
#include "net/silence_watch.h"
#include "net/socket.h"
#include "ombus/client.h"
#include "ring/base/random.h"

namespace ombus::net {

// A socket as a client wants it: small frames at once, a dead peer noticed.
Result<UniqueFd> NewClientSocket(const sockaddr_storage& address);

// What a client needs of the world besides its back end; the simulator's is another.
struct ClientNetwork {
  std::function<Result<std::vector<sockaddr_storage>>()> look_up;  // of the host, once more
  std::function<Result<UniqueFd>(const sockaddr_storage&)> new_socket = NewClientSocket;
};

template <Backend B>
class BasicClient {
 public:
  BasicClient(std::unique_ptr<B> backend, std::vector<sockaddr_storage> addresses,
              const ClientOptions& options, ClientNetwork network);
  ~BasicClient() { backend_.reset(); }  // before the buffer that it may still receive into
  BasicClient(const BasicClient&) = delete;
  BasicClient& operator=(const BasicClient&) = delete;

  // Waits for the first connection, one try of each address. With reconnect always ok.
  Status ConnectFirst();

  ClientResult Poll(Record* record, uint64_t timeout_ns) {
    const ClientResult result = stream_.Next(record);
    if (result == ClientResult::kRecord) [[likely]]
      return NoteRecord(*record, result);
    return PollSlow(record, result, timeout_ns);
  }
  size_t PollBatch(std::span<Record> out, uint64_t timeout_ns, ClientResult* end);

  bool SendHeartbeat();

  uint64_t wal_seq() const { return last_wal_seq_; }
  uint64_t expected_wal_seq() const { return stream_.gap_expected(); }
  uint64_t epoch() const { return stream_.epoch(); }
  SlowWarning slow_warning() const { return stream_.slow_warning(); }
  bool connected() const { return state_ == State::kConnected; }
  bool heard() const { return heard_ || stream_.spoke(); }
  uint32_t reconnects() const { return reconnects_; }
  Status status() const { return status_; }
  const char* backend_name() const { return backend_->name(); }

  void OnCompletion(const Completion& done);  // the back end's, not the caller's

 private:
  enum class State : uint8_t { kWaiting, kConnecting, kConnected, kClosing, kFinal };
  // How long a resuming client waits for WELCOME before it takes the server for an old one.
  static constexpr uint64_t kWelcomeWaitNs = 1'000'000'000;
  // How long a frame may stand half arrived where HELLO was said and no heartbeats are agreed on:
  // as long as the kernel looks after a dead peer.
  static constexpr uint64_t kFramePatienceNs = 25'000'000'000;

  ClientResult NoteRecord(const Record& record, ClientResult result) {
    last_wal_seq_ = record.wal_seq;
    return result;
  }
  [[gnu::noinline]] ClientResult PollSlow(Record* record, ClientResult result, uint64_t timeout_ns);
  // One turn of whatever state the connection is in, waiting at most wait_ns.
  void Drive(uint64_t wait_ns);
  void DriveConnected(uint64_t wait_ns);
  void Turn(uint64_t wait_ns);
  // Heartbeats and silence: what is due now, and how long until something is.
  uint64_t idle_timeout_ns() const;
  void Watch();
  bool AwaitsWelcome() const { return stream_.skipping() && outbox_sent_ == outbox_.size(); }
  void WatchWelcome();
  bool CameMeanwhile();
  uint64_t BoundedWait(uint64_t wait_ns);
  void MakeHeartbeat();
  void LookUpAgain();
  void StartConnect();
  void OnConnected(int result);
  void OnReceived(int result);
  void OnSent(int result);
  void SendOutbox();
  void Drop(Status why, bool retry);
  void OnClosed();
  void JudgeConnection();
  std::string ClosedText() const;
  std::string PeerText() const { return options_.host + ":" + std::to_string(options_.port); }
  ClientResult Ended(ClientResult result);

  ClientOptions options_;
  std::vector<sockaddr_storage> addresses_;
  ClientNetwork network_;
  ClientStream stream_;
  std::unique_ptr<B> backend_;
  State state_ = State::kWaiting;
  SocketId socket_ = kNoSocket;
  uint64_t connection_ = 0;  // the token of all operations of one connection
  size_t next_address_ = 0;
  uint64_t deadline_ns_ = 0;  // kConnecting: of this attempt; kWaiting: of the next one's start
  SilenceWatch silence_;      // kConnected: of the server
  SilenceWatch welcome_;      // since HELLO went out, while resuming: of its answer
  uint64_t spoke_ns_ = 0;
  uint64_t last_wal_seq_ = 0;
  Random random_;
  uint32_t failures_ = 0, reconnects_ = 0;
  uint64_t connected_ns_ = 0, backoff_ns_ = 0;  // since when; the wait before the last attempt
  bool barren_ = false;                         // the last connection was of no use
  bool heard_ = false;                          // a frame on any connection before this one
  bool look_up_ = false;                        // before the next attempt
  bool receiving_ = false, established_ = false, was_connected_ = false, tell_connected_ = false;
  bool retry_ = false;             // kClosing: go on to another attempt
  std::vector<std::byte> outbox_;  // HELLO or a heartbeat, going out
  size_t outbox_sent_ = 0;
  ClientResult final_ = ClientResult::kDisconnected;
  Status status_;
};

}  // namespace ombus::net

#include "net/basic_client_inl.h"  // IWYU pragma: export

#endif  // OMBUS_NET_BASIC_CLIENT_H_

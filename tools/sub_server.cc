#include <cstdio>
#include <memory>
#include <string>

#include "tools/cpu.h"
#include "tools/stop_signal.h"
#include "tools/sub_sources.h"

namespace ombus::tools {
namespace {

constexpr size_t kBatch = 64;
constexpr uint64_t kWaitNs = 100'000'000;

class ServerSubscription {
 public:
  ServerSubscription(const SubOptions& options, RecordSink* sink, Output* output)
      : options_(options), sink_(*sink), output_(*output) {}

  Status Run() {
    ClientOptions client_options = options_.client;
    client_options.reconnect = !options_.once;
    auto client = Client::Connect(client_options);
    if (!client.ok()) return client.status();
    client_ = std::move(*client);
    connected_ = client_->status().ok();
    if (!connected_ && options_.wait_ns == 0) return client_->status();
    started_ns_ = last_record_ns_ = NowNs();
    Status status;
    while (status.ok() && !finished_ && !StopRequested() && !sink_.done() && output_.ok()) {
      status = Step();
    }
    return status;
  }

 private:
  // A batch of what is there; when there is nothing, output first and then a wait.
  Status Step() {
    ClientResult result = TakeBatch(0);
    if (result == ClientResult::kEmpty) {
      if (!output_.empty() && !output_.Flush().ok()) return {};
      if (Status late = CheckTime(); !late.ok()) return late;
      result = TakeBatch(options_.busy ? 0 : kWaitNs);
    }
    return OnResult(result);
  }

  // Records until something else than a record comes, or kBatch of them.
  ClientResult TakeBatch(uint64_t timeout_ns) {
    Record record;
    ClientResult result = client_->Poll(&record, timeout_ns);
    const size_t wanted = sink_.Wanted(kBatch);
    size_t taken = 0;
    sink_.Begin(NowNs());
    while (result == ClientResult::kRecord || result == ClientResult::kGap ||
           result == ClientResult::kReorder) {
      sink_.Add(record);
      connected_ = true;
      if (++taken == wanted) break;
      result = client_->Poll(&record, 0);
    }
    sink_.Commit();
    return taken > 0 && result == ClientResult::kEmpty ? ClientResult::kRecord : result;
  }

  // Tells of a connection that was lost as soon as that is seen, for a long silence may follow; and
  // of each new reason why it does not come back.
  void TellLoss(uint64_t now) {
    if (!connected_ || now - looked_ns_ < kWaitNs) return;
    looked_ns_ = now;
    if (!client_->connected()) TellWhyLost();
  }
  void TellWhyLost() {
    const Status why = client_->status();
    if (why.ok() || why.message() == told_) return;
    told_ = why.message();
    std::fprintf(stderr, "connection lost: %s; trying again\n", told_.c_str());
  }

  Status CheckTime() {
    const uint64_t now = NowNs();
    TellLoss(now);
    if (!connected_ && now - started_ns_ > options_.wait_ns) return client_->status();
    if (sink_.tally().records != seen_records_) last_record_ns_ = now;
    seen_records_ = sink_.tally().records;
    if (options_.timeout_ns == 0 || now - last_record_ns_ <= options_.timeout_ns) return {};
    return {StatusCode::kUnavailable,
            "poll \"" + options_.connect +
                "\": no record within --timeout-ms; is its producer running?"};
  }

  Status OnResult(ClientResult result) {
    switch (result) {
      case ClientResult::kEndOfStream:
        finished_ = true;
        return {};
      case ClientResult::kDisconnected:
        return client_->status().ok()
                   ? Status(StatusCode::kUnavailable, "receive \"" + options_.connect +
                                                          "\": the connection was closed; "
                                                          "leave out --once to reconnect")
                   : client_->status();
      case ClientResult::kProtocolError:
        // Who never sent a frame is no relay, and will not become one by asking again.
        if (options_.once || (sink_.tally().records == 0 && client_->epoch() == 0)) {
          return client_->status();
        }
        return {};
      case ClientResult::kConnected:
        if (connected_) {
          if (told_.empty()) TellWhyLost();
          std::fprintf(stderr, "reconnected to %s; last record was %llu\n",
                       options_.connect.c_str(),
                       static_cast<unsigned long long>(client_->wal_seq()));
        }
        told_.clear();
        connected_ = true;
        return {};
      case ClientResult::kEpochChanged:
        std::fprintf(stderr, "another producer owns the stream now (epoch %llu)\n",
                     static_cast<unsigned long long>(client_->epoch()));
        sink_.ExpectBeginning();
        return {};
      case ClientResult::kSlowWarning:
        std::fprintf(stderr, "the server warns: %u bytes behind, the limit is %u\n",
                     client_->slow_warning().pending_bytes, client_->slow_warning().limit_bytes);
        return {};
      default:
        return {};
    }
  }

  const SubOptions& options_;
  RecordSink& sink_;
  Output& output_;
  std::unique_ptr<Client> client_;
  bool finished_ = false, connected_ = false;
  uint64_t started_ns_ = 0, last_record_ns_ = 0, seen_records_ = 0;
  uint64_t looked_ns_ = 0;
  std::string told_;  // of the loss of this connection
};

}  // namespace

Status ReceiveFromServer(const SubOptions& options, RecordSink* sink, Output* output) {
  ServerSubscription subscription(options, sink, output);
  Status status = subscription.Run();
  Status flushed = output->Flush();
  return flushed.ok() ? status : flushed;
}

}  // namespace ombus::tools

#include <cstdio>
#include <memory>
#include <string>

#include "tools/cpu.h"
#include "tools/loss_log.h"
#include "tools/stop_signal.h"
#include "tools/sub_sources.h"

namespace ombus::tools {
namespace {

constexpr size_t kBatch = 64;
constexpr uint64_t kWaitNs = 100'000'000;
// After so long without a word from a server that took the connection, a line says so.
constexpr uint64_t kWordlessNs = 3'000'000'000;

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
    if (const std::string note = client_->backend_note(); !note.empty()) Say(note + "\n");
    connected_ = client_->status().ok();
    if (!connected_ && options_.wait_ns == 0) return client_->status();
    if (connected_ && options_.client.hello) wordless_since_ns_ = NowNs();
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
    if (client_->connected() || client_->status().ok()) return;
    Say(losses_.Away(client_->status().message(), now));
  }
  static void Say(const std::string& lines) { std::fputs(lines.c_str(), stderr); }

  // Who says HELLO gets WELCOME at once, but from a server of the old protocol, which is silent
  // until its first record; so only --wait-ms makes that an error.
  Status CheckFirstWord(uint64_t now) {
    if (client_->heard()) return {};
    const bool late = now - started_ns_ > options_.wait_ns;
    if (!connected_) return late ? client_->status() : Status();
    if (!options_.client.hello) return {};
    if (late && options_.wait_ns != 0) {
      if (!client_->connected()) return client_->status();
      return {StatusCode::kUnavailable,
              "recv \"" + options_.connect +
                  "\": connected, but no word from it within --wait-ms; is that an ombus relay? "
                  "One of the old protocol is silent until its first record: say --no-hello"};
    }
    if (!client_->connected() || wordless_since_ns_ == 0) return {};
    if (now - wordless_since_ns_ < kWordlessNs) return {};
    wordless_since_ns_ = 0;  // told
    Say("connected to " + options_.connect +
        ", but no word from it yet; is that an ombus relay? "
        "One of the old protocol is silent until its first record\n");
    return {};
  }

  Status CheckTime() {
    const uint64_t now = NowNs();
    TellLoss(now);
    if (Status wordless = CheckFirstWord(now); !wordless.ok()) return wordless;
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
          Say(losses_.Back(client_->status().message(),
                           "reconnected to " + options_.connect + "; last record was " +
                               std::to_string(client_->wal_seq()),
                           NowNs()));
        } else if (options_.client.hello) {
          wordless_since_ns_ = NowNs();
        }
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
  uint64_t wordless_since_ns_ = 0;  // 0: not to be told, or told
  LossLog losses_;
};

}  // namespace

Status ReceiveFromServer(const SubOptions& options, RecordSink* sink, Output* output) {
  ServerSubscription subscription(options, sink, output);
  Status status = subscription.Run();
  Status flushed = output->Flush();
  return flushed.ok() ? status : flushed;
}

}  // namespace ombus::tools

#include <array>
#include <cstdio>
#include <memory>

#include "tools/cpu.h"
#include "tools/ring_flags.h"
#include "tools/stop_signal.h"
#include "tools/sub_sources.h"

namespace ombus::tools {
namespace {

constexpr size_t kBatch = 64;
constexpr uint64_t kWaitNs = 100'000'000;  // how soon a stop signal is noticed at the latest

// Live to a stream that is there; from its first record on to one that was waited for.
Result<std::unique_ptr<Consumer>> OpenConsumer(const SubOptions& options, uint64_t wait_ns,
                                               ConsumerStart start) {
  const uint64_t give_up_ns = wait_ns == ~uint64_t{0} ? wait_ns : NowNs() + wait_ns;
  ConsumerOptions consumer_options = options.consumer;
  consumer_options.start = start;
  while (true) {
    auto consumer = Consumer::Open(consumer_options);
    if (consumer.ok()) return consumer;
    const StatusCode code = consumer.status().code();
    const bool may_come = code == StatusCode::kNotFound || code == StatusCode::kUnavailable;
    if (!may_come || StopRequested() || NowNs() >= give_up_ns) return consumer;
    consumer_options.start = ConsumerStart::kEpochStart;
    SleepNs(1'000'000);
  }
}

class RingSubscription {
 public:
  RingSubscription(const SubOptions& options, RecordSink* sink, Output* output)
      : options_(options), sink_(*sink), output_(*output), last_record_ns_(NowNs()) {}

  Status Run() {
    Status opened = Open(options_.wait_ns, ConsumerStart::kLive);
    while (opened.ok() && !finished_ && !StopRequested() && !sink_.done() && output_.ok()) {
      const BatchResult got = TakeBatch();
      if (got.count == 0 && !Idle(got.end)) break;
      opened = OnEnd(got.end);
    }
    return opened;
  }

 private:
  Status Open(uint64_t wait_ns, ConsumerStart start) {
    consumer_.reset();
    auto opened = OpenConsumer(options_, wait_ns, start);
    if (!opened.ok()) return StopRequested() ? Status() : opened.status();
    consumer_ = std::move(*opened);
    TellMemory("sub", options_.consumer.memory, consumer_->memory());
    lost_ = 0;
    if (const uint64_t missed = consumer_->missed_records(); missed != 0) {
      std::fprintf(stderr, "missed: %llu records were published before this reader attached\n",
                   static_cast<unsigned long long>(missed));
      sink_.AddLost(missed);
    }
    return {};
  }

  BatchResult TakeBatch() {
    if (consumer_ == nullptr) return {0, PollResult::kClosed};
    std::array<Record, kBatch> records;
    const BatchResult got =
        consumer_->PollBatch(std::span(records).first(sink_.Wanted(records.size())));
    if (got.count == 0) return got;
    sink_.Begin(NowNs());
    for (const Record& record : std::span(records).first(got.count)) sink_.Add(record);
    if (consumer_->valid()) {
      sink_.Commit();
    } else {
      sink_.Rollback();
    }
    return got;
  }

  // Nothing to read: lets people see what there was, then waits. False: waited for too long.
  bool Idle(PollResult end) {
    if (end != PollResult::kEmpty) return true;
    if (!output_.empty() && !output_.Flush().ok()) return false;
    const uint64_t records = sink_.tally().records;
    if (options_.timeout_ns != 0) {
      if (records != seen_records_) last_record_ns_ = NowNs();
      seen_records_ = records;
      if (NowNs() - last_record_ns_ > options_.timeout_ns) return TimedOut();
    }
    if (options_.busy) {
      consumer_->CheckName();
    } else {
      (void)consumer_->Wait(kWaitNs);
    }
    return true;
  }

  bool TimedOut() {
    timed_out_ = true;
    return false;
  }

  Status OnEnd(PollResult end) {
    switch (end) {
      case PollResult::kEvicted:
        std::fprintf(stderr, "evicted: %llu records lost; going on from the live head\n",
                     static_cast<unsigned long long>(consumer_->lost_records() - lost_));
        sink_.AddLost(consumer_->lost_records() - lost_);
        lost_ = consumer_->lost_records();
        sink_.ForgetSequence();
        return {};
      case PollResult::kCorrupt:
        std::fprintf(stderr, "corrupt: a record after %llu was skipped\n",
                     static_cast<unsigned long long>(consumer_->wal_seq()));
        sink_.AddCorrupt();
        return {};
      case PollResult::kEpochChanged:
        return OnEpochChanged();
      case PollResult::kClosed:
        finished_ = true;
        return {};
      default:
        return {};
    }
  }

  Status OnEpochChanged() {
    if (options_.once) {
      finished_ = true;
      return {};
    }
    const bool replaced = consumer_->replaced();
    std::fprintf(stderr, "another producer owns the stream now (epoch %llu)\n",
                 static_cast<unsigned long long>(consumer_->epoch()));
    sink_.ExpectBeginning();
    if (!replaced) return {};
    // Its successor is there already, or comes within moments.
    return Open(options_.wait_ns + 1'000'000'000, ConsumerStart::kEpochStart);
  }

 public:
  bool timed_out() const { return timed_out_; }

 private:
  const SubOptions& options_;
  RecordSink& sink_;
  Output& output_;
  std::unique_ptr<Consumer> consumer_;
  uint64_t lost_ = 0, last_record_ns_, seen_records_ = 0;
  bool finished_ = false, timed_out_ = false;
};

}  // namespace

Status ReceiveFromRing(const SubOptions& options, RecordSink* sink, Output* output) {
  RingSubscription subscription(options, sink, output);
  Status status = subscription.Run();
  if (!status.ok()) return status;
  if (Status flushed = output->Flush(); !flushed.ok()) return flushed;
  if (!subscription.timed_out()) return {};
  return {StatusCode::kUnavailable, "poll \"" + options.consumer.name +
                                        "\": no record within --timeout-ms; is the producer "
                                        "running? (ombus stat --stream " +
                                        options.consumer.name + ")"};
}

}  // namespace ombus::tools

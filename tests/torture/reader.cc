// A reading process of a round: reads in one of the ways there are, checks every byte of every
// record, and holds what it was told to have lost against what it misses.
#include <sched.h>
#include <time.h>

#include <memory>
#include <string>

#include "ombus/consumer.h"
#include "ring/base/random.h"
#include "tests/torture/content.h"
#include "tests/torture/roles.h"

namespace ombus::torture {
namespace {

constexpr size_t kBatchMax = 64;

using ull = unsigned long long;

class Reader {
 public:
  Reader(const std::string& name, const Plan& plan, Board* board, int index, Reading reading,
         uint64_t seed)
      : name_(name),
        plan_(plan),
        board_(board),
        mine_(board->readers[index]),
        reading_(reading),
        random_(seed) {}

  int Run() {
    bool more = true;
    while (more && !failed_) {
      if (!Attach()) break;
      uint64_t left = reading_ == Reading::kChurn ? 1 + random_.Below(3000) : ~uint64_t{0};
      while (left > 0 && !failed_) {
        const uint64_t before = count_;
        const PollResult result = ReadSome();
        left -= std::min(left, count_ - before);
        mine_.records.store(mine_.records.load(std::memory_order_relaxed) + count_ - before,
                            std::memory_order_relaxed);
        if (result == PollResult::kClosed && !consumer_->replaced()) {
          more = false;
          CheckEnd();
        }
        if (!AnswerTo(result)) break;
      }
      if (reading_ == Reading::kChurn) {  // what comes until the next visit is not ours
        knows_expected_ = false;
        mine_.attached_epoch.store(0);
      }
      consumer_ = nullptr;
    }
    mine_.attached_epoch.store(0);
    return failed_ ? 1 : 0;
  }

 private:
  // False: there is no stream any more, or a fault.
  bool Attach() {
    if (mine_.attached_epoch.load() == 0) mine_.attached_epoch.store(kAttaching);
    for (;;) {
      const bool done = board_->done.load();
      auto opened = Consumer::Open(
          {.name = name_,
           .start = knows_expected_ ? ConsumerStart::kEpochStart : ConsumerStart::kLive});
      if (opened.ok()) {
        consumer_ = std::move(*opened);
        break;
      }
      const StatusCode code = opened.status().code();
      if (code != StatusCode::kNotFound && code != StatusCode::kUnavailable) {
        return Fail(Fault::kOther, "open: %s", opened.status().message().c_str());
      }
      if (done) return false;
    }
    Add(mine_.joins, 1);
    lost_seen_ = 0;
    first_of_handle_ = true;
    allowed_ = consumer_->missed_records();
    mine_.attached_epoch.store(consumer_->epoch());
    return true;
  }

  PollResult ReadSome() {
    switch (reading_) {
      case Reading::kBatch:
        return ReadBatch();
      case Reading::kDrain:
        return consumer_->Drain(1 + random_.Below(100), [&](const Record& r) { Take(r, true); })
            .end;
      case Reading::kCopy:
        if (Record record; consumer_->TryCopyOut<512>(copy_, &record)) {
          TakeCopy(record);
          return PollResult::kRecord;
        }
        break;
      default:
        break;
    }
    Record record;
    const PollResult result = consumer_->Poll(&record);
    if (IsRecord(result)) Take(record, true);
    return result;
  }

  PollResult ReadBatch() {
    Record records[kBatchMax];
    const BatchResult got = consumer_->PollBatch({records, 1 + random_.Below(kBatchMax)});
    if (got.count > 0 && plan_.staleness_ns != 0 && random_.OneIn(4000)) Pause();
    for (size_t i = 0; i < got.count; ++i) Take(records[i], i + 1 == got.count);
    return got.end;
  }

  // Holding the view over an eviction.
  void Pause() {
    const struct timespec pause = {.tv_sec = 0,
                                   .tv_nsec = static_cast<long>(plan_.staleness_ns * 3 / 2)};
    nanosleep(&pause, nullptr);
  }

  void Take(const Record& record, bool last_of_call) {
    ++count_;
    if (last_of_call && plan_.staleness_ns != 0 && random_.OneIn(20'000)) Pause();
    CheckOrder(record);
    if (Holds(record)) return;
    if (consumer_->valid()) {
      Fail(Fault::kTornRead, "record %llu: wrong bytes in a valid view", ull(record.wal_seq));
    } else {
      Add(mine_.torn_told, 1);
    }
  }

  // A copy was sound when it was handed out, whatever becomes of the slot.
  void TakeCopy(const Record& record) {
    ++count_;
    CheckOrder(record);
    if (!Holds(record)) {
      Fail(Fault::kTornRead, "record %llu: wrong bytes in a copy", ull(record.wal_seq));
    }
  }

  // What is missing is exactly what we were told to have lost.
  void CheckOrder(const Record& record) {
    const uint64_t lost = consumer_->lost_records();
    allowed_ += lost - lost_seen_;
    lost_seen_ = lost;
    const uint64_t missing = record.wal_seq - expected_;
    if (knows_expected_ && missing != allowed_) {
      Fail(Fault::kSilentGap, "record %llu, expected %llu, told of %llu lost", ull(record.wal_seq),
           ull(expected_), ull(allowed_));
    }
    const bool said = (record.flags & kRecordGap) != 0;
    if (knows_expected_ && !first_of_handle_ && said != (missing != 0)) {
      Fail(Fault::kSilentGap, "record %llu: %llu are missing, its flags are %u",
           ull(record.wal_seq), ull(missing), unsigned{record.flags});
    }
    if (knows_expected_) Add(mine_.lost, allowed_);
    first_of_handle_ = false;
    allowed_ = 0;
    expected_ = record.wal_seq + 1;
    knows_expected_ = true;
  }

  // What is missing at the end, too, is what we were told to have lost.
  void CheckEnd() {
    const uint64_t lost = allowed_ + consumer_->lost_records() - lost_seen_;
    const uint64_t missing = board_->published.load() - expected_;
    if (knows_expected_ && missing != lost) {
      Fail(Fault::kSilentGap, "the end, %llu records after the last one, told of %llu lost",
           ull(missing), ull(lost));
    }
  }

  // False: attach again.
  bool AnswerTo(PollResult result) {
    switch (result) {
      case PollResult::kEmpty:
        if (plan_.sleepers) {
          (void)consumer_->Wait(1'000'000'000, 5'000);
        } else if (++empty_polls_ % 256 == 0) {
          sched_yield();  // or on a busy host the producer waits for our time slice's end
        }
        return true;
      case PollResult::kEvicted:
        Add(mine_.evictions, 1);
        if (plan_.staleness_ns == 0) Fail(Fault::kOther, "evicted where nobody is");
        return true;
      case PollResult::kEpochChanged:
        Add(mine_.epochs, 1);
        if (consumer_->replaced()) return false;
        mine_.attached_epoch.store(consumer_->epoch());
        return true;
      case PollResult::kCorrupt:
        return Fail(Fault::kOther, "a record was called corrupt after %llu", ull(expected_ - 1));
      case PollResult::kReorder:
        return Fail(Fault::kOther, "a record was called reordered");
      case PollResult::kClosed:
        return false;
      case PollResult::kRecord:
      case PollResult::kGap:
        return true;
    }
    return true;
  }

  template <typename... Values>
  bool Fail(Fault fault, const char* format, Values... values) {
    failed_ = true;
    char text[200];
    snprintf(text, sizeof text, format, values...);
    (void)board_->Report(fault, "%s reader %d: %s", Name(reading_),
                         static_cast<int>(&mine_ - board_->readers), text);
    return false;
  }
  static const char* Name(Reading reading) {
    static constexpr const char* kNames[] = {"poll", "batch", "drain", "copy", "churn"};
    return kNames[static_cast<int>(reading)];
  }

  const std::string name_;
  const Plan& plan_;
  Board* board_;
  ReaderBoard& mine_;
  const Reading reading_;
  Random random_;
  std::unique_ptr<Consumer> consumer_;
  std::byte copy_[512];
  uint64_t count_ = 0;
  uint32_t empty_polls_ = 0;
  uint64_t expected_ = 0;  // the next record's number
  bool knows_expected_ = false;
  uint64_t allowed_ = 0;  // records we were told to have lost since the last one
  uint64_t lost_seen_ = 0;
  bool first_of_handle_ = true;  // which reports no gap
  bool failed_ = false;
};

}  // namespace

int Read(const std::string& name, const Plan& plan, Board* board, int index, Reading reading,
         uint64_t seed) {
  return Reader(name, plan, board, index, reading, seed).Run();
}

}  // namespace ombus::torture

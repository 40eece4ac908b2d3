// The producing process of a round: takes the stream over where a killed one left it, publishes in
// every way there is, and may replace itself by a new object.
#include "ombus/producer.h"

#include <sched.h>

#include <algorithm>
#include <memory>
#include <string>

#include "ring/base/random.h"
#include "tests/torture/content.h"
#include "tests/torture/roles.h"

namespace ombus::torture {
namespace {

constexpr size_t kBatchMax = 48;

class Publisher {
 public:
  Publisher(const std::string& name, const Plan& plan, Board* board)
      : plan_(plan), board_(board), random_(board->seed + board->takeovers.load()) {
    options_ = {.name = name,
                .capacity = plan.capacity,
                .slot_size = plan.slot_size,
                .max_consumers = kReadersMax + 2,
                .crc32c = plan.crc32c,
                .staleness_ns = plan.staleness_ns};
  }

  int Run() {
    if (!Create()) return 1;
    // The first of them only.
    while (!board_->running.load() && producer_->live_consumers() < board_->readers_wanted) {
      sched_yield();
    }
    board_->running.store(true);
    // Before its end a killed predecessor may have published more than it said.
    if (!board_->done.load()) board_->published.store(number_, std::memory_order_relaxed);
    while (number_ < board_->records && !board_->stop.load(std::memory_order_relaxed)) {
      if (!PublishSome()) return board_->Report(Fault::kOther, "a publish failed");
      board_->published.store(number_, std::memory_order_relaxed);
      if (plan_.replaces && random_.OneIn(2000) && AllReadersAreHere() && !Replace()) return 1;
    }
    board_->done.store(true);
    producer_->Close();
    return 0;
  }

 private:
  bool Create() {
    auto made = Producer::Create(options_);
    if (!made.ok()) {
      board_->Report(Fault::kOther, "create: %s", made.status().message().c_str());
      return false;
    }
    producer_ = std::move(*made);
    Add(board_->takeovers, 1);
    // After the end there is nothing to publish, whatever object this is.
    if (board_->done.load()) number_ = board_->records;
    if (!board_->done.load()) number_ = producer_->head() - board_->origin.load();
    if (number_ > board_->records) {
      board_->Report(Fault::kOther, "taken over at record %llu of %llu",
                     static_cast<unsigned long long>(number_),
                     static_cast<unsigned long long>(board_->records));
      return false;
    }
    board_->epoch.store(producer_->epoch());
    return true;
  }

  // A producer of the same process takes the name over with a new object.
  bool Replace() {
    auto made = Producer::Create(options_);
    if (!made.ok()) {
      board_->Report(Fault::kOther, "replace: %s", made.status().message().c_str());
      return false;
    }
    if (!producer_->superseded()) {
      board_->Report(Fault::kOther, "a replaced producer does not know");
      return false;
    }
    producer_ = std::move(*made);
    board_->origin.store(producer_->head() - number_);
    board_->epoch.store(producer_->epoch());
    Add(board_->replacements, 1);
    return true;
  }

  // Or those who are not would miss the object between.
  bool AllReadersAreHere() const {
    for (const ReaderBoard& reader : board_->readers) {
      const uint64_t epoch = reader.attached_epoch.load();
      if (epoch != 0 && epoch != board_->epoch.load()) return false;
    }
    return true;
  }

  bool PublishSome() {
    const uint64_t left = board_->records - number_;
    const uint64_t run = std::min<uint64_t>(left, 1 + random_.Below(200));
    switch (random_.Below(5)) {
      case 0:
        return PublishSingle(run, false);
      case 1:
        return PublishSingle(run, true);
      case 2:
        return PublishBatch(std::min<uint64_t>(left, 1 + random_.Below(kBatchMax)));
      case 3:
        return FillRun(run);
      default:
        return ReserveAndCommit(run);
    }
  }

  bool PublishSingle(uint64_t run, bool wait) {
    unsigned char bytes[kContentBytesMax];
    for (; run > 0; --run) {
      const Record record = {.wal_seq = number_,
                             .payload = bytes,
                             .size = Fill(number_, bytes),
                             .type = TypeOf(number_)};
      PublishResult result = PublishResult::kFull;
      while (result == PublishResult::kFull) {
        result = wait ? producer_->Publish(record) : producer_->TryPublish(record);
        if (result == PublishResult::kFull && !MakeRoom()) return false;
      }
      if (result != PublishResult::kOk) return false;
      ++number_;
    }
    return true;
  }

  bool PublishBatch(uint64_t count) {
    static unsigned char bytes[kBatchMax][kContentBytesMax];
    static Record records[kBatchMax];
    for (uint64_t i = 0; i < count; ++i) {
      records[i] = {.wal_seq = number_ + i,
                    .payload = bytes[i],
                    .size = Fill(number_ + i, bytes[i]),
                    .type = TypeOf(number_ + i)};
    }
    size_t done = 0;
    const PublishResult result = producer_->PublishBatch({records, count}, kWaitForever, &done);
    number_ += done;
    return result == PublishResult::kOk;
  }

  bool FillRun(uint64_t run) {
    size_t done = 0;
    const auto write = [this](void* room, size_t i) {
      return Producer::Written{number_ + i, Fill(number_ + i, room), TypeOf(number_ + i)};
    };
    const PublishResult result = producer_->Fill(run, write, kWaitForever, &done);
    number_ += done;
    return result == PublishResult::kOk;
  }

  bool ReserveAndCommit(uint64_t run) {
    for (; run > 0; --run) {
      void* room = producer_->TryReserve();
      while (room == nullptr) {
        if (!MakeRoom()) return false;
        room = producer_->TryReserve();
      }
      const uint16_t size = Fill(number_, room);
      if (producer_->Commit(number_, TypeOf(number_), size) != PublishResult::kOk) return false;
      ++number_;
    }
    return true;
  }

  bool MakeRoom() { return producer_->WaitForRoom(kWaitForever) == PublishResult::kOk; }

  const Plan& plan_;
  Board* board_;
  Random random_;
  ProducerOptions options_;
  std::unique_ptr<Producer> producer_;
  uint64_t number_ = 0;
};

}  // namespace

int Produce(const std::string& name, const Plan& plan, Board* board) {
  return Publisher(name, plan, board).Run();
}

}  // namespace ombus::torture

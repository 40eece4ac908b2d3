// RingUser: everything a program can do with a stream that it does not trust: attach and poll in
// all ways, sleep, take over and publish, look at it from outside. Each call has to come back, and
// what it hands out has to lie inside the object. Programs are linked with guarded_mmap.cc.
#ifndef OMBUS_TESTS_FUZZ_RING_USER_H_
#define OMBUS_TESTS_FUZZ_RING_USER_H_

#include <memory>
#include <string>
#include <utility>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "ombus/ring_snapshot.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/guarded_mmap.h"

namespace ombus {

class RingUser {
 public:
  RingUser(std::string name, const ProducerOptions& options) : options_(options) {
    options_.name = std::move(name);
    options_.unlink_on_close = false;
  }

  bool Attach(const ConsumerOptions& wanted) {
    ConsumerOptions options = wanted;
    options.name = options_.name;
    consumer_.reset();
    auto opened = Consumer::Open(options);
    FUZZ_CHECK(opened.ok() || !opened.status().message().empty());
    if (opened.ok()) consumer_ = std::move(*opened);
    return opened.ok();
  }
  void Detach() { consumer_.reset(); }
  bool attached() const { return consumer_ != nullptr; }

  // Each other time copied out, where that takes it.
  PollResult Poll() {
    Record record;
    std::byte copy[512];
    if (++calls_ % 2 == 0 && consumer_->TryCopyOut<sizeof copy>(copy, &record)) {
      FUZZ_CHECK(record.payload == copy && record.size <= sizeof copy);
      Read(record);
      return PollResult::kRecord;
    }
    const PollResult result = consumer_->Poll(&record);
    FUZZ_CHECK(result <= PollResult::kClosed);
    if (IsRecord(result)) CheckRecord(record);
    return result;
  }
  void PollBatch(size_t max) {
    Record records[8];
    const BatchResult batch = consumer_->PollBatch({records, std::min<size_t>(max, 8)});
    FUZZ_CHECK(batch.count <= max);
    for (size_t i = 0; i < batch.count; ++i) CheckRecord(records[i]);
  }
  void Drain(size_t max) {
    size_t count = 0;
    const BatchResult batch = consumer_->Drain(max, [&](const Record& record) {
      CheckRecord(record);
      ++count;
    });
    FUZZ_CHECK(batch.count <= max && batch.count == count);
  }
  void Wait(uint64_t timeout_ns) { (void)consumer_->Wait(timeout_ns, timeout_ns / 2); }
  // Sleeping together with sockets, but for the sleep.
  void Arm() {
    FUZZ_CHECK(consumer_->WakeDescriptor().ok());
    if (consumer_->ArmWake()) consumer_->DisarmWake();
  }
  void Ask() {
    consumer_->Release();
    (void)consumer_->replaced();
    (void)consumer_->valid();
    sum_ += consumer_->head() + consumer_->epoch_position() + consumer_->lost_records();
  }

  bool TakeOver() {
    producer_.reset();
    auto made = Producer::Create(options_);
    FUZZ_CHECK(made.ok() || !made.status().message().empty());
    if (made.ok()) producer_ = std::move(*made);
    return made.ok();
  }
  void StopProducing() { producer_.reset(); }
  bool producing() const { return producer_ != nullptr; }
  void Publish(size_t size, uint64_t timeout_ns) {
    const auto bytes = static_cast<uint16_t>(std::min<size_t>(size, sizeof payload_));
    if (++calls_ % 2 == 0 && producer_->TryPublishShort(wal_seq_ + 1, 2, payload_, bytes)) {
      ++wal_seq_;
      FUZZ_CHECK(bytes <= producer_->payload_max());
      return;
    }
    const Record record = {.wal_seq = ++wal_seq_, .payload = payload_, .size = bytes, .type = 2};
    const PublishResult result =
        timeout_ns == 0 ? producer_->TryPublish(record) : producer_->Publish(record, timeout_ns);
    FUZZ_CHECK((result == PublishResult::kTooLarge) == (bytes > producer_->payload_max()) ||
               result == PublishResult::kClosed);
  }
  // Each other time written in place.
  void PublishBatch(size_t count, size_t size) {
    if (++calls_ % 2 == 0) return Fill(count, size);
    Record records[8];
    count = std::min<size_t>(count, 8);
    for (size_t i = 0; i < count; ++i) {
      records[i] = {.wal_seq = ++wal_seq_,
                    .payload = payload_,
                    .size = static_cast<uint16_t>(std::min<size_t>(size, sizeof payload_)),
                    .type = 2};
    }
    size_t published = 0;
    (void)producer_->PublishBatch({records, count}, 1000, &published);
    FUZZ_CHECK(published <= count);
  }
  void Fill(size_t count, size_t size) {
    size_t published = 0;
    (void)producer_->Fill(
        count,
        [&](void* room, size_t) {
          FUZZ_CHECK(InGuardedMapping(room, producer_->payload_max()));
          std::memset(room, 0x5A, producer_->payload_max());
          return Producer::Written{++wal_seq_, static_cast<uint16_t>(size), 2};
        },
        1000, &published);
    FUZZ_CHECK(published <= count);
  }
  void Commit(size_t size) {
    void* room = producer_->TryReserve();
    if (room == nullptr) return;
    FUZZ_CHECK(InGuardedMapping(room, producer_->payload_max()));
    std::memset(room, 0x5A, producer_->payload_max());
    (void)producer_->Commit(++wal_seq_, 3, static_cast<uint16_t>(size));
  }
  void AskProducer() {
    (void)producer_->superseded();
    sum_ += producer_->live_consumers() + producer_->min_tail();
    FUZZ_CHECK(producer_->live_consumers() <= options_.max_consumers);
  }

  bool Look() {
    const auto snapshot = ReadRingSnapshot(options_.name);
    FUZZ_CHECK(snapshot.ok() || !snapshot.status().message().empty());
    const auto histogram = ReadPayloadHistogram(options_.name);
    if (snapshot.ok()) FUZZ_CHECK(snapshot->consumers.size() <= snapshot->max_consumers);
    if (histogram.ok()) FUZZ_CHECK(histogram->max() <= kPayloadBytesMax);
    return snapshot.ok();
  }

  uint64_t sum() const { return sum_; }  // of all that was read, for reads not to be optimised away

 private:
  void CheckRecord(const Record& record) {
    FUZZ_CHECK(InGuardedMapping(record.payload, record.size));
    Read(record);
  }
  void Read(const Record& record) {
    FUZZ_CHECK(record.size <= consumer_->payload_max());
    const auto* bytes = static_cast<const volatile uint8_t*>(record.payload);
    for (uint32_t i = 0; i < record.size; ++i) sum_ += bytes[i];
  }

  ProducerOptions options_;
  std::unique_ptr<Consumer> consumer_;
  std::unique_ptr<Producer> producer_;
  uint64_t wal_seq_ = 0, sum_ = 0, calls_ = 0;
  std::byte payload_[600] = {};
};

}  // namespace ombus

#endif  // OMBUS_TESTS_FUZZ_RING_USER_H_

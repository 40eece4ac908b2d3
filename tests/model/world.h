// The world of the model's scenarios: one ring in memory, writers and readers of it, and what may
// be expected of every call. A record's content follows from its position and from who wrote it.
#ifndef OMBUS_TESTS_MODEL_WORLD_H_
#define OMBUS_TESTS_MODEL_WORLD_H_

#include <cstdint>
#include <memory>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tests/model/actions.h"
#include "tests/model/explorer.h"

namespace ombus::model {

// A bit per thread.
using Threads = uint32_t;

struct Shape {
  uint32_t capacity = 2;
  uint32_t lines = 1;
  bool sealed = false;
  bool evicts = false;   // the clock runs, and whoever stands still is evicted at the second look
  bool tends = false;    // the clock runs, and whoever stands still is urged, and freed if dead
  bool sleeps = false;   // readers do, by the descriptor or the futex
  bool creates = false;  // the ring itself, while threads run
  Threads kept = 0;      // readers that are never to be evicted
  Threads producers = 1;
  Threads enders = 0;             // of those: who closes the stream or takes it over
  Threads owners[3] = {2, 4, 8};  // of each line
};

struct Writer {
  uint8_t id = 0;
  uint64_t begun = 0;  // position at which its epoch did
  std::unique_ptr<Producer> producer;
};

struct Reader {
  uint64_t next = 0;  // position of the next record
  uint64_t lost = 0;
  uint64_t told = 0;  // of a change of the producer: the epoch then
  bool lost_since_record = false, has_read = false, closed = false, asleep = false;
  std::unique_ptr<Consumer> consumer;
};

inline constexpr size_t kRingBytes = kHeaderPageBytes + 3 * kConsumerLineBytes + 8 * 32;

struct World {
  char* ring = nullptr;
  uint64_t bytes = 0;
  bool unlinked = false;
  bool woken = false;  // whoever sleeps by the descriptor
  Shape shape;
  Writer* writers[kThreadsMax] = {};
  Reader* readers[kThreadsMax] = {};
  // By the writer's id.
  uint64_t epoch_of[kThreadsMax] = {};

  RingHeader& header() const { return *reinterpret_cast<RingHeader*>(ring); }
  SlotHeader& slot(uint64_t position) const;
};
extern World world;

// --- For set_up ----------------------------------------------------------------------------------
// A ring, and its producer, which is thread 0's; then its readers, and what is done beforehand.
void MakeRing(const Shape& shape);
void Join(int thread);  // a reader that was there before
// To be called last: the ring's words become the model's.
void HandOver();

// --- For set_up and the threads ------------------------------------------------------------------
void Publish(int thread, int times);
void PublishBatch(int thread, int records);
// Unless the line is taken, or the ring not there yet: then the calls below do nothing.
void Open(int thread, ConsumerStart start = ConsumerStart::kLive,
          uint32_t line = kAnyConsumerIndex);
void Leave(int thread);
void Poll(int thread, int times);
void Drain(int thread, int times);
void PollBatch(int thread);
void Release(int thread);
void CopyOut(int thread, int times);
void Sleep(int thread);  // by the descriptor, unless there is something to poll
void Wait(int thread);   // the same by the futex, until somebody wakes it
void Close(int thread);
void Create(int thread);  // the ring, or takes it over

// --- For wind_up ---------------------------------------------------------------------------------
// Each reader that lives reads to the end: nothing may be missing.
void DrainAll();
// And the producer goes on once more around the ring, which nobody holds back.
void DrainAllAndGoOn();

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_WORLD_H_

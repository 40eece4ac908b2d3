#include "tests/model/scenarios.h"

#include "tests/model/world.h"

namespace ombus::model {

namespace {

// A ring that is full: reader 1 stands still and was urged, reader 2 has read all. Two records
// later nobody else has been in the way for two looks.
void MakeFullRingOfTwo() {
  MakeRing({.lines = 2, .evicts = true, .kept = 0b1100, .owners = {0b1010, 0b100}});
  Join(1);
  Join(2);
  Publish(0, 2);
  AllocateFor(2);
  Poll(2, 3);
  AllocateFor(0);
  Publish(0, 1);
}

constexpr Scenario kScenarios[] = {
    {
        .name = "publish and poll, twice around",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({});
              Join(1);
              HandOver();
            },
        .run =
            [](int thread) { thread == 0 ? Publish(0, 4 + more_calls) : Poll(1, 4 + more_calls); },
        .wind_up = DrainAll,
    },
    {
        .name = "run ahead of a head that is late",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.capacity = 8});
              Join(1);
              HandOver();
            },
        .run = [](int thread) { thread == 0 ? PublishBatch(0, 2) : Poll(1, 2 + more_calls); },
        .wind_up = DrainAll,
    },
    {
        .name = "an empty poll looks at head",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({});
              Join(1);
              AllocateFor(1);
              Poll(1, 63);
              HandOver();
            },
        .run =
            [](int thread) { thread == 0 ? Publish(0, 1 + more_calls) : Poll(1, 2 + more_calls); },
        .wind_up = DrainAll,
    },
    {
        .name = "copy records out",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({});
              Join(1);
              AllocateFor(0);
              Publish(0, 1);
              AllocateFor(1);
              Poll(1, 2);  // the sequence is known then, and head need not be looked at
              HandOver();
            },
        .run =
            [](int thread) {
              thread == 0 ? Publish(0, 3 + more_calls) : CopyOut(1, 3 + more_calls);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "the end of the stream",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.enders = 1});
              Join(1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 1) return Poll(1, 3 + more_calls);
              Publish(0, 1 + more_calls);
              Close(0);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "evict who stands still",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.evicts = true});
              Join(1);
              Publish(0, 3);  // the last finds the ring full, and urges
              HandOver();
            },
        .run =
            [](int thread) { thread == 0 ? Publish(0, 2 + more_calls) : Poll(1, 3 + more_calls); },
        .wind_up = DrainAll,
    },
    {
        .name = "evict who stands still, sealed",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.sealed = true, .evicts = true});
              Join(1);
              Publish(0, 3);
              HandOver();
            },
        .run =
            [](int thread) { thread == 0 ? Publish(0, 2 + more_calls) : Poll(1, 2 + more_calls); },
        .wind_up = DrainAll,
    },
    {
        .name = "evict who copies",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.evicts = true});
              Join(1);
              Publish(0, 2);
              AllocateFor(1);
              Poll(1, 3);
              AllocateFor(0);
              Publish(0, 2);  // full, and nobody is urged
              HandOver();
            },
        .run =
            [](int thread) {
              thread == 0 ? Publish(0, 2 + more_calls) : CopyOut(1, 1 + more_calls);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "lap who waits at the head",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.evicts = true});
              Join(1);
              Publish(0, 2);
              AllocateFor(1);
              Poll(1, 3);
              HandOver();
            },
        .run =
            [](int thread) { thread == 0 ? Publish(0, 4 + more_calls) : Poll(1, 1 + more_calls); },
        .wind_up = DrainAll,
    },
    {
        .name = "join while the producer scans",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({});
              Publish(0, 1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 4 + more_calls);
              Open(1);
              Poll(1, 2 + more_calls);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "join at the start of the epoch",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({});
              Join(1);
              Publish(0, 1);
              AllocateFor(1);
              Poll(1, 2);
              Leave(1);  // its line is left with a tail beyond the start
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 3 + more_calls);
              Open(1, ConsumerStart::kEpochStart);
              Poll(1, 2 + more_calls);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "leave, and another takes the line",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.owners = {0b110}});
              Join(1);
              Publish(0, 2);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 2 + more_calls);
              if (thread == 1) {
                Poll(1, 1 + more_calls);
                return Leave(1);
              }
              Open(2, ConsumerStart::kLive, 0);
              Poll(2, 1 + more_calls);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "evict one of two",
        .threads = 3,
        .set_up =
            [] {
              MakeFullRingOfTwo();
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 2);
              Poll(thread, thread == 1 ? 1 + more_calls : 1);
            },
        .wind_up = DrainAllAndGoOn,
    },
    {
        .name = "evicted, it leaves, and another takes the line",
        .threads = 4,
        .set_up =
            [] {
              MakeFullRingOfTwo();
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 2);
              if (thread == 2) return Poll(2, 1);
              if (thread == 1) return Leave(1);
              Open(3, ConsumerStart::kLive, 0);
              Poll(3, 1 + more_calls);
            },
        .wind_up = DrainAllAndGoOn,
    },
    {
        .name = "a reader dies, and another takes the line",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.tends = true, .owners = {0b110}});
              Join(1);
              Publish(0, 2);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 2);
              if (thread == 1) return Poll(1, 2 + more_calls);
              Open(2, ConsumerStart::kLive, 0);
              Poll(2, 1 + more_calls);
            },
        .wind_up = DrainAllAndGoOn,
        .mortal = 0b10,
    },
};

}  // namespace

std::span<const Scenario> ScenariosOfOneProducer() { return kScenarios; }

}  // namespace ombus::model

// The scenarios in which a stream passes from one producer to another, or begins.
#include "tests/model/scenarios.h"
#include "tests/model/world.h"

namespace ombus::model {
namespace {

void ARecordAndTwoSuccessors() {
  MakeRing({.producers = 0b1101, .enders = 0b1100});
  Publish(0, 1);
  HandOver();
}

void JoinAsTwoTakeOver(int thread, ConsumerStart start) {
  if (thread == 0) return;
  if (thread == 1) {
    Open(1, start);
    return Poll(1, 1 + more_calls);
  }
  Create(thread);
  if (thread == 2) Publish(2, 1);
}

constexpr Scenario kScenarios[] = {
    {
        .name = "take over from the dead",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.producers = 0b101, .enders = 0b100});
              Join(1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return PublishBatch(0, 2);
              if (thread == 1) return Poll(1, 3 + more_calls);
              Create(2);
              Publish(2, 1 + more_calls);
            },
        .wind_up = DrainAll,
        .mortal = 0b1,
        .successors = 0b100,
    },
    {
        .name = "two successors in a row",
        .threads = 4,
        .set_up =
            [] {
              MakeRing({.producers = 0b1101, .enders = 0b1100});
              Join(1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return;
              if (thread == 1) return Poll(1, 2 + more_calls);
              Create(thread);
              Publish(thread, 1);
            },
        .wind_up = DrainAll,
        .mortal = 0b100,
        .successors = 0b1100,
    },
    {
        .name = "join while two take over in a row",
        .threads = 4,
        .set_up = ARecordAndTwoSuccessors,
        .run = [](int thread) { JoinAsTwoTakeOver(thread, ConsumerStart::kLive); },
        .wind_up = DrainAll,
        .successors = 0b1100,
    },
    {
        .name = "join at the start while two take over in a row",
        .threads = 4,
        .set_up = ARecordAndTwoSuccessors,
        .run = [](int thread) { JoinAsTwoTakeOver(thread, ConsumerStart::kEpochStart); },
        .wind_up = DrainAll,
        .successors = 0b1100,
    },
    {
        .name = "copy while two take over in a row",
        .threads = 4,
        .set_up =
            [] {
              MakeRing({.producers = 0b1101, .enders = 0b1100});
              Join(1);
              Publish(0, 1);
              AllocateFor(1);
              Poll(1, 2);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return;
              if (thread == 1) {
                CopyOut(1, 1);
                Poll(1, 1 + more_calls);
                return CopyOut(1, 1);
              }
              Create(thread);
              Publish(thread, 1);
            },
        .wind_up = DrainAll,
        .mortal = 0b100,
        .successors = 0b1100,
    },
    {
        .name = "take over while its reader answers the dead",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.tends = true, .producers = 0b101, .enders = 0b100});
              Join(1);
              Publish(0, 3);  // the last finds the ring full, and urges
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return;
              if (thread == 1) return Poll(1, 3 + more_calls);
              Create(2);
              Publish(2, 1);
            },
        .wind_up = DrainAll,
        .mortal = 0b1,
        .successors = 0b100,
    },
    {
        .name = "producer and reader die, and another takes the line",
        .threads = 4,
        .set_up =
            [] {
              MakeRing({.tends = true, .producers = 0b101, .enders = 0b100, .owners = {0b1010}});
              Join(1);
              Publish(0, 1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 1);
              if (thread == 1) return Poll(1, 2);
              if (thread == 2) {
                Create(2);
                return Publish(2, 1 + more_calls);
              }
              Open(3, ConsumerStart::kLive, 0);
              Poll(3, 1 + more_calls);
            },
        .wind_up = DrainAllAndGoOn,
        .mortal = 0b10,
        .successors = 0b100,
    },
    {
        .name = "join while the stream is taken over",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.producers = 0b101, .enders = 0b100});
              Publish(0, 1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 1 + more_calls);
              if (thread == 1) {
                Open(1);
                return Poll(1, 1 + more_calls);
              }
              Create(2);
              Publish(2, 1 + more_calls);
            },
        .wind_up = DrainAll,
        .mortal = 0b1,
        .successors = 0b100,
    },
    {
        .name = "join at the start while the stream is taken over",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.producers = 0b101, .enders = 0b100});
              Publish(0, 1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 1 + more_calls);
              if (thread == 1) {
                Open(1, ConsumerStart::kEpochStart);
                return Poll(1, 1 + more_calls);
              }
              Create(2);
              Publish(2, 2 + more_calls);
            },
        .wind_up = DrainAll,
        .mortal = 0b1,
        .successors = 0b100,
    },
    {
        .name = "replace a stream whose producer lives",
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
              Create(0);  // of the same process, so that a new object takes the name
            },
        .wind_up = DrainAll,
    },
    {
        .name = "replaced, and published on by who did not know",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.enders = 1});
              Join(1);
              Publish(0, 1);  // room for another needs no look
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 1) return Poll(1, 2 + more_calls);
              Create(0);
              Publish(0, 1);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "open while it is created",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.creates = true, .enders = 1});
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) {
                Create(0);
                return Publish(0, 1 + more_calls);
              }
              Open(1);
              Poll(1, 1 + more_calls);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "copy records out while the stream is taken over",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.producers = 0b101, .enders = 0b100});
              Join(1);
              AllocateFor(0);
              Publish(0, 1);
              AllocateFor(1);
              Poll(1, 2);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 1);
              if (thread == 1) return CopyOut(1, 2 + more_calls);
              Create(2);
              Publish(2, 1 + more_calls);
            },
        .wind_up = DrainAll,
        .mortal = 0b1,
        .successors = 0b100,
    },
    {
        .name = "drain while the stream is taken over",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.producers = 0b101, .enders = 0b100});
              Join(1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 1);
              if (thread == 1) return Drain(1, 3 + more_calls);
              Create(2);
              Publish(2, 1 + more_calls);
            },
        .wind_up = DrainAll,
        .mortal = 0b1,
        .successors = 0b100,
    },
    {
        .name = "join at the start of an epoch whose first lap was looked at in its middle",
        .threads = 4,
        .set_up =
            [] {
              MakeRing({.lines = 2, .producers = 0b101, .enders = 0b101, .owners = {0b10, 0b1000}});
              Join(1);
              Publish(0, 1);
              Close(0);
              AllocateFor(2);
              Create(2);
              Publish(2, 1);  // and no more: the reader is one behind
              AllocateFor(1);
              Poll(1, 4);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 2) return Publish(2, 2 + more_calls);
              if (thread != 3) return;
              Open(3, ConsumerStart::kEpochStart);
              Poll(3, 1 + more_calls);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "replaced, and closed by who did not know",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.producers = 0b101, .enders = 0b101});
              Join(1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Close(0);
              if (thread == 2) return Create(2);
              Poll(1, 2 + more_calls);
            },
        .wind_up = DrainAll,
    },
};

}  // namespace

std::span<const Scenario> ScenariosOfSuccession() { return kScenarios; }

}  // namespace ombus::model

// The scenarios in which readers sleep: of whatever there is to say they are told, by a wake-up or
// by their own last look.
#include "tests/model/scenarios.h"
#include "tests/model/world.h"

namespace ombus::model {
namespace {

void OneReader() {
  MakeRing({.sleeps = true});
  Join(1);
  HandOver();
}

void OneReaderOfAStreamThatEnds() {
  MakeRing({.sleeps = true, .enders = 1});
  Join(1);
  HandOver();
}

constexpr Scenario kScenarios[] = {
    {
        .name = "sleep, and be woken",
        .threads = 2,
        .set_up = OneReader,
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 1 + more_calls);
              Poll(1, more_calls);
              Sleep(1);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "sleep, and the stream ends",
        .threads = 2,
        .set_up = OneReaderOfAStreamThatEnds,
        .run =
            [](int thread) {
              if (thread == 0) return Close(0);
              Poll(1, more_calls);
              Sleep(1);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "sleep, and the stream is taken over",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.sleeps = true, .producers = 0b101, .enders = 0b100});
              Join(1);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return;  // who dies before it wakes leaves a reader to its timeout
              if (thread == 2) return Create(2);
              Poll(1, more_calls);
              Sleep(1);
            },
        .wind_up = DrainAll,
        .mortal = 0b1,
        .successors = 0b100,
    },
    {
        .name = "sleep, and the stream is replaced",
        .threads = 2,
        .set_up = OneReaderOfAStreamThatEnds,
        .run =
            [](int thread) {
              if (thread == 0) return Create(0);
              Poll(1, more_calls);
              Sleep(1);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "sleep by the futex, twice",
        .threads = 2,
        .set_up = OneReader,
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 2 + more_calls);
              Wait(1);
              Poll(1, 1);
              Wait(1);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "sleep by the futex, and the stream ends",
        .threads = 2,
        .set_up = OneReaderOfAStreamThatEnds,
        .run =
            [](int thread) {
              if (thread == 0) return Close(0);
              Poll(1, more_calls);
              Wait(1);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "two sleep, one by the futex",
        .threads = 3,
        .set_up =
            [] {
              MakeRing({.lines = 2, .sleeps = true});
              Join(1);
              Join(2);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 0) return Publish(0, 1 + more_calls);
              thread == 1 ? Wait(1) : Sleep(2);
            },
        .wind_up = DrainAll,
    },
    {
        .name = "evicted, and sleeps",
        .threads = 2,
        .set_up =
            [] {
              MakeRing({.lines = 2, .evicts = true, .sleeps = true, .owners = {0b10, 0b1}});
              Join(1);
              Join(2);
              Publish(0, 3);  // the last finds the ring full, and urges both
              AllocateFor(1);
              PollBatch(1);  // all there is, and its tail is stored later
              Release(2);
              HandOver();
            },
        .run =
            [](int thread) {
              if (thread == 1) return Sleep(1);
              Publish(0, 1);  // urges both
              Release(2);     // answers in between: reader 1 is evicted, there is no room yet
              Publish(0, 1);
            },
        .wind_up = DrainAll,
    },
};

}  // namespace

std::span<const Scenario> ScenariosOfSleep() { return kScenarios; }

}  // namespace ombus::model

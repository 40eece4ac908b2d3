// IdlePolicy: what a relay does with a turn that found nothing to do. Spinning answers soonest and
// burns a core; sleeping costs a wake-up of some 40 µs and gives the core away. The strategies of
// ombus/relay.h are points between the two.
//
// Pure: the caller tells how long it has been idle. Threads: a value, one thread at a time.
#ifndef OMBUS_ENGINE_IDLE_POLICY_H_
#define OMBUS_ENGINE_IDLE_POLICY_H_

#include <cstdint>

#include "ombus/relay.h"

namespace ombus::engine {

enum class IdleAction : uint8_t {
  kSpin,       // look again at once
  kPause,      // look again after some pause instructions: leaves the core to its sibling thread
  kYield,      // let other threads run
  kSleepFor,   // sleep for sleep_ns; sockets wake it, the ring does not
  kSleepWoken  // sleep until ring or socket wakes it, sleep_ns at most
};

struct IdleStep {
  IdleAction action = IdleAction::kSpin;
  uint64_t sleep_ns = 0;
};

inline constexpr uint64_t kPausePhaseNs = 50'000;   // kBackoff: how long it pauses, then
inline constexpr uint64_t kYieldPhaseNs = 100'000;  // how long it yields, then it sleeps
inline constexpr uint64_t kSleepStepMinNs = 16'000;
inline constexpr uint64_t kSleepStepMaxNs = 1'000'000;
// A sleep that waits to be woken ends after this anyhow: no lost wake-up costs more.
inline constexpr uint64_t kSleepWokenMaxNs = 100'000'000;

class IdlePolicy {
 public:
  IdlePolicy(IdleStrategy strategy, uint64_t spin_ns) : strategy_(strategy), spin_ns_(spin_ns) {}

  // A turn did something: the next idle stretch starts with spinning.
  void OnBusy() { sleep_ns_ = kSleepStepMinNs; }

  // A turn found nothing; idle_ns have passed since the last one that did something.
  IdleStep OnIdle(uint64_t idle_ns);

 private:
  IdleStep BackOff(uint64_t after_spin_ns);

  IdleStrategy strategy_;
  uint64_t spin_ns_;
  uint64_t sleep_ns_ = kSleepStepMinNs;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_IDLE_POLICY_H_

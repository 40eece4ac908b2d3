// RestAwake: the idle steps that do not sleep, carried out.
//
// Threads: any. Cost: what the step is.
#ifndef OMBUS_ENGINE_IDLE_REST_H_
#define OMBUS_ENGINE_IDLE_REST_H_

#include <sched.h>

#include "engine/idle_policy.h"
#include "ring/clock.h"

namespace ombus::engine {

// False, and nothing done, where the step is to sleep.
inline bool RestAwake(IdleAction action) {
  switch (action) {
    case IdleAction::kSpin:
      return true;
    case IdleAction::kPause:
      for (int i = 0; i < 16; ++i) CpuRelax();
      return true;
    case IdleAction::kYield:
      sched_yield();
      return true;
    case IdleAction::kSleepFor:
    case IdleAction::kSleepWoken:
      return false;
  }
  return true;
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_IDLE_REST_H_

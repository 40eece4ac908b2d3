// The scenarios of the model: each a few calls in two or three threads, on a ring of two slots or
// little more, together enough that leaving out any one order or check of the ring shows.
#ifndef OMBUS_TESTS_MODEL_SCENARIOS_H_
#define OMBUS_TESTS_MODEL_SCENARIOS_H_

#include <span>

#include "tests/model/explorer.h"

namespace ombus::model {

std::span<const Scenario> ScenariosOfOneProducer();
std::span<const Scenario> ScenariosOfSuccession();
std::span<const Scenario> ScenariosOfSleep();

// How many calls of each kind the threads make beyond those that the tests need.
inline int more_calls = 0;

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_SCENARIOS_H_

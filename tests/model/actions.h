// What a thread of a scenario does at a time: mutants may be of one alone.
#ifndef OMBUS_TESTS_MODEL_ACTIONS_H_
#define OMBUS_TESTS_MODEL_ACTIONS_H_

namespace ombus::model {

enum Action : int {
  kPublish,
  kPoll,
  kCopyOut,
  kValid,
  kOpen,
  kLeave,
  kCreate,
  kClose,
  kArm,
  kLastLookOfArm,  // from when others can see that it is about to sleep
  kWait,
  kLastLookOfWait,
};

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_ACTIONS_H_

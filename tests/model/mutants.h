// Which changes of the ring the model must notice: every release, acquire and fence of its sources
// made relaxed, found by reading them, and the checks of the list in mutants.cc left out.
#ifndef OMBUS_TESTS_MODEL_MUTANTS_H_
#define OMBUS_TESTS_MODEL_MUTANTS_H_

#include <string>
#include <vector>

#include "tests/model/explorer.h"

namespace ombus::model {

struct Suspect {
  Mutant mutant;
  std::string name;           // place and code, for people
  std::string reason;         // why no scenario notices it; empty: one must
  std::string scenario = {};  // the one that must; empty: any
};

// From the tree at `root`. Empty, having said why, if it is not what the list expects.
std::vector<Suspect> FindSuspects(const std::string& root);

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_MUTANTS_H_

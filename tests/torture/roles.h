// The two kinds of processes of a round, as functions whose result is the exit code. Each reports
// what it finds wrong on the board.
#ifndef OMBUS_TESTS_TORTURE_ROLES_H_
#define OMBUS_TESTS_TORTURE_ROLES_H_

#include <string>

#include "tests/torture/board.h"

namespace ombus::torture {

int Produce(const std::string& name, const Plan& plan, Board* board);
int Read(const std::string& name, const Plan& plan, Board* board, int index, Reading reading,
         uint64_t seed);

}  // namespace ombus::torture

#endif  // OMBUS_TESTS_TORTURE_ROLES_H_

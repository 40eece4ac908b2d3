// What the targets that run over the simulator have in common: its faults by the input's choice.
#ifndef OMBUS_TESTS_FUZZ_SIM_INPUT_H_
#define OMBUS_TESTS_FUZZ_SIM_INPUT_H_

#include "net/sim_backend.h"
#include "tests/fuzz/fuzz_input.h"

namespace ombus::net {

inline SimOptions SimOptionsOf(FuzzInput* input) {
  SimOptions sim;
  sim.seed = input->Number<uint16_t>();
  const uint8_t faults = input->Byte();
  sim.shuffle = (faults & 1) != 0;
  if ((faults & 2) != 0) sim.faults.short_send = 300;
  if ((faults & 4) != 0) sim.faults.send_again = 200;
  if ((faults & 8) != 0) sim.faults.delay = 100;
  if ((faults & 16) != 0) sim.faults.end_multishot = 200;
  if ((faults & 32) != 0) sim.faults.no_buffers = 100;
  if ((faults & 64) != 0) sim.faults.accept_error = 100;
  if ((faults & 128) != 0) sim.faults.reset = 5;
  return sim;
}

}  // namespace ombus::net

#endif  // OMBUS_TESTS_FUZZ_SIM_INPUT_H_

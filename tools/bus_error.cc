#include "tools/bus_error.h"

#include <signal.h>
#include <unistd.h>

#include "tools/command.h"

namespace ombus::tools {
namespace {

// Async-signal-safe calls alone.
void OnBusError(int) {
  constexpr char kText[] =
      "ombus: stream: SIGBUS; another program cut its object in /dev/shm short while it was in "
      "use: stop that program, then start the producer again, which makes a new object\n";
  (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(kExitFailure);
}

}  // namespace

void ExplainBusErrors() {
  struct sigaction action {};
  action.sa_handler = OnBusError;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace ombus::tools

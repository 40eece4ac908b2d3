// Stop signals: SIGINT and SIGTERM ask a command to end in order; the second one ends it at once.
// From the first one on SIGALRM interrupts blocking system calls every second.
// Only commands use this; the library takes no signals.
#ifndef OMBUS_TOOLS_STOP_SIGNAL_H_
#define OMBUS_TOOLS_STOP_SIGNAL_H_

namespace ombus::tools {

// on_stop, where given, is called from the handler and must be async-signal-safe.
void CatchStopSignals(void (*on_stop)() = nullptr);
bool StopRequested();

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_STOP_SIGNAL_H_

#include "tools/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace ombus::tools {
namespace {

constexpr unsigned kNudgeSeconds = 1;

// A signal handler has no other way to reach anything.
std::atomic<bool> stop_requested{false};
void (*stop_callback)() = nullptr;

void OnSignal(int number) {
  if (stop_requested.exchange(true)) _exit(128 + number);
  alarm(kNudgeSeconds);
  if (stop_callback != nullptr) stop_callback();
}

// Whoever looked at StopRequested just before the signal, and then blocked in a system call, is
// interrupted in it.
void OnNudge(int) { alarm(kNudgeSeconds); }

}  // namespace

void CatchStopSignals(void (*on_stop)()) {
  stop_callback = on_stop;
  struct sigaction action {};
  action.sa_handler = OnSignal;  // without SA_RESTART: whoever waits finds out
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = OnNudge;
  sigaction(SIGALRM, &action, nullptr);
}

bool StopRequested() { return stop_requested.load(std::memory_order_relaxed); }

}  // namespace ombus::tools

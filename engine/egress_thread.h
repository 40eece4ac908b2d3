// EgressThread: a thread with a name that takes no signals of the host program's.
//
// Threads: Start and Join from one.
#ifndef OMBUS_ENGINE_EGRESS_THREAD_H_
#define OMBUS_ENGINE_EGRESS_THREAD_H_

#include <pthread.h>

#include <functional>
#include <string>

#include "ombus/status.h"

namespace ombus::engine {

class EgressThread {
 public:
  EgressThread() = default;
  ~EgressThread() { Join(); }
  EgressThread(const EgressThread&) = delete;
  EgressThread& operator=(const EgressThread&) = delete;

  // Runs work() in a thread of that name, of which the kernel keeps 15 bytes. Once.
  Status Start(const std::string& name, std::function<void()> work);
  // Waits for the end of work(); nothing where there is no thread.
  void Join();

 private:
  static void* Enter(void* self);

  std::string name_;
  std::function<void()> work_;
  pthread_t thread_{};
  bool started_ = false;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_EGRESS_THREAD_H_

#include "engine/egress_thread.h"

#include <signal.h>

#include <utility>

#include "ring/system_error.h"

namespace ombus::engine {

Status EgressThread::Start(const std::string& name, std::function<void()> work) {
  name_ = name.substr(0, 15);
  work_ = std::move(work);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits it
  const int error = pthread_create(&thread_, nullptr, &EgressThread::Enter, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    return SystemError("pthread_create", name_, error,
                       "raise the limit of threads (ulimit -u, the cgroup's pids.max), or ask for "
                       "fewer egress_threads");
  }
  started_ = true;
  return Status();
}

void EgressThread::Join() {
  if (std::exchange(started_, false)) pthread_join(thread_, nullptr);
}

void* EgressThread::Enter(void* self) {
  auto* thread = static_cast<EgressThread*>(self);
  pthread_setname_np(pthread_self(), thread->name_.c_str());
  thread->work_();
  return nullptr;
}

}  // namespace ombus::engine

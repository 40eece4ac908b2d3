// ForkSafeRelay: a relay whose copy in a forked child stays as it is, whoever destroys it: the
// parent's threads that run it may have been half-way through anything at the fork, and are not
// there to end it.
//
// Threads: as in ombus/relay.h.
#ifndef OMBUS_ENGINE_FORK_SAFE_RELAY_H_
#define OMBUS_ENGINE_FORK_SAFE_RELAY_H_

#include <sys/types.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "ombus/relay.h"

namespace ombus::engine {

class ForkSafeRelay final : public Relay {
 public:
  explicit ForkSafeRelay(std::unique_ptr<Relay> relay) : relay_(std::move(relay)) {}
  ~ForkSafeRelay() override {
    if (getpid() != creator_) (void)relay_.release();
  }
  ForkSafeRelay(const ForkSafeRelay&) = delete;
  ForkSafeRelay& operator=(const ForkSafeRelay&) = delete;

  Status Run() override { return relay_->Run(); }
  void Stop() override { relay_->Stop(); }
  uint16_t port() const override { return relay_->port(); }
  const char* backend_name() const override { return relay_->backend_name(); }
  RelayStats stats() const override { return relay_->stats(); }

 private:
  const pid_t creator_ = getpid();
  std::unique_ptr<Relay> relay_;
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_FORK_SAFE_RELAY_H_

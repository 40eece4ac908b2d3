#include "net/log_follower.h"

namespace ombus::net {

void LogFollower::LearnEpochs() { epochs_known_ = log_->CopyEpochs(epochs_known_, &epochs_); }

void LogFollower::BeginEpochs(SessionTable* table) {
  while (!epochs_.empty() && epochs_.front().position == table->log().head()) {
    table->BeginEpoch(epochs_.front().epoch, epochs_.front().whole);
    epochs_.erase(epochs_.begin());
  }
}

}  // namespace ombus::net

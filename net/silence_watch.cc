#include "net/silence_watch.h"

#include <utility>

namespace ombus::net {

void SilenceWatch::Start(uint64_t now_ns) {
  heard_ns_ = listens_until_ns_ = now_ns;
  heard_ = forgiven_ = false;
}

bool SilenceWatch::Overdue(uint64_t now_ns, uint64_t limit_ns) {
  const uint64_t third_ns = limit_ns / 3;
  const bool absent = now_ns > listens_until_ns_ && now_ns - listens_until_ns_ > third_ns;
  listens_until_ns_ = now_ns;
  if (std::exchange(heard_, false)) {
    heard_ns_ = now_ns;
    forgiven_ = false;
  }
  if (now_ns - heard_ns_ < limit_ns) return false;
  if (!absent || std::exchange(forgiven_, true)) return true;
  heard_ns_ = now_ns - (limit_ns - third_ns);
  return false;
}

}  // namespace ombus::net

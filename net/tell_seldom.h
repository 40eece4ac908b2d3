// TellSeldom: whether what happens again and again is told now: once a second, with how often it
// happened meanwhile. A storm must not push out of the events what an operator needs to see.
//
// Plain data; whoever has one says which threads.
#ifndef OMBUS_NET_TELL_SELDOM_H_
#define OMBUS_NET_TELL_SELDOM_H_

#include <cstdint>
#include <string>
#include <utility>

namespace ombus::net {

class TellSeldom {
 public:
  // How many were not told since the last that was, where this one is to be told.
  bool Now(uint64_t now_ns, uint64_t* untold) {
    if (told_ns_ != 0 && now_ns - told_ns_ < kEveryNs) {
      ++untold_;
      return false;
    }
    told_ns_ = now_ns;
    *untold = std::exchange(untold_, 0);
    return true;
  }
  static std::string Text(uint64_t untold) {
    return untold == 0 ? "" : " (and " + std::to_string(untold) + " more since the last of these)";
  }

 private:
  static constexpr uint64_t kEveryNs = 1'000'000'000;

  uint64_t told_ns_ = 0, untold_ = 0;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_TELL_SELDOM_H_

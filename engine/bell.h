// Bell: how threads of a relay wake each other where one sleeps on descriptors. The sleeper says
// what it waits for and looks once more; who has such news, after storing it, rings. Whoever is
// awake costs the other a fence and a load.
//
// Threads: Arm and Disarm from the sleeper's, all else from any. Not for data.
#ifndef OMBUS_ENGINE_BELL_H_
#define OMBUS_ENGINE_BELL_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "ombus/status.h"
#include "ring/fence.h"

namespace ombus::engine {

class Bell {
 public:
  static Result<std::unique_ptr<Bell>> Create();
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  // Readable once rung, until Disarm.
  int fd() const { return fd_; }

  // The sleeper: bits of what it waits for. What is stored before a RingIf of one of them is either
  // seen after this, or rings: both sides have a full fence between their store and their load.
  void Arm(uint32_t news) {
    armed_.store(news, std::memory_order_relaxed);
    FullFence();
  }
  void Disarm();

  void RingIf(uint32_t news) {
    FullFence();
    if ((armed_.load(std::memory_order_relaxed) & news) != 0) RingOnce();
  }
  // Whether it is armed or not.
  void Ring();

 private:
  Bell() = default;
  void RingOnce();

  int fd_ = -1;
  std::atomic<uint32_t> armed_{0};
};

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_BELL_H_

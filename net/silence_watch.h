// SilenceWatch: whether a peer that promised to say something has been silent for too long. Pure:
// it reads no clock and no socket.
//
// A process that stood still (stopped, in a debugger, its virtual machine paused) finds the time
// over with the peer's words unread in its own socket, or still under way. So nobody is silent
// before a look for them found nothing, and an absence of this process is forgiven once: the peer
// has the last third of the limit to be heard. Threads: one at a time.
#ifndef OMBUS_NET_SILENCE_WATCH_H_
#define OMBUS_NET_SILENCE_WATCH_H_

#include <cstdint>

namespace ombus::net {

class SilenceWatch {
 public:
  void Start(uint64_t now_ns);
  void Heard() { heard_ = true; }  // as of the next look at the clock, which this one spares
  // Until when the caller waits for the peer's words: later is no absence before then.
  void ListensUntil(uint64_t at_ns) { listens_until_ns_ = at_ns; }

  // Whether nothing was heard for limit_ns. The caller then looks for what has come, without
  // waiting; the peer is silent where that found nothing.
  bool Overdue(uint64_t now_ns, uint64_t limit_ns);

  uint64_t SilentNs(uint64_t now_ns) const { return heard_ ? 0 : now_ns - heard_ns_; }
  // When it would be overdue.
  uint64_t DueNs(uint64_t now_ns, uint64_t limit_ns) const {
    return (heard_ ? now_ns : heard_ns_) + limit_ns;
  }

 private:
  uint64_t heard_ns_ = 0, listens_until_ns_ = 0;
  bool heard_ = false;     // since heard_ns_ was set
  bool forgiven_ = false;  // an absence, since it was last heard
};

}  // namespace ombus::net

#endif  // OMBUS_NET_SILENCE_WATCH_H_

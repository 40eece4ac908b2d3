// Wake: how sleepers and the producer find each other. Nobody asleep must cost the producer
// (almost) nothing, so its side is one plain load after its stores, and the sleeper pays for the
// order: it announces itself, makes every core that runs a producer pass a barrier (membarrier(2),
// MEMBARRIER_CMD_GLOBAL_EXPEDITED, Linux 4.16), and looks once more before it sleeps. So either the
// sleeper sees the record or the producer sees the sleeper. [wake]
//
// Threads: any.
#ifndef OMBUS_RING_WAKE_H_
#define OMBUS_RING_WAKE_H_

#include <cstdint>

#include "ombus/ring_layout.h"
#include "ombus/status.h"

namespace ombus {

// The producer's process joins in; once per handle. Without it sleepers wake up by time slices.
void RegisterForWakeBarrier();

// Whether sleepers of this process may use the barrier at all.
bool WakeBarrierWorks();

// Announces a sleeper and orders that before the caller's next look at the ring.
void AnnounceSleeper(RingHeader& header, uint32_t waiter_bit, bool barrier_works);

// Sleeps until the wake word is no longer seen, somebody wakes us, or timeout_ns is over.
void SleepOnWakeWord(RingHeader& header, uint32_t seen, uint64_t timeout_ns);

// Wakes all who sleep. fd: the object's, writable, of the caller.
void WakeSleepers(RingHeader& header, int fd);

// A new inotify descriptor, which watches nothing. To close one waits in the kernel for 5 to 30 ms,
// until none of its watches is in use; to watch something else does not.
Result<int> OpenWakeDescriptor(const char* name);
// From now on it becomes readable when WakeSleepers has found kWaiterFile set in this object. The
// result is what UnwatchForWakes takes.
Result<int> WatchForWakes(int fd, int object_fd, const char* name);
void UnwatchForWakes(int fd, int watch);
// Forgets the wake-ups so far.
void DrainWakeDescriptor(int fd);

}  // namespace ombus

#endif  // OMBUS_RING_WAKE_H_

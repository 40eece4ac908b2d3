// How many producers this process has created. A handle can only have been superseded by one made
// since it last looked, so that a publish need not look at the ring's epoch each time: that costs
// as much as the publish where producer and consumer share a core and have mapped the ring twice.
//
// Threads: any.
#ifndef OMBUS_RING_PRODUCERS_CREATED_H_
#define OMBUS_RING_PRODUCERS_CREATED_H_

#include <atomic>
#include <cstdint>

namespace ombus {

[[gnu::visibility("hidden")]] extern std::atomic<uint64_t> producers_created;

// After the epochs of those it superseded were changed.
void NoteProducerCreated();

}  // namespace ombus

#endif  // OMBUS_RING_PRODUCERS_CREATED_H_

// FullFence and AcquireFence: std::atomic_thread_fence, also where ThreadSanitizer (which does not
// model fences, and of which g++ warns) is on. Ring code uses it only where two different
// variables must be ordered, and every use names its partner; see docs/memory-order.md.
#ifndef OMBUS_RING_FENCE_H_
#define OMBUS_RING_FENCE_H_

#include <atomic>

namespace ombus {

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif

inline void AcquireFence() { std::atomic_thread_fence(std::memory_order_acquire); }
inline void FullFence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ombus

#endif  // OMBUS_RING_FENCE_H_

// WeakMemory: what C++ lets threads read of each other, as a machine that can be stepped (the
// view-based form of RC11: release, acquire, fences; no thread reads what is still to be written).
//
// A location is a list of messages in modification order. Each message carries a view, which is
// what its reader may no longer be ignorant of once it synchronises; each thread has views of its
// own. A load may read any message that the thread's view does not exclude: that is where the
// weakness comes from. Threads are numbered; nothing here knows of schedules.
//
//   load     relaxed: the view rises to the message. acquire: and by the message's view.
//   store    at the end of the order. release: with the thread's view, else with that of its last
//            release fence.
//   RMW      reads the last message; its own carries that one's view on (a release sequence).
//   fences   acquire: by all messages read so far. sequentially consistent: also by all such
//            fences before it.
//
// Reads and writes of a slot's data are counted in clocks, which travel with the views along
// release and acquire only: what a clock does not tell did not happen before.
#ifndef OMBUS_TESTS_MODEL_WEAK_MEMORY_H_
#define OMBUS_TESTS_MODEL_WEAK_MEMORY_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace ombus::model {

inline constexpr int kLocationsMax = 56;
inline constexpr int kThreadsMax = 5;
inline constexpr int kMessagesMax = 24;  // per location

enum class Order : uint8_t { kRelaxed, kAcquire, kRelease, kAcqRel, kSeqCst };
inline constexpr bool Acquires(Order order) {
  return order == Order::kAcquire || order == Order::kAcqRel || order == Order::kSeqCst;
}
inline constexpr bool Releases(Order order) {
  return order == Order::kRelease || order == Order::kAcqRel || order == Order::kSeqCst;
}

struct View {
  std::array<uint8_t, kLocationsMax> at = {};   // the oldest message that may still be read
  std::array<uint8_t, kThreadsMax> clock = {};  // data accesses of each thread that happened before
  std::array<uint8_t, 3> unused = {};           // to whole words

  void Join(const View& other);
  void JoinLocations(const View& other);
  uint64_t Hash(uint64_t seed) const;
};
static_assert(sizeof(View) == 64);

struct Message {
  uint64_t value = 0;
  int writer = -1;  // -1: there from the start
  uint8_t writer_clock = 0;
  View view;
};

class WeakMemory {
 public:
  void Reset(int locations);
  void SetInitial(int location, uint64_t value);

  // Timestamps of the messages that the thread may read: [OldestReadable, Newest].
  int OldestReadable(int thread, int location) const;
  int Newest(int location) const { return counts_[location] - 1; }
  uint64_t ValueAt(int location, int timestamp) const {
    return messages_[location][timestamp].value;
  }
  int WriterAt(int location, int timestamp) const { return messages_[location][timestamp].writer; }
  uint64_t OwnLast(int thread, int location) const;

  uint64_t Read(int thread, int location, int timestamp, Order order);
  void Write(int thread, int location, uint64_t value, Order order);
  // Reads the newest message and writes value behind it.
  void ReadModifyWrite(int thread, int location, uint64_t value, Order order);
  void Fence(int thread, Order order);

  // Whether a read, or a write, of a slot's data meets an access of another thread that neither
  // happened before it nor is excused. To be asked before Read and Write.
  bool ReadRaces(int thread, int location) const;
  // The first thread whose read may still go on; -1: none. `excused` is a bit per thread.
  int WriteRaces(int thread, int location, uint32_t excused) const;
  void CountDataRead(int thread, int location);
  void CountDataWrite(int thread);
  void ForgetDataReads(int thread);

  // What one thread knows, and what another then may no longer be ignorant of, although nothing
  // was released: a kernel's lock.
  const View& Known(int thread) const { return current_[thread]; }
  void Inform(int thread, const View& view) { floor_[thread].JoinLocations(view); }

  uint64_t Hash() const;

 private:
  void Append(int thread, int location, uint64_t value, const View& view);

  int locations_ = 0;
  std::array<int, kLocationsMax> counts_ = {};
  std::array<std::array<Message, kMessagesMax>, kLocationsMax> messages_;
  std::array<View, kThreadsMax> current_, acquired_, released_, floor_;
  View fences_;
  std::array<std::array<uint8_t, kThreadsMax>, kLocationsMax> reads_;  // clock of the last; 0: none
  uint64_t messages_hash_ = 0;  // a sum: the order of arrival does not matter
};

__extension__ using Wide = unsigned __int128;

inline uint64_t Mix(uint64_t a, uint64_t b) {
  const Wide product = Wide{a ^ 0x9E3779B97F4A7C15u} * (b ^ 0xD6E8FEB86659FD93u);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace ombus::model

#endif  // OMBUS_TESTS_MODEL_WEAK_MEMORY_H_

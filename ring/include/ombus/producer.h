// Producer: the one writer of a stream. It creates the shared-memory object, publishes records into
// it and waits, when asked to, while the slowest live consumer makes room.
//
//   ombus::ProducerOptions options;
//   options.name = "/orders";
//   auto producer = ombus::Producer::Create(options);
//   if (!producer.ok()) …;
//   (*producer)->Publish({.wal_seq = 1, .payload = &order, .size = sizeof order, .type = 1});
//
// Threads: one thread at a time uses a Producer; any number of processes read what it publishes.
// Not for: several producers on one stream. Create a stream each.
#ifndef OMBUS_PRODUCER_H_
#define OMBUS_PRODUCER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ombus/record.h"
#include "ombus/ring_layout.h"
#include "ombus/ring_memory.h"
#include "ombus/ring_profile.h"
#include "ombus/status.h"

namespace ombus {

// Called each time a publish has waited for so long that it is about to give up its time slice.
using BackpressureCallback = void (*)(uint64_t head, uint64_t min_tail, void* context);

inline constexpr uint32_t kByProfile = ~uint32_t{0};
inline constexpr uint32_t kPrefetchAheadSlotsMax = 64;

struct ProducerOptions {
  // POSIX shm name, a slash and no other; or the path of a file on a hugetlbfs or a tmpfs.
  std::string name = {};
  // Slots, a power of two; kCapacityBySlotSize: DefaultCapacity(slot_size).
  uint32_t capacity = kCapacityBySlotSize;
  uint32_t slot_size = kDefaultSlotBytes;         // bytes, a multiple of 8 from 24 up
  uint32_t max_consumers = kDefaultMaxConsumers;  // lines reserved, 1…1024
  bool crc32c = false;                            // seal each record; readers check it
  bool reject_reorder = false;                    // all consumers report kReorder, asked or not
  // Evict a live consumer that blocks and has not polled for so long since it was looked at: twice
  // a lap, and when the ring is full. 0: never.
  uint64_t staleness_ns = 0;
  BackpressureCallback backpressure = nullptr;
  void* backpressure_context = nullptr;
  RingProfile profile = RingProfile::kThroughput;
  // How many slots ahead a publish prefetches for writing, 0…64; kByProfile: 8, or 2 with kLatency.
  // At most an eighth of the ring.
  uint32_t prefetch_ahead_slots = kByProfile;
  MemoryOptions memory = {};    // huge pages, locking, NUMA node
  uint32_t permissions = 0600;  // of the object; consumers need read and write
  bool unlink_on_close = true;  // whether Close removes the name
};

enum class [[nodiscard]] PublishResult : uint8_t{
    kOk,
    kFull,         // TryPublish: the slowest live consumer is a whole ring behind
    kTimedOut,     // Publish: still full when the time was up
    kTooLarge,     // the payload does not fit slot_size - 24; nothing was written
    kClosed,       // this handle was closed or superseded by another producer of the same process
    kNotReserved,  // Commit: no TryReserve before it, or its room was used since
};

inline constexpr uint64_t kWaitForever = ~uint64_t{0};

class OMBUS_API Producer {
 public:
  // Creates the stream, or takes it over from a producer that is dead (same object and readers, a
  // new epoch, positions go on) or that lives in this process (a new object; the older handle's
  // next publish, or if that is under way the one after it, is kClosed). kAlreadyExists if a live
  // producer of another process owns it.
  static Result<std::unique_ptr<Producer>> Create(const ProducerOptions& options);
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // Publishes one record. Never waits, allocates or makes a system call, unless the ring is full or
  // a consumer sleeps. Visible to polls at once.
  PublishResult TryPublish(const Record& record);

  // The same, waiting while the ring is full: spin, spin longer, yield (with the callback), sleep.
  PublishResult Publish(const Record& record, uint64_t timeout_ns = kWaitForever);

  // The shortest way for a payload of at most 40 bytes, which shares its line with the slot's
  // header. False: nothing was published; TryPublish does it, or says why not.
  bool TryPublishShort(uint64_t wal_seq, uint8_t type, const void* payload, size_t size);

  // Publishes records in order, head stored every 32. All sizes are checked before any is written.
  // *published, where given, says how many are in the ring whatever the result.
  PublishResult TryPublishBatch(std::span<const Record> records, size_t* published);
  PublishResult PublishBatch(std::span<const Record> records, uint64_t timeout_ns = kWaitForever,
                             size_t* published = nullptr);

  // Write in place: payload room for payload_max() bytes in the next slot, or null when full or
  // closed. Nothing is visible before Commit; reserving again without it returns the same room, and
  // a publish in between takes it.
  void* TryReserve();
  // Publishes what was written into the room reserved. size <= payload_max(); kTooLarge leaves the
  // reservation.
  PublishResult Commit(uint64_t wal_seq, uint8_t type, uint16_t size);

  // Writes count records in place: f(void* room, size_t i) puts the i-th one's payload, of at most
  // payload_max() bytes, into its room and says what it is. The fastest way to write; head is
  // stored every 32. f must not call this Producer; it may throw, and what came before is published
  // then. Waits while the ring is full, 0 ns: not at all. kTooLarge: f said so of the record after
  // the *published that are in the ring. Takes the room of a reservation, as any publish does.
  struct Written {
    uint64_t wal_seq;
    uint16_t size;
    uint8_t type;
  };
  template <typename F>
  __attribute__((visibility("hidden"))) PublishResult Fill(size_t count, F&& f,
                                                           uint64_t timeout_ns = kWaitForever,
                                                           size_t* published = nullptr);

  // Waits until a TryPublish would find room. kOk, kTimedOut or kClosed.
  PublishResult WaitForRoom(uint64_t timeout_ns);

  // Ends the stream in order: readers drain it and are told. Idempotent; the destructor calls it.
  void Close();

  uint64_t head() const { return head_; }  // next position
  uint64_t epoch() const { return epoch_; }
  uint32_t payload_max() const { return payload_max_; }  // bytes
  uint32_t capacity() const {
    return static_cast<uint32_t>(mask_ + 1);
  }  // slots, as given or chosen
  // Who gets all that is published from now on, or is told. Scans the lines, with a system call for
  // each of them.
  uint32_t live_consumers() const;
  uint64_t min_tail() const;   // the slowest live consumer's, else head(); scans the lines
  uint64_t evictions() const;  // how many times this handle has evicted a consumer
  // Whether another producer owns the stream now: nobody would read what is published here.
  bool superseded() const { return header_->epoch.load(std::memory_order_relaxed) != epoch_; }
  const std::string& name() const;
  const MemoryReport& memory() const;  // what came of ProducerOptions::memory

 private:
  struct Cold;  // what only the slow halves need
  struct Filling;
  struct __attribute__((visibility("hidden"))) Publishes;
  using Seal = uint32_t (*)(uint64_t wal_seq, uint64_t meta, const void* payload, size_t size);
  using PublishOne = PublishResult (*)(Producer& producer, uint64_t wal_seq, const void* payload,
                                       uint16_t size, uint8_t type);

  explicit Producer(std::unique_ptr<Cold> cold, uint64_t head);

  SlotHeader* SlotAt(uint64_t position) const {
    return reinterpret_cast<SlotHeader*>(slots_ + (position & mask_) * slot_size_);
  }
  void PrefetchAhead(const SlotHeader* from, size_t payload_bytes) const;
  SlotHeader* SlotAfter(SlotHeader* slot) const;  // no lap ends between them
  void WriteSlot(SlotHeader* slot, uint64_t position, uint64_t wal_seq, const void* payload,
                 uint16_t size, uint8_t type);
  bool PublishSealed(uint64_t position, const Record& record);
  void SealSlot(SlotHeader* slot, uint64_t position, uint64_t wal_seq, uint64_t meta);
  void StoreHead(uint64_t head, SlotHeader* slot);
  void Show(SlotHeader* slot, uint64_t position, uint64_t wal_seq, uint64_t meta);

  // Its parts and not the record: a reference would force the caller's into memory on the fast
  // path, too, and a copy would read in one piece what was written in several.
  PublishResult TryPublishSlow(uint64_t wal_seq, const void* payload, uint16_t size, uint8_t type);
  PublishResult PublishSlow(uint64_t wal_seq, const void* payload, uint16_t size, uint8_t type,
                            uint64_t timeout_ns);
  PublishResult PublishFull(uint64_t wal_seq, const void* payload, uint16_t size, uint8_t type,
                            uint64_t timeout_ns, bool wait);
  SlotHeader* WriteRun(uint64_t first, std::span<const Record> records);
  void CountBatch(size_t records);
  bool AllFit(std::span<const Record> records) const;
  PublishResult RoomSlow(uint64_t timeout_ns);
  void WriteSealed(SlotHeader* slot, uint64_t position, uint64_t wal_seq, const void* payload,
                   uint16_t size, uint8_t type);
  PublishResult CommitSlow(uint64_t wal_seq, uint8_t type, uint16_t size);
  uint64_t MetaOf(uint64_t wal_seq, uint8_t type, uint16_t size, const void* payload) const;
  uint64_t MetaSlow(uint64_t wal_seq, uint8_t type, uint16_t size, const void* payload) const;
  PublishResult LookForRoom();
  PublishResult FindRoomSlow();
  PublishResult WaitForRoomSlow(uint64_t timeout_ns);
  void BackOff(uint32_t round, uint64_t waited_ns);
  uint64_t LagMax() const;
  bool RefreshLimit();
  bool EnterRoom();
  bool Superseded();
  void TendLinesWhenDue(uint64_t now_ns);
  void TendLine(uint32_t index, uint64_t now_ns);
  void WatchLinesWhenDue();
  uint64_t Unpolled(uint32_t index, uint64_t control, uint64_t now_ns);
  void WakeSlow();

  // head_ == limit_ sends every call to a slow half: the ring is full as far as we know, a lap
  // ends, or this handle is closed. Up to limit_ slots lie one after another, so that a record's
  // place is the last one's and a slot's size. Worked out from head_, which the record before has
  // stored, it would be known some ten cycles later, and all its stores with it.
  uint64_t head_ = 0;
  uint64_t limit_ = 0;
  SlotHeader* slot_ = nullptr;  // head_'s, if head_ != limit_
  std::byte* slots_ = nullptr;
  uint64_t mask_ = 0;
  uint64_t slot_size_ = 0;
  uint32_t plain_size_end_ = 0;  // a payload as large as that is sealed, or too large
  uint32_t short_seal_end_ = 0;  // a sealed payload as large as that is summed by a function
  size_t short_size_end_ = 0;    // the same, or is not all in the first line
  uint64_t prefetch_ahead_bytes_ = 0;
  RingHeader* header_ = nullptr;
  Seal seal_ = nullptr;               // null: records are not sealed
  PublishOne publish_one_ = nullptr;  // of any stream, sealed or not, for which there is room
  uint32_t payload_max_ = 0;
  uint64_t epoch_ = 0;
  uint64_t reserved_ = 0;  // the position reserved; another than head_: none is
  std::unique_ptr<Cold> cold_;
};

}  // namespace ombus

#include "ombus/producer_inline.h"  // IWYU pragma: export

#endif  // OMBUS_PRODUCER_H_

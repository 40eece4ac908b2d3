// OmBusEndpoint: what is behind the handle. The relay of the C API waits on its consumer.
//
// Threads: one at a time.
#ifndef OMBUS_ENGINE_C_API_ENDPOINT_H_
#define OMBUS_ENGINE_C_API_ENDPOINT_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "engine/c_api/payload_store.h"
#include "ombus/consumer.h"
#include "ombus/om_bus.h"

struct OmBusEndpoint {
  explicit OmBusEndpoint(std::unique_ptr<ombus::Consumer> opened)
      : consumer(std::move(opened)), store(consumer->payload_max()) {}

  // Gives up the payloads handed out; what must be said before a record is looked for, else 0.
  int Begin();
  // Copies a polled record out of the ring. False: it was overwritten meanwhile, and the one before
  // it, which was `last`, remains the last.
  bool Keep(const ombus::Record& polled, uint64_t last, OmBusRecord* record);
  // Of the last record handed out.
  uint64_t wal_seq() const {
    const uint64_t last = consumer->wal_seq();
    return dropped && last == dropped_wal_seq ? kept_wal_seq : last;
  }
  // What a poll with that result says.
  int CodeOf(ombus::PollResult result);
  int OnEpochChange();
  int OnClosed();
  bool LookForReplacement();
  bool LookIsDue();

  std::unique_ptr<ombus::Consumer> consumer;
  ombus::engine::PayloadStore store;
  // A record that was polled, and lost while it was copied, is the consumer's last one until the
  // next. Whoever gets its sequence again gets it through Keep.
  bool dropped = false;
  uint64_t dropped_wal_seq = 0;
  uint64_t kept_wal_seq = 0;    // of the one before it
  int pending = 0;              // what ended a batch, for the next call to say
  bool epoch_told = false;      // the change was reported; records from before it are still unread
  bool ended = false;           // the last poll found the stream ended by its producer
  bool replaced = false;        // for good: the name is another object's, or nobody's
  uint64_t looked_ns = 0;       // for another object of an ended stream's name
  uint64_t creations_seen = 0;  // producers_created then
};

#endif  // OMBUS_ENGINE_C_API_ENDPOINT_H_

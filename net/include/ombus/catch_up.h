// CatchUpSource: where a server finds records that its broadcast log no longer holds, so that a
// client that lags or resumes gets them all the same: a journal, a file, a store of your own.
//
// A session that catches up no longer holds the log: it is sent what the source has, a chunk at a
// time, until the log has what comes next. Nobody else waits for it. The source may have records
// before they are broadcast: a client is sent each once. A client that resumed before the server
// knew the epoch gets what the source has once it does.
//
// Threads: called by the thread that turns the server, and by no other; a relay with egress threads
// calls it from any of these, by one at a time. Who shares a source among relays in several threads
// needs a source that may be.
#ifndef OMBUS_CATCH_UP_H_
#define OMBUS_CATCH_UP_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "ombus/status.h"

namespace ombus {

class OMBUS_API CatchUpSource {
 public:
  virtual ~CatchUpSource() = default;

  // Writes whole frames (ombus/wire.h), as they stand on the wire, of the records of `epoch` that
  // it has from wal_seq `from` on, without leaving any out, in rising sequence. `into` has room for
  // the largest frame at least. Returns how many bytes; 0: it has none of that, or not yet. What is
  // older than all it has may be missing: the server tells the client of that gap. All clients of
  // the server wait while it runs: it should not block.
  virtual size_t Read(uint64_t epoch, uint64_t from, std::span<std::byte> into) = 0;
};

}  // namespace ombus

#endif  // OMBUS_CATCH_UP_H_

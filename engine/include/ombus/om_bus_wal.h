// The libombus C API: publishes what a write-ahead log has written. The log's library is the
// caller's: its header is "openmatch/om_wal.h", and ombus neither ships nor links it, which is why
// this is all inline.
//
// C11 and C++. Threads: the stream is used by the thread that writes the log, and by no other.
#ifndef OMBUS_OM_BUS_WAL_H_
#define OMBUS_OM_BUS_WAL_H_

#include <stdint.h>

#include "ombus/om_bus.h"

#if defined(__has_include)
#if __has_include("openmatch/om_wal.h")
#include "openmatch/om_wal.h"
#define OM_BUS_WAL_DECLARED 1
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef OM_BUS_WAL_DECLARED
// Without the log's header: what this one needs of it.
typedef struct OmWal OmWal;
void om_wal_set_post_write(OmWal* wal,
                           void (*cb)(uint64_t seq, uint8_t type, const void* data, uint16_t len,
                                      void* ctx),
                           void* ctx);
#endif

// What om_bus_attach_wal sets. A record that does not fit a slot is not published: its consumers
// see the gap.
static inline void om_bus_wal_post_write(uint64_t seq, uint8_t type, const void* data, uint16_t len,
                                         void* ctx) {
  (void)om_bus_stream_publish((OmBusStream*)ctx, seq, type, data, len);
}

// From now on every record written to the log is published on the stream, which must outlive the
// log's use. Returns 0.
static inline int om_bus_attach_wal(OmWal* wal, OmBusStream* stream) {
  om_wal_set_post_write(wal, om_bus_wal_post_write, stream);
  return 0;
}

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OM_BUS_WAL_H_

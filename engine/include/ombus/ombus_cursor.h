// Cursor files in C: where a reader keeps the last sequence it has dealt with, so that after a
// restart it knows from where to resume. 16 bytes, checked with a CRC32C when loaded; replaced as a
// whole: whatever happens in between, a crash, a kill, a full disk, the file holds the old cursor
// or the new one.
//
// Threads: any; two that save to one path at once leave either's cursor. Not for the hot path: a
// save waits for the disk (two fsync calls).
#ifndef OMBUS_OMBUS_CURSOR_H_
#define OMBUS_OMBUS_CURSOR_H_

#include "ombus/ombus_base.h"

#ifdef __cplusplus
extern "C" {
#endif

// On an error the old file is untouched, but if it is the folder that cannot be written to its
// disk: the new one is there then, and a crash of the host may bring the old one back.
OMBUS_API ombus_status ombus_cursor_save(const char* path, uint64_t wal_seq,
                                         ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;

// NOT_FOUND when there is none, CORRUPT when it is not a whole, undamaged cursor file; *wal_seq is
// set on OMBUS_OK alone.
OMBUS_API ombus_status ombus_cursor_load(const char* path, uint64_t* wal_seq,
                                         ombus_error* error) OMBUS_NOEXCEPT OMBUS_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_CURSOR_H_

// Stands for the WAL library's header, which is the caller's.
#ifndef OPENMATCH_OM_WAL_H_
#define OPENMATCH_OM_WAL_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OmWal OmWal;
typedef void (*OmWalPostWrite)(uint64_t seq, uint8_t type, const void* data, uint16_t len,
                               void* ctx);
void om_wal_set_post_write(OmWal* wal, OmWalPostWrite cb, void* ctx);

#ifdef __cplusplus
}
#endif

#endif  // OPENMATCH_OM_WAL_H_

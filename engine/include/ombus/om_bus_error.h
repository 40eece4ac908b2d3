// The codes of the libombus C API. Every call that can fail returns one of them, below zero, or a
// result that is not.
//
// C11 and C++. Threads: any.
#ifndef OMBUS_OM_BUS_ERROR_H_
#define OMBUS_OM_BUS_ERROR_H_

#ifndef OMBUS_API
#define OMBUS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
  OM_ERR_BUS_INIT = -800,              // an argument is missing or wrong
  OM_ERR_BUS_SHM_CREATE = -801,        // the object cannot be made: a live producer owns the name,
                                       // /dev/shm is full, or it is not permitted
  OM_ERR_BUS_SHM_MAP = -802,           // it cannot be mapped
  OM_ERR_BUS_SHM_OPEN = -803,          // there is no such object or file, or it cannot be opened
  OM_ERR_BUS_NOT_POW2 = -804,          // capacity is no power of two
  OM_ERR_BUS_CONSUMER_ID = -805,       // consumer_index is out of range, or taken
  OM_ERR_BUS_RECORD_TOO_LARGE = -806,  // a payload is longer than slot_size - 24
  OM_ERR_BUS_MAGIC_MISMATCH = -807,    // what is there is not what it should be, or is damaged
  OM_ERR_BUS_VERSION_MISMATCH = -808,  // made by another version of the library
  OM_ERR_BUS_CRC_MISMATCH = -809,      // a damaged record was skipped, or a cursor file is damaged
  OM_ERR_BUS_GAP_DETECTED = -810,      // sequences before this record are missing; it is filled in
  OM_ERR_BUS_EMPTY = -811,             // kept for programs that name it; polls return 0
  OM_ERR_BUS_TCP_BIND = -812,          // the address cannot be bound
  OM_ERR_BUS_TCP_CONNECT = -813,       // no server answers there
  OM_ERR_BUS_TCP_SEND = -814,          // a record could not be broadcast
  OM_ERR_BUS_TCP_RECV = -815,          // kept for programs that name it
  OM_ERR_BUS_TCP_DISCONNECTED = -816,  // the connection is gone, and all it brought was delivered
  OM_ERR_BUS_TCP_PROTOCOL = -817,      // the peer sent what is no frame
  OM_ERR_BUS_TCP_IO = -818,            // the I/O back end failed
  OM_ERR_BUS_TCP_MAX_CLIENTS = -819,   // kept for programs that name it
  OM_ERR_BUS_EPOCH_CHANGED = -820,     // another producer owns the stream now
  OM_ERR_BUS_CONSUMER_STALE = -821,    // the producer went on without this consumer
  OM_ERR_BUS_TCP_SLOW_WARNING = -822,  // the server warns: this client lags, and may be cut
  OM_ERR_BUS_REORDER_DETECTED = -823   // a wal_seq below the expected one; the record is filled in
};

// What a code means, in a few words; "unknown error" for what is none. A constant, never NULL.
OMBUS_API const char* om_bus_error_string(int code);

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OM_BUS_ERROR_H_

// What the C API shares: records, status codes, error messages, versions. ombus/ombus.h has it all.
//
// The C API is for C11 and C++; no exception, no C++ type and no macro magic crosses it. What holds
// for every call:
//
// - A call that can fail for a reason outside the program takes an ombus_error, last, which may be
//   NULL. It is set by every such call, to OMBUS_OK and "" when all went well. There is no global
//   and no per-thread error state.
// - Per-record calls return a result enum instead; its values are those of the C++ enum of the same
//   name, and OMBUS_…_INVALID, below zero, for a NULL where none may be.
// - A handle is used by one thread at a time; where other threads may call, the call says so.
//   Different handles are independent. Handles do not survive fork: open again in the child. Its
//   copies may be closed and destroyed there, if no other thread was using them at the fork (a
//   relay's in any case), which ends nothing of the parent's.
// - Options start with their size. Let ombus_…_options_init(&options, sizeof options) fill in the
//   defaults, then change what you want: a program keeps working with a newer library whose
//   options have grown, and with an older one as long as it leaves what that lacks at 0. A size
//   that cannot be (of a pointer, say) is an error of init, and again of who is given the options.
//   Structs that a call fills have the size first, too: set it to sizeof before the call.
// - Times are in nanoseconds unless a name says _ms. Names are POSIX shared-memory names: a slash,
//   then no other, as "/orders". Strings passed in are copied.
// - Closing or destroying NULL does nothing.
#ifndef OMBUS_OMBUS_BASE_H_
#define OMBUS_OMBUS_BASE_H_

#include <stddef.h>
#include <stdint.h>

#ifndef OMBUS_API
#define OMBUS_API __attribute__((visibility("default")))
#endif
#define OMBUS_MUST_USE __attribute__((warn_unused_result))

#ifdef __cplusplus
#define OMBUS_NOEXCEPT noexcept
extern "C" {
#else
#define OMBUS_NOEXCEPT
#endif

// The version of these headers; ombus_version() is that of the library.
#define OMBUS_VERSION_MAJOR 0
#define OMBUS_VERSION_MINOR 1
#define OMBUS_VERSION_PATCH 0

// "0.1.0". Any thread.
OMBUS_API const char* ombus_version(void) OMBUS_NOEXCEPT;

typedef enum ombus_status {
  OMBUS_OK = 0,
  OMBUS_INVALID_ARGUMENT,    // the caller's value is wrong whatever the state of the system
  OMBUS_NOT_FOUND,           // no such stream, host or file
  OMBUS_ALREADY_EXISTS,      // somebody else lives there: a live producer, a port, an index
  OMBUS_PERMISSION_DENIED,   // the system refused
  OMBUS_RESOURCE_EXHAUSTED,  // memory, /dev/shm, descriptors, consumer lines
  OMBUS_UNAVAILABLE,         // not now: try again (object being initialised, peer unreachable)
  OMBUS_CORRUPT,             // what is there is not what it says it is
  OMBUS_VERSION_MISMATCH,    // a well-formed object of another version
  OMBUS_UNSUPPORTED,         // this kernel or this build cannot do it
  OMBUS_INTERNAL             // a system call failed in a way not foreseen; errno is in the message
} ombus_status;

// "not found" and so on; "unknown status" for what is none. Any thread; a constant.
OMBUS_API const char* ombus_status_name(ombus_status status) OMBUS_NOEXCEPT;

#define OMBUS_MESSAGE_BYTES 508

// Why a call failed. The message is for people: call, object, number and remedy; it always ends in
// a zero byte and is cut where it would not fit. This struct never grows.
typedef struct ombus_error {
  ombus_status code;
  char message[OMBUS_MESSAGE_BYTES];
} ombus_error;

// Bits of ombus_record.flags, set by readers; publishers leave flags 0.
#define OMBUS_RECORD_GAP 1      // sequences are missing between the last record and this
#define OMBUS_RECORD_REORDER 2  // wal_seq is below the one expected

// One message. It does not own its payload; each call that returns one says how long that lives.
// This struct never grows, so arrays of it are safe.
typedef struct __attribute__((may_alias)) ombus_record {
  uint64_t wal_seq;     // the application's sequence number
  const void* payload;  // may be NULL when size is 0
  uint16_t size;        // bytes
  uint8_t type;         // the application's record type; 0xFE is taken on the wire
  uint8_t flags;        // OMBUS_RECORD_… bits
  uint32_t reserved;    // neither read nor set
} ombus_record;

// Is given each record that a drain finds. The record and its payload live until it returns. It
// must not throw, longjmp, or call the reader it is called by.
typedef void (*ombus_record_fn)(const ombus_record* record, void* context);

// A timeout_ns that never ends.
#define OMBUS_WAIT_FOREVER UINT64_MAX

// Which of the kernel's two I/O interfaces a server, client or relay uses.
enum {
  OMBUS_BACKEND_AUTO = 0,   // io_uring where this build has it and the kernel allows it, else epoll
  OMBUS_BACKEND_URING = 1,  // io_uring or an error that names the cause and the cure
  OMBUS_BACKEND_EPOLL = 2
};

// What a producer or consumer in the ring is tuned for.
enum {
  OMBUS_PROFILE_THROUGHPUT = 0,  // most records a second; in a busy stream some wait for others
  OMBUS_PROFILE_LATENCY = 1      // each record as early as possible
};

// What came of huge_pages, lock_memory and numa_node, as read back from the kernel.
typedef struct ombus_memory_report {
  uint64_t size;          // of this struct; set it before the call
  uint64_t mapped_bytes;  // in whole pages
  uint64_t huge_bytes;    // mapped by huge pages
  uint64_t locked_bytes;
  int32_t numa_node;  // that holds all pages looked at; -1: several, or unknown
  uint32_t warnings;  // how many there are: something asked for is missing
} ombus_memory_report;

#ifdef __cplusplus
}
#endif

#endif  // OMBUS_OMBUS_BASE_H_

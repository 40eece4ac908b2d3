// A suite of checks of the libombus C API, in plain C11 (and C++), as a program that knows nothing
// but its headers: each check is a function, each file a table of them.
#ifndef OMBUS_TESTS_C_API_SUITE_H_
#define OMBUS_TESTS_C_API_SUITE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ombus/om_bus_tcp.h"  // makes om_bus.h and om_bus_error.h visible

typedef struct Check {
  const char* name;  // a sentence
  void (*run)(void);
} Check;

// Each ends with a NULL name.
extern const Check kInterfaceChecks[];
extern const Check kStreamChecks[];
extern const Check kEndpointChecks[];
extern const Check kLivenessChecks[];
extern const Check kCursorChecks[];
extern const Check kServerChecks[];
extern const Check kSlowClientChecks[];
extern const Check kClientChecks[];
extern const Check kRelayChecks[];

bool expect(bool holds, const char* what, const char* file, int line);
bool expect_eq(long long got, long long wanted, const char* what, const char* file, int line);

#define EXPECT(condition) expect((condition), #condition, __FILE__, __LINE__)
#define EXPECT_EQ(got, wanted) \
  expect_eq((long long)(got), (long long)(wanted), #got " is " #wanted, __FILE__, __LINE__)
// For what makes no sense to go on without.
#define REQUIRE(condition)          \
  do {                              \
    if (!EXPECT(condition)) return; \
  } while (0)
#define REQUIRE_EQ(got, wanted)          \
  do {                                   \
    if (!EXPECT_EQ(got, wanted)) return; \
  } while (0)

// A stream name of this process' own; the same until the next call.
const char* new_name(void);
const char* name_now(void);

// With the name of now; expect success.
OmBusStream* make_stream(uint32_t capacity, uint32_t flags);
OmBusEndpoint* open_endpoint(uint32_t index, bool zero_copy);
void publish_text(OmBusStream* stream, uint64_t wal_seq, const char* text);
bool holds_text(const OmBusRecord* record, const char* text);

// The object's memory, mapped; NULL if there is none. *bytes is its size.
unsigned char* map_object(const char* name, size_t* bytes);
void unmap_object(unsigned char* memory, size_t bytes);
bool object_exists(const char* name);

uint64_t now_ms(void);
// A deadline long enough for the slowest machine; over(deadline) yields the core when it is not.
uint64_t soon(void);
bool over(uint64_t deadline_ms);

// Forks; the child runs body and exits with its result. Returns its pid.
typedef int (*ChildBody)(int tell_fd);
int start_child(ChildBody body, int* listen_fd);
bool await_child(int listen_fd);                      // false: it ended without telling
int end_child(int pid, int listen_fd, bool kill_it);  // exit code, or minus the signal

// TCP by hand.
int raw_connect(uint16_t port);
int raw_listen(uint16_t* port);
int raw_accept(int listener);
bool raw_send(int fd, const void* bytes, size_t size);
// Exactly size bytes within a deadline.
bool raw_receive(int fd, void* bytes, size_t size);
bool raw_at_end(int fd);    // the stream has ended, in order or not
bool raw_is_quiet(int fd);  // nothing to read now
size_t put_frame(unsigned char* to, uint64_t wal_seq, uint8_t type, const void* payload,
                 uint16_t size);

OmBusTcpServer* make_server(uint32_t max_clients, uint32_t send_buf_size);
// poll_io until so many clients are counted; false: not within the deadline.
bool serve_until_clients(OmBusTcpServer* server, uint32_t count);
OmBusTcpClient* connect_client(uint16_t port, uint32_t flags);
// Polls (serving meanwhile, if server is not NULL) until there is something else than 0.
int poll_client(OmBusTcpClient* client, OmBusTcpServer* server, OmBusRecord* record);

#endif  // OMBUS_TESTS_C_API_SUITE_H_

// Runs the checks and says how many passed. With an argument, only those whose name contains it.
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const Check* const kTables[] = {kInterfaceChecks,  kStreamChecks, kEndpointChecks,
                                       kLivenessChecks,   kCursorChecks, kServerChecks,
                                       kSlowClientChecks, kClientChecks, kRelayChecks};

static bool failed_now;

bool expect(bool holds, const char* what, const char* file, int line) {
  if (!holds) {
    printf("  %s:%d: not so: %s\n", file, line, what);
    failed_now = true;
  }
  return holds;
}

bool expect_eq(long long got, long long wanted, const char* what, const char* file, int line) {
  if (got != wanted) {
    printf("  %s:%d: not so: %s; %lld instead of %lld\n", file, line, what, got, wanted);
    failed_now = true;
  }
  return got == wanted;
}

// --- streams -------------------------------------------------------------------------------------

static char name[64];

const char* new_name(void) {
  static int number = 0;
  snprintf(name, sizeof name, "/om-bus-suite-%d-%d", (int)getpid(), ++number);
  return name;
}

const char* name_now(void) { return name; }

OmBusStream* make_stream(uint32_t capacity, uint32_t flags) {
  OmBusStreamConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name;
  config.capacity = capacity;
  config.flags = flags;
  OmBusStream* stream = NULL;
  EXPECT_EQ(om_bus_stream_create(&stream, &config), 0);
  return stream;
}

OmBusEndpoint* open_endpoint(uint32_t index, bool zero_copy) {
  OmBusEndpointConfig config;
  memset(&config, 0, sizeof config);
  config.stream_name = name;
  config.consumer_index = index;
  config.zero_copy = zero_copy;
  OmBusEndpoint* endpoint = NULL;
  EXPECT_EQ(om_bus_endpoint_open(&endpoint, &config), 0);
  return endpoint;
}

void publish_text(OmBusStream* stream, uint64_t wal_seq, const char* text) {
  EXPECT_EQ(om_bus_stream_publish(stream, wal_seq, 1, text, (uint16_t)strlen(text)), 0);
}

bool holds_text(const OmBusRecord* record, const char* text) {
  return record->payload_len == strlen(text) &&
         memcmp(record->payload, text, record->payload_len) == 0;
}

unsigned char* map_object(const char* object, size_t* bytes) {
  const int fd = shm_open(object, O_RDWR, 0);
  if (fd < 0) return NULL;
  struct stat info;
  void* memory = MAP_FAILED;
  if (fstat(fd, &info) == 0) {
    *bytes = (size_t)info.st_size;
    memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  close(fd);
  return memory == MAP_FAILED ? NULL : (unsigned char*)memory;
}

void unmap_object(unsigned char* memory, size_t bytes) { munmap(memory, bytes); }

bool object_exists(const char* object) {
  const int fd = shm_open(object, O_RDONLY, 0);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

// --- time and processes --------------------------------------------------------------------------

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

uint64_t soon(void) { return now_ms() + 30000; }

bool over(uint64_t deadline_ms) {
  sched_yield();
  return now_ms() >= deadline_ms;
}

int start_child(ChildBody body, int* listen_fd) {
  int ends[2];
  if (pipe(ends) != 0) abort();
  fflush(stdout);
  const pid_t pid = fork();
  if (pid < 0) abort();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    failed_now = false;
    const int code = body(ends[1]);
    fflush(stdout);
    _exit(failed_now ? 100 : code);
  }
  close(ends[1]);
  *listen_fd = ends[0];
  return (int)pid;
}

bool await_child(int listen_fd) {
  char byte;
  return read(listen_fd, &byte, 1) == 1;
}

int end_child(int pid, int listen_fd, bool kill_it) {
  if (kill_it) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  close(listen_fd);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// --- sockets -------------------------------------------------------------------------------------

static struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int raw_connect(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = loopback(port);
  if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    EXPECT(!"connect");
    close(fd);
    return -1;
  }
  return fd;
}

int raw_listen(uint16_t* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = loopback(*port);
  socklen_t size = sizeof address;
  if (bind(fd, (struct sockaddr*)&address, size) != 0 || listen(fd, 8) != 0 ||
      getsockname(fd, (struct sockaddr*)&address, &size) != 0) {
    EXPECT(!"bind");
  }
  *port = ntohs(address.sin_port);
  return fd;
}

static bool readable(int fd, int wait_ms) {
  struct pollfd one = {fd, POLLIN, 0};
  return poll(&one, 1, wait_ms) == 1;
}

int raw_accept(int listener) {
  return readable(listener, 30000) ? accept(listener, NULL, NULL) : -1;
}

bool raw_send(int fd, const void* bytes, size_t size) {
  return send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

bool raw_receive(int fd, void* bytes, size_t size) {
  size_t have = 0;
  while (have < size) {
    if (!readable(fd, 30000)) return false;
    const ssize_t got = recv(fd, (char*)bytes + have, size - have, 0);
    if (got <= 0) return false;
    have += (size_t)got;
  }
  return true;
}

bool raw_at_end(int fd) {
  char byte;
  return readable(fd, 30000) && recv(fd, &byte, 1, 0) <= 0;
}

bool raw_is_quiet(int fd) { return !readable(fd, 0); }

size_t put_frame(unsigned char* to, uint64_t wal_seq, uint8_t type, const void* payload,
                 uint16_t size) {
  OmBusTcpFrameHeader header;
  header.magic = OM_BUS_TCP_FRAME_MAGIC;
  header.wal_type = type;
  header.flags = 0;
  header.payload_len = size;
  header.wal_seq = wal_seq;
  memcpy(to, &header, sizeof header);
  if (size != 0) memcpy(to + sizeof header, payload, size);
  return sizeof header + size;
}

OmBusTcpServer* make_server(uint32_t max_clients, uint32_t send_buf_size) {
  OmBusTcpServerConfig config;
  memset(&config, 0, sizeof config);
  config.bind_addr = "127.0.0.1";
  config.max_clients = max_clients;
  config.send_buf_size = send_buf_size;
  OmBusTcpServer* server = NULL;
  EXPECT_EQ(om_bus_tcp_server_create(&server, &config), 0);
  return server;
}

bool serve_until_clients(OmBusTcpServer* server, uint32_t count) {
  for (const uint64_t deadline = soon(); om_bus_tcp_server_client_count(server) != count;) {
    if (!EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0) || over(deadline)) return false;
  }
  return true;
}

OmBusTcpClient* connect_client(uint16_t port, uint32_t flags) {
  OmBusTcpClientConfig config;
  memset(&config, 0, sizeof config);
  config.host = "127.0.0.1";
  config.port = port;
  config.flags = flags;
  OmBusTcpClient* client = NULL;
  EXPECT_EQ(om_bus_tcp_client_connect(&client, &config), 0);
  return client;
}

int poll_client(OmBusTcpClient* client, OmBusTcpServer* server, OmBusRecord* record) {
  int result = 0;
  for (const uint64_t deadline = soon(); result == 0 && !over(deadline);) {
    if (server != NULL) EXPECT_EQ(om_bus_tcp_server_poll_io(server), 0);
    result = om_bus_tcp_client_poll(client, record);
  }
  return result;
}

int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (size_t table = 0; table < sizeof kTables / sizeof kTables[0]; ++table) {
    for (const Check* check = kTables[table]; check->name != NULL; ++check) {
      if (argc > 1 && strstr(check->name, argv[1]) == NULL) continue;
      failed_now = false;
      check->run();
      printf("%s %s\n", failed_now ? "not ok" : "ok", check->name);
      fflush(stdout);
      if (failed_now)
        ++failed;
      else
        ++passed;
    }
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

// A cable that is pulled: server and client in network namespaces of their own, joined by a veth
// pair whose one end goes down. Nothing is reset, nothing is refused; packets are gone. Both sides
// must find out by silence, come back together when the link does, and nothing may be missing.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "net/backend_select.h"
#include "ombus/client.h"
#include "ombus/server.h"

namespace ombus::net {
namespace {

constexpr uint16_t kPort = 7001;
constexpr uint64_t kNsPerMs = 1'000'000;
// Against a hang. What is waited for comes within two seconds of an idle machine.
constexpr uint64_t kPatienceNs = 60'000 * kNsPerMs;
constexpr int kSkipped = 77;

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// What the two processes tell each other and the test.
struct Board {
  std::atomic<int> client_pid, namespaces_ready, serving;
  std::atomic<int> link_wanted{1}, link_is{1};  // the client's process has the end that goes down
  std::atomic<int> client_connected, client_reconnects, client_wrong, end;
  std::atomic<uint64_t> client_wal_seq;
  char why[256];  // skipped or failed
};

int Say(Board* board, int code, const std::string& why) {
  std::snprintf(board->why, sizeof board->why, "%s", why.c_str());
  return code;
}

bool Run(const std::string& command) {
  const int status = std::system((command + " 2>/dev/null").c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Reads until the test is over. Sequences rise by one over every reconnect, or it is wrong.
int RunClient(Board* board, BackendChoice backend) {
  if (unshare(CLONE_NEWNET) != 0) return 1;
  board->namespaces_ready = 1;
  while (board->serving == 0) usleep(1000);
  if (!Run("ip address add 10.77.0.2/24 dev om_b && ip link set om_b up")) return 1;
  ClientOptions options;
  options.host = "10.77.0.1";
  options.port = kPort;
  options.connect_timeout_ms = 300;
  options.reconnect = true;
  options.retry_base_ms = 20;
  options.retry_max_ms = 100;
  options.heartbeat_ms = 50;
  options.backend = backend;
  auto client = Client::Connect(options);
  if (!client.ok()) return Say(board, 1, client.status().message());
  uint64_t last = 0;
  while (board->end == 0) {
    if (board->link_is != board->link_wanted) {
      const int wanted = board->link_wanted;
      if (!Run(wanted == 1 ? "ip link set om_b up" : "ip link set om_b down")) return 1;
      board->link_is = wanted;
    }
    Record record;
    switch ((*client)->Poll(&record, kNsPerMs)) {
      case ClientResult::kRecord:
        if (last != 0 && record.wal_seq != last + 1) ++board->client_wrong;
        last = record.wal_seq;
        board->client_wal_seq = last;
        break;
      case ClientResult::kEmpty:
      case ClientResult::kConnected:
        break;
      default:
        ++board->client_wrong;
        Say(board, 1, "the client: " + (*client)->status().message());
    }
    board->client_connected = (*client)->connected() ? 1 : 0;
    board->client_reconnects = static_cast<int>((*client)->reconnects());
  }
  return 0;
}

// Broadcasts a record a millisecond and turns, until `done`. False: it never was.
template <typename Done>
bool ServeUntil(Server* server, uint64_t* wal_seq, Done done) {
  const uint64_t deadline_ns = NowNs() + kPatienceNs;
  while (!done()) {
    const uint64_t next = ++*wal_seq;
    const Record record{next, &next, sizeof next, 1, 0};
    if (server->Broadcast(record) != BroadcastResult::kOk) return false;
    if (!server->PollIo(kNsPerMs).ok() || NowNs() > deadline_ns) return false;
  }
  return true;
}

int RunServer(Board* board, BackendChoice backend) {
  while (board->namespaces_ready == 0) usleep(1000);
  const std::string pid = std::to_string(board->client_pid);
  if (!Run("ip link add om_a type veth peer name om_b") || !Run("ip link set om_b netns " + pid) ||
      !Run("ip address add 10.77.0.1/24 dev om_a && ip link set om_a up")) {
    return Say(board, kSkipped, "no veth pair: needs iproute2 and a kernel with veth");
  }
  ServerOptions options;
  options.address = "10.77.0.1";
  options.port = kPort;
  options.heartbeat_ms = 50;
  options.client_timeout_ms = 400;
  options.backend = backend;
  auto server = Server::Create(options);
  if (!server.ok()) return Say(board, 1, server.status().message());
  board->serving = 1;
  uint64_t wal_seq = 0;
  const auto serve = [&](const char* what, const auto& done) {
    const bool came = ServeUntil(server->get(), &wal_seq, done);
    if (!came) Say(board, 1, std::string("never: ") + what);
    return came;
  };
  for (int round = 1; round <= 2; ++round) {
    const uint64_t begin = wal_seq;
    if (!serve("records over the link", [&] { return board->client_wal_seq > begin + 100; }) ||
        !serve("the link goes down", [&] {
          board->link_wanted = 0;
          return board->link_is == 0;
        })) {
      return 1;
    }
    const uint64_t cut_at = wal_seq;
    if (!serve("the server notices", [&] { return (*server)->client_count() == 0; }) ||
        !serve("the client notices", [&] { return board->client_connected == 0; }) ||
        !serve("the link comes up",
               [&] {
                 board->link_wanted = 1;
                 return board->link_is == 1;
               }) ||
        !serve("the client is back", [&] {
          return board->client_reconnects >= round && board->client_wal_seq > cut_at + 100;
        })) {
      return 1;
    }
    if ((*server)->stats().clients_timed_out < static_cast<uint64_t>(round)) {
      return Say(board, 1, "the server did not notice by silence");
    }
  }
  if (board->client_wrong != 0) return Say(board, 1, "records are missing or came twice");
  return 0;
}

// In a child: a namespace for the server, and in a child of that one for the client. Where this
// is not root, both are within a user namespace.
int RunBoth(Board* board, BackendChoice backend) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const uid_t user = getuid();
  if (unshare(CLONE_NEWNET) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
      return Say(board, kSkipped, std::string("unshare: ") + std::strerror(errno));
    }
    FILE* map = std::fopen("/proc/self/uid_map", "w");
    if (map == nullptr || std::fprintf(map, "0 %u 1", user) < 0 || std::fclose(map) != 0) {
      return Say(board, kSkipped, "uid_map: this process may not be root in a namespace");
    }
  }
  const pid_t client = fork();
  if (client == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(RunClient(board, backend));
  }
  board->client_pid = client;
  const int code = RunServer(board, backend);
  board->end = 1;
  if (code != 0) kill(client, SIGKILL);
  int status = 0;
  waitpid(client, &status, 0);
  if (code == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) return 1;
  return code;
}

class HalfOpenTest : public testing::TestWithParam<BackendChoice> {};

TEST_P(HalfOpenTest, BothSidesNoticeACutLinkAndResumeWithoutLossWhenItIsBack) {
  std::string why;
  if (const auto kind = ChooseBackend(GetParam(), &why); !kind.ok()) {
    GTEST_SKIP() << kind.status().message();
  }
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* board = new (memory) Board();
  const pid_t child = fork();
  if (child == 0) _exit(RunBoth(board, GetParam()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  const std::string said = board->why;
  const std::string where = "; the client has sequence " + std::to_string(board->client_wal_seq) +
                            ", connected " + std::to_string(board->client_connected) +
                            ", reconnects " + std::to_string(board->client_reconnects);
  munmap(memory, sizeof(Board));
  if (code == kSkipped) GTEST_SKIP() << said;
  EXPECT_EQ(code, 0) << said << where;
}

INSTANTIATE_TEST_SUITE_P(Backends, HalfOpenTest,
                         testing::Values(BackendChoice::kUring, BackendChoice::kEpoll),
                         [](const auto& info) {
                           return info.param == BackendChoice::kEpoll ? "Epoll" : "Uring";
                         });

}  // namespace
}  // namespace ombus::net

// What clients and servers do where io_uring lets the probe through and then refuses what they ask
// of it: epoll, or less of io_uring, told once with the cause.
#include <gtest/gtest.h>

#ifdef OMBUS_HAVE_IOURING

#include <grp.h>
#include <sys/resource.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "net/backend_select.h"
#include "net/uring_probe.h"
#include "ombus/client.h"
#include "ombus/server.h"
#include "tests/net/in_child.h"
#include "tests/net/raw_peer.h"
#include "tests/system_call_filter.h"

namespace ombus::net {
namespace {

// In this process and for good: a ring of more entries than the probe's is refused, as where too
// little memory may be locked.
bool ForbidRingsButTheProbes() {
  constexpr unsigned kProbeEntries = 4;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, kProbeEntries, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return FilterSystemCalls(filter);
}

bool NamesTheCause(const std::string& text) {
  return text.starts_with("using epoll, since io_uring is not to be had: io_uring_setup") &&
         text.find("ENOMEM") != std::string::npos && text.find("ulimit -l") != std::string::npos;
}

std::vector<std::string> NotesOf(Server* server) {
  std::vector<std::string> notes;
  for (const ServerEvent& event : server->TakeEvents()) {
    if (event.kind == ServerEvent::Kind::kNote) notes.push_back(event.text);
  }
  return notes;
}

class BackendFallback : public testing::Test {
 protected:
  void SetUp() override {
    if (const Status usable = ProbeUring(); !usable.ok()) GTEST_SKIP() << usable.message();
  }
};

TEST_F(BackendFallback, AClientWhoseRingIsRefusedAfterTheProbeUsesEpollAndSaysWhy) {
  const int failed = InChild([] {
    if (!ForbidRingsButTheProbes() || !ProbeUring().ok()) return false;
    auto server = Server::Create({.backend = BackendChoice::kEpoll});
    if (!server.ok()) return false;
    ClientOptions options;
    options.port = (*server)->port();
    options.backend = BackendChoice::kUring;
    const auto forced = Client::Connect(options);
    if (forced.ok() || forced.status().code() != StatusCode::kResourceExhausted) return false;
    options.backend = BackendChoice::kAuto;
    auto client = Client::Connect(options);
    if (!client.ok() || std::string((*client)->backend_name()) != "epoll") return false;
    if (!NamesTheCause((*client)->backend_note())) return false;
    while ((*client)->epoch() == 0 && !(*client)->heard()) {
      Record record;
      if (!(*server)->PollIo(0).ok()) return false;
      if ((*client)->Poll(&record, 100'000) != ClientResult::kEmpty) return false;
    }
    return true;
  });
  EXPECT_EQ(failed, 0);
}

TEST_F(BackendFallback, AServerWhoseRingIsRefusedAfterTheProbeUsesEpollAndSaysWhyOnce) {
  const int failed = InChild([] {
    if (!ForbidRingsButTheProbes() || !ProbeUring().ok()) return false;
    if (Server::Create({.backend = BackendChoice::kUring}).ok()) return false;
    auto server = Server::Create({});
    if (!server.ok() || std::string((*server)->backend_name()) != "epoll") return false;
    const std::vector<std::string> notes = NotesOf(server->get());
    return notes.size() == 1 && NamesTheCause(notes[0]) && (*server)->PollIo(0).ok() &&
           NotesOf(server->get()).empty();
  });
  EXPECT_EQ(failed, 0);
}

TEST_F(BackendFallback, AClientThatGetsWhatItAsksForHasNothingToNote) {
  auto server = Server::Create({.backend = BackendChoice::kEpoll});
  ASSERT_TRUE(server.ok()) << server.status().message();
  for (const BackendChoice choice : {BackendChoice::kAuto, BackendChoice::kEpoll}) {
    ClientOptions options;
    options.port = (*server)->port();
    options.backend = choice;
    auto client = Client::Connect(options);
    ASSERT_TRUE(client.ok()) << client.status().message();
    EXPECT_STREQ((*client)->backend_note(), "");
  }
}

TEST_F(BackendFallback, APollingThreadOverTheLimitOnThreadsIsLeftOutAndTheLimitNamed) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a user of its own: run as root";
  if (const Status granted = ProbePollingThread(); !granted.ok()) GTEST_SKIP() << granted.message();
  const int failed = InChild([] {
    const rlimit itself = {1, 1};
    if (setrlimit(RLIMIT_NPROC, &itself) != 0 || setgroups(0, nullptr) != 0 ||
        setuid(1'000'000 + static_cast<uid_t>(getpid())) != 0) {
      return false;
    }
    const std::string cause =
        "io_uring_setup \"SQPOLL, cpu -1\": EAGAIN; raise the limit on threads";
    if (!ProbePollingThread().message().starts_with(cause)) return false;
    auto server = Server::Create({.backend = BackendChoice::kUring, .io = {.sq_poll = true}});
    if (!server.ok()) return false;
    const std::vector<std::string> notes = NotesOf(server->get());
    return notes.size() == 1 && notes[0].find(cause) != std::string::npos &&
           notes[0].find("until then this thread submits itself") != std::string::npos;
  });
  EXPECT_EQ(failed, 0);
}

TEST_F(BackendFallback, ALogOfWhichOneMappingAloneMayBeLockedIsToldOnceAndItsSeamIsSentPlain) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a user of its own: run as root";
  constexpr uint64_t kLog = 1u << 20;
  const int failed = InChild([] {
    const rlimit between = {kLog + kLog / 2, kLog + kLog / 2};
    if (setrlimit(RLIMIT_MEMLOCK, &between) != 0 || setgroups(0, nullptr) != 0 ||
        setuid(1'000'000 + static_cast<uid_t>(getpid())) != 0) {
      return false;
    }
    auto server = Server::Create({.max_clients = 1,
                                  .log_bytes = kLog,
                                  .slow_client_policy = SlowClientPolicy::kWait,
                                  .backend = BackendChoice::kUring});
    if (!server.ok()) return false;
    const std::vector<std::string> notes = NotesOf(server->get());
    if (notes.size() != 1) return false;
    for (const char* part : {"io_uring_register(BUFFERS) \"2048 KiB\": ENOMEM", "ulimit -l",
                             "only what crosses the log's end is plain"}) {
      if (notes[0].find(part) == std::string::npos) return false;
    }
    RawPeer peer((*server)->port());
    while ((*server)->client_count() == 0) (void)(*server)->PollIo(1'000'000);
    const std::vector<char> payload(50'000, 'x');
    size_t bytes = 0;
    for (uint64_t i = 1; bytes < 2 * kLog; ++i) {
      if ((*server)->Broadcast(
              {.wal_seq = i, .payload = payload.data(), .size = 50'000, .type = 1}) !=
          BroadcastResult::kOk) {
        return false;
      }
      bytes += 50'016;
      while (peer.bytes().size() < bytes) {
        if (!(*server)->PollIo(1'000'000).ok()) return false;
        peer.Drain();
      }
    }
    const ServerStats stats = (*server)->stats();
    if (stats.sends_fixed == 0 || stats.sends_plain == 0) return false;
    return NotesOf(server->get()).empty();
  });
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace ombus::net

#else
TEST(BackendFallback, IsNotInThisBuild) { GTEST_SKIP() << "built with -Diouring=disabled"; }
#endif

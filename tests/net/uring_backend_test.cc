// What io_uring adds to the contract: how many system calls a turn makes, registered memory and
// its refusal, SIGPIPE by signal mask, overflow, threads.
#include <gtest/gtest.h>

#ifdef OMBUS_HAVE_IOURING

#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "net/socket.h"
#include "net/uring_backend.h"
#include "net/uring_user_data.h"
#include "tests/net/in_child.h"

namespace ombus::net {
namespace {

constexpr int32_t kLarge = 32 << 10;  // enough for a registered buffer

struct Counter {
  std::map<Op, int> results;
  std::vector<int32_t> send_results;
  std::map<uint64_t, std::vector<std::byte>> received;  // by token
  int32_t receive_end = 1;                              // the result that ended a Receive
  void OnCompletion(const Completion& completion) {
    ++results[completion.op];
    if (completion.op == Op::kReceive) {
      auto& bytes = received[completion.token];
      bytes.insert(bytes.end(), completion.data.begin(), completion.data.end());
      if (!completion.more) receive_end = completion.result;
    }
    if (completion.op == Op::kSend) send_results.push_back(completion.result);
  }
};

// Gives up the right to lock memory without limit. Locked memory is counted by user, and given back
// some time after a ring is closed: so one whom nobody else uses. Otherwise without effect.
bool BecomeFreshUser() {
  const uid_t fresh = 1'000'000 + static_cast<uid_t>(getpid());
  return geteuid() != 0 || (setgroups(0, nullptr) == 0 && setuid(fresh) == 0);
}

class UringBackendTest : public testing::Test {
 protected:
  void SetUp() override { Remake({}); }
  void Remake(const BackendOptions& options) {
    Result<std::unique_ptr<UringBackend>> made = UringBackend::Create(options);
    if (!made.ok()) GTEST_SKIP() << "not on this kernel: " << made.status().message();
    backend_ = std::move(*made);
  }
  // Adopts one end of a new local pair; the other end stays open in peers_.
  SocketId AdoptPair() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    peers_.emplace_back(pair[1]);
    return *backend_->Adopt(pair[0]);
  }
  void TurnUntil(Op op, int count) {
    for (int i = 0; i < 1000 && counter_.results[op] < count; ++i) {
      ASSERT_TRUE(backend_->Turn(counter_, 10'000'000).ok());
    }
    ASSERT_EQ(counter_.results[op], count);
  }

  std::vector<UniqueFd> peers_;
  std::unique_ptr<UringBackend> backend_;
  Counter counter_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(64 * 1024);
};

TEST_F(UringBackendTest, AThousandSendsAreOneSystemCall) {
  std::vector<SocketId> ids;
  for (int i = 0; i < 1000; ++i) ids.push_back(AdoptPair());
  ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  for (int round = 1; round <= 3; ++round) {
    const uint64_t before = backend_->stats().enters;
    for (const SocketId id : ids) backend_->Send(id, std::span(bytes_).first(80), 1);
    ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
    EXPECT_EQ(backend_->stats().enters - before, 1u);
    EXPECT_EQ(counter_.results[Op::kSend], round * 1000);
  }
}

TEST_F(UringBackendTest, ATurnWithNothingToDoMakesNoSystemCall) {
  backend_->Receive(AdoptPair(), 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  const uint64_t before = backend_->stats().enters;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  EXPECT_EQ(backend_->stats().enters, before);
  ASSERT_EQ(send(peers_[0].get(), "x", 1, MSG_NOSIGNAL), 1);
  for (int i = 0; i < 1000 && counter_.results[Op::kReceive] == 0; ++i) {
    ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  }
  EXPECT_EQ(counter_.results[Op::kReceive], 1);
}

TEST_F(UringBackendTest, ASoleListenersBytesAllComeOnceAndInOrderWhateverElseGoesOn) {
  const SocketId sole = AdoptPair(), sink = AdoptPair();
  backend_->Receive(sole, 1);
  std::vector<std::byte> sent;
  SocketId second = kNoSocket;
  for (size_t i = 0; i < 4000; ++i) {
    if (i % 64 == 20) {
      second = AdoptPair();
      backend_->Receive(second, i);
    }
    if (i % 64 == 40) backend_->Close(second, i);
    if (i % 3 == 0) backend_->Send(sink, std::span(bytes_).first(1), 2);
    const size_t size = i % 5 == 4 ? 9000 : i % 7;
    std::vector<std::byte> some(size, static_cast<std::byte>(i));
    ASSERT_EQ(send(peers_[0].get(), some.data(), size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
    sent.insert(sent.end(), some.begin(), some.end());
    for (size_t turn = 0; turn < 1 + i % 4; ++turn) {
      ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
    }
  }
  for (int i = 0; i < 10000 && counter_.received[1].size() < sent.size(); ++i) {
    ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  }
  EXPECT_TRUE(counter_.received[1] == sent);
}

TEST_F(UringBackendTest, AResetOfTheSoleListenersConnectionIsToldAsOne) {
  const SocketId id = AdoptPair();
  backend_->Receive(id, 1);
  backend_->Send(id, std::span(bytes_).first(1), 2);
  TurnUntil(Op::kSend, 1);
  peers_.clear();  // with a byte unread
  for (int i = 0; i < 100 && counter_.results[Op::kReceive] == 0; ++i) {
    ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  }
  EXPECT_EQ(counter_.receive_end, -ECONNRESET);
}

TEST_F(UringBackendTest, MoreCompletionsThanTheQueueHoldsAllArriveOnce) {
  Remake({.sockets_hint = 8, .receive_buffers = 4, .queue_entries = 8});
  constexpr int kSockets = 700;
  for (int i = 0; i < kSockets; ++i) {
    const SocketId id = AdoptPair();
    backend_->Send(id, std::span(bytes_).first(10), 1);
    backend_->PollOut(id, 2);
  }
  TurnUntil(Op::kPollOut, kSockets);
  TurnUntil(Op::kSend, kSockets);
  for (const int32_t result : counter_.send_results) EXPECT_EQ(result, 10);
  EXPECT_GE(backend_->stats().completion_overflows, 1u);
}

TEST_F(UringBackendTest, LargePiecesOfRegisteredMemoryAreSentFromRegisteredBuffers) {
  const Status status = backend_->RegisterMemory(bytes_);
  if (!status.ok()) GTEST_SKIP() << status.message();
  const SocketId id = AdoptPair(), other = AdoptPair();
  backend_->Send(id, std::span(bytes_).subspan(100, kLarge), 1);
  backend_->Send(other, std::span(bytes_).subspan(100, kLarge), 1);
  TurnUntil(Op::kSend, 2);
  EXPECT_EQ(backend_->stats().sends_fixed, 2u);
  EXPECT_EQ(backend_->stats().sends_plain, 0u);
  backend_->Send(id, std::span(bytes_).subspan(100, kLarge - 1), 1);
  backend_->Send(other, std::span(bytes_).subspan(100, kLarge), 1);
  TurnUntil(Op::kSend, 4);
  EXPECT_EQ(backend_->stats().sends_fixed, 3u);
  EXPECT_EQ(backend_->stats().sends_plain, 1u);
  std::sort(counter_.send_results.begin(), counter_.send_results.end());
  EXPECT_EQ(counter_.send_results, std::vector<int32_t>({kLarge - 1, kLarge, kLarge, kLarge}));
}

TEST_F(UringBackendTest, WhatIsSentAloneInATurnIsSentByAddress) {
  const Status status = backend_->RegisterMemory(bytes_);
  if (!status.ok()) GTEST_SKIP() << status.message();
  const SocketId id = AdoptPair();
  ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  const uint64_t enters = backend_->stats().enters;
  backend_->Send(id, std::span(bytes_).first(kLarge), 1);
  ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  EXPECT_EQ(counter_.send_results, std::vector<int32_t>({kLarge}));
  EXPECT_EQ(backend_->stats().sends_plain, 1u);
  EXPECT_EQ(backend_->stats().enters, enters + 1);
  // What is queued after it takes it along.
  const SocketId other = AdoptPair();
  backend_->Send(other, std::span(bytes_).first(kLarge), 1);
  backend_->PollIn(id, 2);
  TurnUntil(Op::kSend, 2);
  EXPECT_EQ(backend_->stats().sends_fixed, 1u);
  // Closed before the turn, it is sent or cancelled, and the socket is closed after it.
  const SocketId third = AdoptPair();
  backend_->Send(third, std::span(bytes_).first(10), 1);
  backend_->Close(third, 3);
  TurnUntil(Op::kClose, 1);
  ASSERT_EQ(counter_.send_results.size(), 3u);
  EXPECT_TRUE(counter_.send_results[2] == 10 || counter_.send_results[2] == -ECANCELED);
}

TEST_F(UringBackendTest, MoreThanAGibibyteIsNotRegisteredAndTheNoteSaysSo) {
  const size_t size = (size_t{1} << 30) + 4096;
  void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_FALSE(backend_->RegisterMemory({static_cast<std::byte*>(memory), size}).ok());
  EXPECT_NE(backend_->TakeNote().find("plain"), std::string::npos);
  munmap(memory, size);
}

TEST_F(UringBackendTest, RefusedLockedMemoryMeansPlainSendsAndANoteWithTheCure) {
  backend_.reset();
  EXPECT_EQ(InChild([&] {
              if (!BecomeFreshUser()) return false;
              const rlimit little = {1 << 20, 1 << 20};
              if (setrlimit(RLIMIT_MEMLOCK, &little) != 0) return false;
              Remake({});
              if (backend_ == nullptr) return false;
              bytes_.resize(4 << 20);
              const Status status = backend_->RegisterMemory(bytes_);
              if (status.ok() || status.code() != StatusCode::kResourceExhausted) return false;
              if (backend_->TakeNote().find("ulimit -l") == std::string::npos) return false;
              backend_->Send(AdoptPair(), std::span(bytes_).first(100), 1);
              TurnUntil(Op::kSend, 1);
              return counter_.send_results[0] == 100 && backend_->stats().sends_plain == 1;
            }),
            0);
}

TEST_F(UringBackendTest, WithLittleLockedMemoryItsQueuesAreShorterAndItWorks) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a user of its own: run as root";
  backend_.reset();
  EXPECT_EQ(InChild([&] {
              if (!BecomeFreshUser()) return false;
              const rlimit little = {96 * 1024, 96 * 1024};
              if (setrlimit(RLIMIT_MEMLOCK, &little) != 0) return false;
              Remake({.sockets_hint = 4000, .receive_buffers = 16});
              if (backend_ == nullptr) return false;
              backend_->Send(AdoptPair(), std::span(bytes_).first(100), 1);
              TurnUntil(Op::kSend, 1);
              return counter_.send_results[0] == 100;
            }),
            0);
}

class UringSigpipe : public UringBackendTest {
 protected:
  void SetUp() override {
    UringBackendTest::SetUp();
    if (IsSkipped()) return;
    const Status status = backend_->RegisterMemory(bytes_);
    if (!status.ok()) GTEST_SKIP() << status.message();
    backend_->AvoidNoSignalWrites();
    ids_ = {AdoptPair(), AdoptPair()};
    peers_.clear();
  }
  // To two peers that are gone: what is sent alone is not sent from registered buffers.
  void SendInVain(int count) {
    for (int i = 1; i <= count; ++i) {
      for (const SocketId id : ids_) backend_->Send(id, std::span(bytes_).first(kLarge), 1);
      TurnUntil(Op::kSend, 2 * i);
    }
    for (const int32_t result : counter_.send_results) ASSERT_EQ(result, -EPIPE);
    ASSERT_EQ(backend_->stats().sends_fixed, uint64_t{2} * static_cast<uint64_t>(count));
  }
  static bool SigpipeWaits() {
    sigset_t waiting;
    sigpending(&waiting);
    return sigismember(&waiting, SIGPIPE) == 1;
  }
  static bool SigpipeBlocked() {
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return sigismember(&blocked, SIGPIPE) == 1;
  }

  std::array<SocketId, 2> ids_ = {};
};

TEST_F(UringSigpipe, AHostWithTheDefaultActionSurvivesAndKeepsItsMask) {
  signal(SIGPIPE, SIG_DFL);
  SendInVain(10);
  EXPECT_FALSE(SigpipeBlocked());
  EXPECT_FALSE(SigpipeWaits());
}

TEST_F(UringSigpipe, AHostThatBlocksItFindsNoneWaiting) {
  sigset_t sigpipe, before;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  SendInVain(3);
  EXPECT_TRUE(SigpipeBlocked());
  EXPECT_FALSE(SigpipeWaits());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(UringSigpipe, OneThatWaitedBeforeIsLeftToTheHost) {
  sigset_t sigpipe, before;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  pthread_kill(pthread_self(), SIGPIPE);
  SendInVain(3);
  EXPECT_TRUE(SigpipeWaits());
  const timespec none = {0, 0};
  EXPECT_EQ(sigtimedwait(&sigpipe, nullptr, &none), SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(UringBackendTest, DestroyedInAnotherThreadItLeavesThatThreadsRingAlone) {
  std::unique_ptr<UringBackend> other = std::move(*UringBackend::Create());
  std::thread owner([&] {
    Counter counter;
    EXPECT_TRUE(other->Turn(counter, 0).ok());
  });
  const SocketId id = AdoptPair();
  ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  owner.join();
  other.reset();
  backend_->Send(id, std::span(bytes_).first(10), 1);
  TurnUntil(Op::kSend, 1);
  EXPECT_EQ(counter_.send_results[0], 10);
}

TEST_F(UringBackendTest, TurningInASecondThreadIsAnErrorThatSaysSo) {
  ASSERT_TRUE(backend_->Turn(counter_, 0).ok());
  backend_->Send(AdoptPair(), std::span(bytes_).first(10), 1);
  std::thread stranger([&] {
    Counter counter;
    const Status status = backend_->Turn(counter, 0);
    EXPECT_FALSE(status.ok());
  });
  stranger.join();
}

TEST(UringUserData, UnpacksWhatItPacked) {
  const UserData one = {.kind = kFixedSend, .generation = 0xABCDEF, .id = 123456789};
  const UserData same = UserData::Unpack(one.Pack());
  EXPECT_EQ(same.kind, one.kind);
  EXPECT_EQ(same.generation, one.generation);
  EXPECT_EQ(same.id, one.id);
  EXPECT_EQ(UserData::Unpack(UserData{}.Pack()).id, kNoSocket);
}

}  // namespace
}  // namespace ombus::net

#else

TEST(UringBackendTest, IsNotInThisBuild) { GTEST_SKIP() << "built with -Diouring=disabled"; }

#endif  // OMBUS_HAVE_IOURING

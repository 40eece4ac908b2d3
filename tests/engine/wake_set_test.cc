#include "engine/wake_set.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>

namespace ombus::engine {
namespace {

bool Readable(const WakeSet& set) {
  pollfd watched{set.fd(), POLLIN, 0};
  return poll(&watched, 1, 0) == 1;
}

TEST(WakeSetTest, IsQuietUntilInterruptedAndRemembersItWhenQuietened) {
  auto set = WakeSet::Create();
  ASSERT_TRUE(set.ok());
  EXPECT_FALSE(Readable(**set));
  EXPECT_FALSE((*set)->interrupted());
  (*set)->Interrupt();
  (*set)->Interrupt();
  EXPECT_TRUE(Readable(**set));
  (*set)->Quieten();
  EXPECT_FALSE(Readable(**set));
  EXPECT_TRUE((*set)->interrupted());
}

TEST(WakeSetTest, IsReadableWhileADescriptorAddedIsReadable) {
  auto set = WakeSet::Create();
  const int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  ASSERT_TRUE((*set)->Add(fd).ok());
  EXPECT_TRUE(Readable(**set));
  (*set)->Remove(fd);
  EXPECT_FALSE(Readable(**set));
  close(fd);
}

TEST(WakeSetTest, ADescriptorThatCannotBeWaitedForIsRefusedWithTheReason) {
  auto set = WakeSet::Create();
  const Status status = (*set)->Add(-1);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("EBADF"), std::string::npos) << status.message();
}

WakeSet* set_of_handler = nullptr;

TEST(WakeSetTest, InterruptsFromASignalHandler) {
  auto set = WakeSet::Create();
  set_of_handler = set->get();
  struct sigaction action = {}, before = {};
  action.sa_handler = [](int) { set_of_handler->Interrupt(); };
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  raise(SIGUSR1);
  EXPECT_TRUE((*set)->interrupted());
  EXPECT_TRUE(Readable(**set));
  sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace ombus::engine

#include "engine/stream_feed.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>

#include "tests/engine/engine_test_stream.h"
#include "tests/net/syscall_count.h"

namespace ombus::engine {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kForever = ~uint64_t{0};
constexpr uint64_t kSecondNs = 1'000'000'000;

class StreamFeedTest : public ::testing::Test {
 protected:
  TestStream stream_;
  std::unique_ptr<WakeSet> wake_ = std::move(*WakeSet::Create());
};

TEST_F(StreamFeedTest, AStreamThatIsNotThereIsLookedForAgainLaterAndComplainedAboutOnce) {
  StreamFeed feed(stream_.name(), kForever, wake_.get());
  EXPECT_TRUE(feed.TryAttach(kSecondNs).ok());
  EXPECT_FALSE(feed.attached());
  EXPECT_THAT(feed.TakeComplaint(), HasSubstr(stream_.name()));
  EXPECT_GT(feed.retry_wait_ns(kSecondNs), 0u);
  EXPECT_TRUE(feed.TryAttach(2 * kSecondNs).ok());
  EXPECT_EQ(feed.TakeComplaint(), "");
}

TEST_F(StreamFeedTest, AttachesOnceTheStreamIsThereAndLetsGoOfTheProducer) {
  StreamFeed feed(stream_.name(), kForever, wake_.get());
  auto producer = MakeProducer(stream_.name());
  EXPECT_TRUE(feed.TryAttach(1).ok());
  ASSERT_TRUE(feed.attached());
  EXPECT_EQ(producer->live_consumers(), 1u);
  EXPECT_TRUE(feed.wakes()) << feed.wake_note();
  feed.Detach();
  EXPECT_EQ(producer->live_consumers(), 0u);
}

TEST_F(StreamFeedTest, TheFirstAttachmentIsNotWaitedForLongerThanAllowed) {
  StreamFeed feed(stream_.name(), kSecondNs, wake_.get());
  EXPECT_TRUE(feed.TryAttach(1).ok());
  EXPECT_EQ(feed.TryAttach(1 + kSecondNs).code(), StatusCode::kNotFound);
}

TEST_F(StreamFeedTest, GarbageUnderTheNameEndsTheFirstAttachmentButNotALaterOne) {
  StreamFeed feed(stream_.name(), kForever, wake_.get());
  MakeProducer(stream_.name());  // and closed again
  const int fd = shm_open(stream_.name().c_str(), O_CREAT | O_RDWR, 0600);
  ASSERT_EQ(ftruncate(fd, 8192), 0);
  ASSERT_EQ(pwrite(fd, "garbage!", 8, 0), 8);
  close(fd);
  EXPECT_FALSE(feed.TryAttach(1).ok());
  shm_unlink(stream_.name().c_str());
  auto producer = MakeProducer(stream_.name());
  ASSERT_TRUE(feed.TryAttach(2).ok());
  ASSERT_TRUE(feed.attached());
  producer.reset();
  feed.Detach();
  const int again = shm_open(stream_.name().c_str(), O_CREAT | O_RDWR, 0600);
  ASSERT_EQ(ftruncate(again, 8192), 0);
  ASSERT_EQ(pwrite(again, "garbage!", 8, 0), 8);
  close(again);
  EXPECT_TRUE(feed.TryAttach(3).ok());
  EXPECT_FALSE(feed.attached());
  EXPECT_NE(feed.TakeComplaint(), "");
}

TEST_F(StreamFeedTest, AClosedStreamIsKeptWhileItsNameLeadsToItAndLeftWhenItIsGone) {
  StreamFeed feed(stream_.name(), kForever, wake_.get());
  auto producer = MakeProducer(stream_.name(), {.unlink_on_close = false});
  ASSERT_TRUE(feed.TryAttach(1).ok());
  producer.reset();
  feed.OnClosed(kSecondNs);
  EXPECT_TRUE(feed.attached());
  shm_unlink(stream_.name().c_str());
  feed.OnClosed(2 * kSecondNs);
  EXPECT_FALSE(feed.attached());
}

TEST_F(StreamFeedTest, TheWakeDescriptorOutlivesTheStreamsItWatches) {
  constexpr int kStreams = 3;
  const auto phases = net::CountSyscalls([&] {
    StreamFeed feed(stream_.name(), kForever, wake_.get());
    std::unique_ptr<Producer> producer;
    for (int i = 0; i < kStreams; ++i) {
      producer.reset();  // and with it the name
      producer = MakeProducer(stream_.name());
      feed.Detach();
      if (!feed.TryAttach(kSecondNs).ok() || !feed.attached() || !feed.wakes()) return false;
      net::NextPhase();
    }
    feed.Detach();
    return true;
  });
  if (!phases.has_value()) GTEST_SKIP() << "ptrace is not allowed";
  for (int i = 0; i < kStreams; ++i) {
    EXPECT_EQ(net::CountOf((*phases)[i], SYS_inotify_init1), i == 0 ? 1 : 0);
    EXPECT_EQ(net::CountOf((*phases)[i], SYS_inotify_add_watch), 1);
    EXPECT_EQ(net::CountOf((*phases)[i], SYS_inotify_rm_watch), i == 0 ? 0 : 1);
  }
}

TEST_F(StreamFeedTest, WakesForTheStreamItHasNowAndNoOther) {
  const auto woken = [this] {
    pollfd watched{wake_->fd(), POLLIN, 0};
    return poll(&watched, 1, 0) == 1;
  };
  StreamFeed feed(stream_.name(), kForever, wake_.get());
  auto before = MakeProducer(stream_.name());
  ASSERT_TRUE(feed.TryAttach(1).ok());
  ASSERT_TRUE(feed.consumer().ArmWake());
  before->Close();
  EXPECT_TRUE(woken());
  feed.Detach();
  EXPECT_FALSE(woken());
  auto now = MakeProducer(stream_.name());
  ASSERT_TRUE(feed.TryAttach(2).ok());
  ASSERT_TRUE(feed.consumer().ArmWake());
  EXPECT_FALSE(woken());
  EXPECT_EQ(PublishOne(*now, 1), PublishResult::kOk);
  EXPECT_TRUE(woken());
  feed.consumer().DisarmWake();
  EXPECT_FALSE(woken());
}

TEST(MayHealTest, WhatPassesByItselfIsToldFromWhatDoesNot) {
  EXPECT_TRUE(MayHeal(StatusCode::kNotFound));
  EXPECT_TRUE(MayHeal(StatusCode::kUnavailable));
  EXPECT_TRUE(MayHeal(StatusCode::kResourceExhausted));
  EXPECT_FALSE(MayHeal(StatusCode::kInvalidArgument));
  EXPECT_FALSE(MayHeal(StatusCode::kVersionMismatch));
  EXPECT_FALSE(MayHeal(StatusCode::kPermissionDenied));
}

}  // namespace
}  // namespace ombus::engine

#include "net/admission.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "net/socket.h"

namespace ombus::net {
namespace {

using Answer = Admission::Answer;

Admission::Address From(const char* ip) { return Admission::Of(*ParseAddress(ip, 1234)); }

TEST(AdmissionTest, LetsAnybodyInWithoutALimit) {
  Admission admission(0, 0);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kIn);
  admission.Leave(From("10.0.0.1"));
}

TEST(AdmissionTest, CountsEachAddressAlone) {
  Admission admission(0, 2);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kIn);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kIn);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kAddressFull);
  EXPECT_EQ(admission.Enter(From("10.0.0.2")), Answer::kIn);
  admission.Leave(From("10.0.0.1"));
  EXPECT_EQ(admission.from(From("10.0.0.1")), 1u);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kIn);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kAddressFull);
}

TEST(AdmissionTest, CountsAllTogetherAndWhoDepartsMakesRoomBeforeItsSocketIsClosed) {
  Admission admission(2, 2);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kIn);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kIn);
  EXPECT_EQ(admission.Enter(From("10.0.0.2")), Answer::kFull);
  EXPECT_EQ(admission.from(From("10.0.0.2")), 0u);
  admission.Depart();
  EXPECT_EQ(admission.total(), 1u);
  EXPECT_EQ(admission.Enter(From("10.0.0.1")), Answer::kAddressFull);
  EXPECT_EQ(admission.Enter(From("10.0.0.2")), Answer::kIn);
  EXPECT_EQ(admission.total(), 2u);
}

TEST(AdmissionTest, HoldsItsLimitWhateverThreadsTheyComeIn) {
  Admission admission(100, 70);
  std::atomic<uint32_t> in{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&admission, &in, t] {
      for (int i = 0; i < 200; ++i) {
        if (admission.Enter(From(t < 2 ? "10.0.0.1" : "10.0.0.2")) == Answer::kIn) ++in;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(in, 100u);
  EXPECT_EQ(admission.total(), 100u);
  EXPECT_LE(admission.from(From("10.0.0.1")), 70u);
  EXPECT_LE(admission.from(From("10.0.0.2")), 70u);
}

TEST(AdmissionTest, TakesAnIpV6PrefixForOneAddressAndMappedIpV4ForWhatItIs) {
  EXPECT_EQ(From("2001:db8:1:2::1"), From("2001:db8:1:2:ffff::9"));
  EXPECT_NE(From("2001:db8:1:2::1"), From("2001:db8:1:3::1"));
  EXPECT_EQ(From("::ffff:10.0.0.1"), From("10.0.0.1"));
  EXPECT_NE(From("::ffff:10.0.0.1"), From("::ffff:10.0.0.2"));
  EXPECT_NE(From("::"), From("0.0.0.0"));
}

TEST(AdmissionTest, TellsOfRefusalsOnceASecondAndHowManyThereWere) {
  Admission admission(0, 0);
  uint64_t untold = 99;
  EXPECT_TRUE(admission.ShouldTell(5'000'000'000, &untold));
  EXPECT_EQ(untold, 0u);
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(admission.ShouldTell(5'000'000'000 + i, &untold));
  EXPECT_TRUE(admission.ShouldTell(6'000'000'000, &untold));
  EXPECT_EQ(untold, 7u);
  EXPECT_TRUE(admission.ShouldTell(7'000'000'000, &untold));
  EXPECT_EQ(untold, 0u);
}

}  // namespace
}  // namespace ombus::net

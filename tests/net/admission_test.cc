#include "net/admission.h"

#include <gtest/gtest.h>

#include "net/socket.h"

namespace ombus::net {
namespace {

Admission::Address From(const char* ip) { return Admission::Of(*ParseAddress(ip, 1234)); }

TEST(AdmissionTest, LetsAnybodyInWithoutALimit) {
  Admission admission(0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(admission.Enter(From("10.0.0.1")));
  admission.Leave(From("10.0.0.1"));
}

TEST(AdmissionTest, CountsEachAddressAlone) {
  Admission admission(2);
  EXPECT_TRUE(admission.Enter(From("10.0.0.1")));
  EXPECT_TRUE(admission.Enter(From("10.0.0.1")));
  EXPECT_FALSE(admission.Enter(From("10.0.0.1")));
  EXPECT_TRUE(admission.Enter(From("10.0.0.2")));
  admission.Leave(From("10.0.0.1"));
  EXPECT_EQ(admission.from(From("10.0.0.1")), 1u);
  EXPECT_TRUE(admission.Enter(From("10.0.0.1")));
  EXPECT_FALSE(admission.Enter(From("10.0.0.1")));
}

TEST(AdmissionTest, TakesAnIpV6PrefixForOneAddressAndMappedIpV4ForWhatItIs) {
  EXPECT_EQ(From("2001:db8:1:2::1"), From("2001:db8:1:2:ffff::9"));
  EXPECT_NE(From("2001:db8:1:2::1"), From("2001:db8:1:3::1"));
  EXPECT_EQ(From("::ffff:10.0.0.1"), From("10.0.0.1"));
  EXPECT_NE(From("::ffff:10.0.0.1"), From("::ffff:10.0.0.2"));
  EXPECT_NE(From("::"), From("0.0.0.0"));
}

TEST(AdmissionTest, TellsOfRefusalsOnceASecondAndHowManyThereWere) {
  Admission admission(0);
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

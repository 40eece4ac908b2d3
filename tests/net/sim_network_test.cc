#include "net/sim_network.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace ombus::net {
namespace {

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(SimNetwork, APipeTakesWhatFitsAndThenSaysAgain) {
  SimNetwork network(8);
  const auto [one, two] = network.NewPair();
  EXPECT_EQ(network.Write(one, Bytes("123456")), 6);
  EXPECT_TRUE(network.Writable(one));
  EXPECT_EQ(network.Write(one, Bytes("789")), 2);
  EXPECT_FALSE(network.Writable(one));
  EXPECT_EQ(network.Write(one, Bytes("9")), -EAGAIN);
  std::array<std::byte, 16> into;
  EXPECT_EQ(network.Read(two, into), 8);
  EXPECT_EQ(network.Read(two, into), -EAGAIN);
}

TEST(SimNetwork, AClosedPeerIsReadToTheEndAndCannotBeWrittenTo) {
  SimNetwork network;
  const auto [one, two] = network.NewPair();
  EXPECT_EQ(network.Write(one, Bytes("last")), 4);
  network.Close(one);
  std::array<std::byte, 16> into;
  EXPECT_FALSE(network.SeesEnd(two));
  EXPECT_EQ(network.Read(two, into), 4);
  EXPECT_EQ(network.Read(two, into), 0);
  EXPECT_TRUE(network.SeesEnd(two));
  EXPECT_EQ(network.Write(two, Bytes("x")), -EPIPE);
}

TEST(SimNetwork, ClosingWithUnreadBytesResetsThePeerAsTcpDoes) {
  SimNetwork network;
  const auto [one, two] = network.NewPair();
  EXPECT_EQ(network.Write(one, Bytes("unread")), 6);
  network.Close(two);
  std::array<std::byte, 16> into;
  EXPECT_EQ(network.Read(one, into), -ECONNRESET);
}

TEST(SimNetwork, AClosedListenerRefusesAndResetsThoseWhoWaited) {
  SimNetwork network;
  const int listener = network.NewListener();
  const sockaddr_storage address = network.AddressOf(listener);
  const int waiting = network.NewSocket();
  EXPECT_EQ(network.Connect(waiting, address), 0);
  network.Close(listener);
  std::array<std::byte, 16> into;
  EXPECT_EQ(network.Read(waiting, into), -ECONNRESET);
  EXPECT_EQ(network.Connect(network.NewSocket(), address), -ECONNREFUSED);
}

}  // namespace
}  // namespace ombus::net

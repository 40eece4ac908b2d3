#include "net/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "ring/base/errno_name.h"
#include "tests/net/in_child.h"

namespace ombus::net {
namespace {

bool Has(const Status& status, const char* part) {
  return status.message().find(part) != std::string::npos;
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

bool HasIpv6() { return Listen("::1", 0, 1).ok(); }

TEST(RemedyForConnect, NamesWhatTheErrorIsAbout) {
  EXPECT_NE(RemedyForConnect(ECONNREFUSED).find("listens there"), std::string::npos);
  EXPECT_NE(RemedyForConnect(ENETUNREACH).find("route"), std::string::npos);
  EXPECT_NE(RemedyForConnect(EHOSTUNREACH).find("host is up"), std::string::npos);
  EXPECT_NE(RemedyForConnect(ETIMEDOUT).find("firewall"), std::string::npos);
  for (const int error : {ENETUNREACH, EHOSTUNREACH, ETIMEDOUT}) {
    EXPECT_EQ(RemedyForConnect(error).find("listens"), std::string::npos) << error;
  }
}

TEST(UniqueFd, ClosesOnceAndMovesAlong) {
  const int fd = dup(0);
  {
    UniqueFd one(fd);
    UniqueFd two(std::move(one));
    EXPECT_FALSE(one.ok());  // NOLINT: that is what is tested
    EXPECT_EQ(two.get(), fd);
    one = std::move(two);
    EXPECT_EQ(one.get(), fd);
    EXPECT_TRUE(IsOpen(fd));
  }
  EXPECT_FALSE(IsOpen(fd));
  const int kept = UniqueFd(dup(0)).Release();
  EXPECT_TRUE(IsOpen(kept));
  close(kept);
}

TEST(ParseAddress, TakesBothFamiliesAndGivesThemBackAsText) {
  EXPECT_EQ(FormatAddress(*ParseAddress("127.0.0.1", 7001)), "127.0.0.1:7001");
  EXPECT_EQ(FormatAddress(*ParseAddress("::1", 7001)), "[::1]:7001");
  EXPECT_EQ(FormatAddress(*ParseAddress("::", 0)), "[::]:0");
  EXPECT_EQ(AddressBytes(*ParseAddress("1.2.3.4", 1)), sizeof(sockaddr_in));
  EXPECT_EQ(AddressBytes(*ParseAddress("::1", 1)), sizeof(sockaddr_in6));
}

TEST(ParseAddress, RefusesWhatIsNoAddressWithAnExample) {
  for (const char* text : {"", "localhost", "1.2.3", "256.1.1.1", "::1::", "127.0.0.1:7001"}) {
    const Result<sockaddr_storage> address = ParseAddress(text, 1);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), StatusCode::kInvalidArgument);
    EXPECT_TRUE(Has(address.status(), "127.0.0.1"));
  }
}

TEST(ResolveHost, FindsNamesAndTakesText) {
  const auto local = ResolveHost("localhost", 7001);
  ASSERT_TRUE(local.ok()) << local.status().message();
  EXPECT_TRUE(FormatAddress(local->front()) == "127.0.0.1:7001" ||
              FormatAddress(local->front()) == "[::1]:7001");
  EXPECT_EQ(FormatAddress(ResolveHost("10.1.2.3", 80)->front()), "10.1.2.3:80");
  EXPECT_EQ(FormatAddress(ResolveHost("::1", 80)->front()), "[::1]:80");
}

TEST(ResolveHost, NamesTheHostThatIsNotThere) {
  for (const char* host : {"", "no host has spaces"}) {
    const auto none = ResolveHost(host, 1);
    ASSERT_FALSE(none.ok());
    EXPECT_TRUE(Has(none.status(), (std::string("\"") + host + "\"").c_str()));
  }
}

TEST(Listen, OnPortZeroTakesAFreeOneNonBlockingAndCloseOnExec) {
  const Result<UniqueFd> listener = Listen("127.0.0.1", 0, 8);
  ASSERT_TRUE(listener.ok()) << listener.status().message();
  EXPECT_GT(LocalPort(listener->get()), 0);
  EXPECT_NE(fcntl(listener->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(listener->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Listen, SaysWhoIsInTheWayAndHowToFindOut) {
  const Result<UniqueFd> listener = Listen("127.0.0.1", 0, 8);
  const Result<UniqueFd> second = Listen("127.0.0.1", LocalPort(listener->get()), 8);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE(Has(second.status(), "EADDRINUSE"));
  EXPECT_TRUE(Has(second.status(), std::to_string(LocalPort(listener->get())).c_str()));
}

TEST(Listen, AnAddressOfAnotherHostIsNamed) {
  const Result<UniqueFd> listener = Listen("192.0.2.1", 0, 8);
  ASSERT_FALSE(listener.ok());
  EXPECT_TRUE(Has(listener.status(), "EADDRNOTAVAIL"));
  EXPECT_TRUE(Has(listener.status(), "192.0.2.1"));
}

TEST(Listen, OverIpv6IsReachedAndPeersHaveNames) {
  if (!HasIpv6()) GTEST_SKIP() << "this host has no IPv6";
  const Result<UniqueFd> listener = Listen("::1", 0, 8);
  const sockaddr_storage address = *ParseAddress("::1", LocalPort(listener->get()));
  const UniqueFd client(socket(AF_INET6, SOCK_STREAM, 0));
  ASSERT_EQ(
      connect(client.get(), reinterpret_cast<const sockaddr*>(&address), AddressBytes(address)), 0);
  EXPECT_EQ(PeerName(client.get()), FormatAddress(address));
}

TEST(PeerName, OfASocketWithoutAPeerIsUnknown) {
  const Result<UniqueFd> fresh = NewTcpSocket(*ParseAddress("127.0.0.1", 1));
  EXPECT_EQ(PeerName(fresh->get()), "unknown peer");
  EXPECT_EQ(PeerName(-1), "unknown peer");
}

TEST(NewTcpSocket, IsNeverOneOfTheStandardDescriptors) {
  EXPECT_EQ(InChild([] {
              for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(fd);
              const Result<UniqueFd> fresh = NewTcpSocket(*ParseAddress("127.0.0.1", 1));
              const Result<UniqueFd> listener = Listen("127.0.0.1", 0, 1);
              const bool above = fresh->get() > STDERR_FILENO && listener->get() > STDERR_FILENO;
              return above && !IsOpen(STDIN_FILENO) && !IsOpen(STDOUT_FILENO);
            }),
            0);
}

TEST(SetNoDelay, SwitchesItOn) {
  const Result<UniqueFd> fresh = NewTcpSocket(*ParseAddress("127.0.0.1", 1));
  SetNoDelay(fresh->get());
  int on = 0;
  socklen_t bytes = sizeof on;
  getsockopt(fresh->get(), IPPROTO_TCP, TCP_NODELAY, &on, &bytes);
  EXPECT_NE(on, 0);
}

TEST(MakeNonBlocking, OfAClosedDescriptorNamesIt) {
  const Status status = MakeNonBlocking(-1);
  EXPECT_TRUE(Has(status, "EBADF"));
  EXPECT_TRUE(Has(status, "-1"));
}

TEST(SystemStatus, HasTheCallTheObjectTheErrorAndTheRemedy) {
  EXPECT_EQ(SystemStatus("bind", "[::1]:80", EACCES, "choose another").message(),
            "bind \"[::1]:80\": EACCES; choose another");
  EXPECT_EQ(ErrnoName(4711), "errno 4711");
}

}  // namespace
}  // namespace ombus::net

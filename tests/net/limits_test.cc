// What a server allows strangers: how many, for how long without a word, how fast they may speak.
#include <gmock/gmock.h>

#include "net/basic_server.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"
#include "tests/net/server_fixture.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LimitsTest : public ServerFixture {
 protected:
  static std::vector<std::byte> Heartbeats(size_t count) {
    std::vector<std::byte> bytes;
    for (size_t i = 0; i < count; ++i) AppendHeartbeat(&bytes, i);
    return bytes;
  }
  static void ExpectRefused(const RawPeer& peer, const std::string& cure) {
    const std::vector<Frame> frames = peer.Frames();
    Bye bye;
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_TRUE(frames[0].control() && ParseBye(frames[0], &bye));
    EXPECT_EQ(bye.why, static_cast<uint32_t>(ByeReason::kFull));
    EXPECT_THAT(std::string(bye.text), HasSubstr(cure));
  }
};

TEST_P(LimitsTest, ClosesWhoDoesNotSayTheHelloThatIsRequiredAndSendsItNothing) {
  Start({.require_hello = true, .hello_timeout_ms = 100});
  RawPeer silent(server_->port());
  TurnUntil([&] { return server_->stats().clients_accepted == 1; });
  EXPECT_EQ(server_->client_count(), 0u);
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  ReadUntil(&silent, [&] { return silent.ended(); });
  EXPECT_TRUE(silent.bytes().empty());
  EXPECT_EQ(server_->stats().clients_timed_out, 1u);
  EXPECT_THAT(Events(), HasSubstr("no HELLO within 100 ms"));
}

TEST_P(LimitsTest, ServesWhoSaysTheHelloThatIsRequired) {
  Start({.require_hello = true, .hello_timeout_ms = 60'000});
  RawPeer peer(server_->port());
  TurnUntil([&] { return server_->stats().clients_accepted == 1; });
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  peer.Send(HelloBytes());
  WaitForClients(1);
  ASSERT_EQ(Send(2), BroadcastResult::kOk);
  ReadUntil(&peer, [&] { return peer.Frames().size() == 2; });
  EXPECT_TRUE(peer.Frames()[0].control());
  EXPECT_EQ(peer.Frames()[1].wal_seq, 2u);
}

TEST_P(LimitsTest, CountsWhoHasYetToSayHelloAsConnected) {
  Start({.max_clients = 1, .require_hello = true, .hello_timeout_ms = 60'000});
  RawPeer first(server_->port());
  TurnUntil([&] { return server_->stats().clients_accepted == 1; });
  RawPeer second(server_->port());
  ReadUntil(&second, [&] { return second.ended(); });
  EXPECT_EQ(server_->stats().clients_refused, 1u);
}

TEST_P(LimitsTest, TellsWhoIsTooManyWhyIfItHasSaidHello) {
  Start({.max_clients = 2, .max_clients_per_address = 1});
  const std::vector<std::byte> words = HelloBytes();
  RawPeer first(server_->port());
  WaitForClients(1);
  RawPeer from_there(server_->port());
  from_there.Send(words);
  ReadUntil(&from_there, [&] { return from_there.ended(); });
  ExpectRefused(from_there, "max_clients_per_address");
  RawPeer second(server_->port(), 0, 0x7F000002);
  WaitForClients(2);
  RawPeer third(server_->port(), 0, 0x7F000003);
  third.Send(words);
  ReadUntil(&third, [&] { return third.ended(); });
  ExpectRefused(third, "raise max_clients to serve more");
}

TEST_P(LimitsTest, SaysNotAWordToWhoIsTooManyAndHasSaidNoHello) {
  Start({.max_clients = 1});
  RawPeer first(server_->port());
  WaitForClients(1);
  RawPeer silent(server_->port());
  RawPeer stranger(server_->port());
  stranger.Send("GET / HTTP/1.1\r\nHost: of some web server\r\n\r\n");
  ReadUntil(&silent, [&] { return silent.ended(); });
  ReadUntil(&stranger, [&] { return stranger.ended(); });
  EXPECT_TRUE(silent.bytes().empty());
  EXPECT_TRUE(stranger.bytes().empty());
  EXPECT_EQ(server_->stats().clients_refused, 2u);
}

TEST_P(LimitsTest, LetsGreetingClientsGoAtShutdown) {
  Start({.require_hello = true, .hello_timeout_ms = 60'000});
  RawPeer peer(server_->port());
  TurnUntil([&] { return server_->stats().clients_accepted == 1; });
  server_->Shutdown(60'000'000'000);
  while (!peer.ended()) peer.Drain();
}

TEST_P(LimitsTest, TakesOnlySoManyFromOneAddressAndAnotherWhenOneHasLeft) {
  Start({.max_clients_per_address = 2});
  auto first = std::make_unique<RawPeer>(server_->port());
  RawPeer second(server_->port());
  WaitForClients(2);
  RawPeer third(server_->port());
  ReadUntil(&third, [&] { return third.ended(); });
  EXPECT_EQ(server_->stats().clients_refused, 1u);
  EXPECT_THAT(Events(), HasSubstr("max_clients_per_address"));
  RawPeer elsewhere(server_->port(), 0, 0x7F000002);
  WaitForClients(3);
  first = nullptr;
  WaitForClients(2);
  TurnUntil([&] { return server_->stats().clients_disconnected == 1; });
  RawPeer fourth(server_->port());
  WaitForClients(3);
}

TEST_P(LimitsTest, TellsWhoComesDuringShutdownApartFromWhoIsTooMany) {
  Start();
  RawPeer first(server_->port());
  WaitForClients(1);
  RawPeer late(server_->port());  // in the backlog
  server_->Shutdown(10'000'000'000);
  EXPECT_EQ(server_->stats().clients_refused, 1u);
  const std::string events = Events();
  EXPECT_THAT(events, HasSubstr("refused, this server shuts down"));
  EXPECT_THAT(events, Not(HasSubstr("max_clients")));
}

// It has come to resume, and would take the end of the stream for that of what it lacks.
TEST_P(LimitsTest, DoesNotSayToWhoComesDuringTheEndThatItHasAll) {
  Start();
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  RawPeer first(server_->port());
  WaitForClients(1);
  RawPeer late(server_->port());  // in the backlog
  late.Send(HelloBytes(1));
  server_->Shutdown(10'000'000'000, ShutdownReason::kEndOfStream);
  while (!late.ended()) late.Drain();
  const auto frames = late.Frames();
  ASSERT_EQ(frames.size(), 1u);
  Bye bye;
  ASSERT_TRUE(ParseBye(frames[0], &bye));
  EXPECT_EQ(bye.why, static_cast<uint32_t>(ByeReason::kShutdown));
}

TEST_P(LimitsTest, TakesNoNoteOfWhoResetTheConnectionBeforeItWasAccepted) {
  Start({.max_clients_per_address = 1});
  {
    RawPeer gone(server_->port());
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(setsockopt(gone.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  }
  RawPeer stays(server_->port());
  WaitForClients(1);
  EXPECT_EQ(server_->stats().clients_accepted, 1u);
  EXPECT_EQ(server_->stats().clients_refused, 0u);
  EXPECT_THAT(Events(), Not(HasSubstr("0.0.0.0")));
}

TEST_P(LimitsTest, SaysHowManyEventsNobodyTook) {
  Start();
  for (uint64_t i = 1; i <= 150; ++i) {  // each joins and leaves
    RawPeer peer(server_->port());
    TurnUntil([&] { return server_->stats().clients_accepted == i; });
  }
  TurnUntil([&] { return server_->stats().clients_disconnected == 150; });
  const auto events = server_->TakeEvents();
  ASSERT_EQ(events.size(), 257u);
  EXPECT_EQ(events.front().kind, ServerEvent::Kind::kNote);
  EXPECT_THAT(events.front().text, HasSubstr("older events are not told"));
  EXPECT_THAT(server_->TakeEvents(), ::testing::IsEmpty());
}

TEST_P(LimitsTest, ClosesAPeerThatSpeaksFasterThanItMay) {
  Start({.control_frames_per_second = 20});
  RawPeer good(server_->port()), bad(server_->port());
  WaitForClients(2);
  good.Send(Heartbeats(20));
  TurnUntil([&] { return server_->heartbeats_received() == 20; });
  bad.Send(Heartbeats(2000));
  ReadUntil(&bad, [&] { return bad.ended(); });
  EXPECT_EQ(server_->client_count(), 1u);
  EXPECT_EQ(server_->stats().protocol_errors, 1u);
  EXPECT_LE(server_->heartbeats_received(), 40u);
  EXPECT_THAT(Events(), HasSubstr("faster than it may"));
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  ReadUntil(&good, [&] { return good.Frames().size() == 1; });
}

TEST_P(LimitsTest, AnswersAFloodOfHellosWithoutGrowing) {
  Start({.control_frames_per_second = 0, .send_buffer_bytes = 4096});
  RawPeer peer(server_->port(), 4096);
  WaitForClients(1);
  // It reads nothing, so that its answers stay here; they are one, not one each.
  std::vector<std::byte> hellos;
  for (int i = 0; i < 500; ++i) {
    const auto hello = HelloBytes();
    hellos.insert(hellos.end(), hello.begin(), hello.end());
  }
  for (int i = 0; i < 200; ++i) {
    (void)send(peer.fd(), hellos.data(), hellos.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int n = 0; n < 5; ++n) ASSERT_TRUE(server_->PollIo(0).ok());
  }
  RawPeer other(server_->port());
  TurnUntil([&] { return server_->stats().clients_accepted == 2; });
  ASSERT_EQ(Send(1), BroadcastResult::kOk);
  ReadUntil(&other, [&] { return other.Frames().size() == 1; });
}

TEST_P(LimitsTest, RefusesADataFrameThoughItLooksLikeAHeartbeat) {
  Start();
  RawPeer peer(server_->port());
  WaitForClients(1);
  std::vector<std::byte> frame(kFrameHeaderBytes);
  EncodeFrame(frame.data(), {.wal_seq = 1,
                             .payload = "",
                             .size = 0,
                             .type = static_cast<uint8_t>(ControlType::kHeartbeat)});
  peer.Send(frame);
  ReadUntil(&peer, [&] { return peer.ended(); });
  EXPECT_EQ(server_->heartbeats_received(), 0u);
  EXPECT_THAT(Events(), HasSubstr("a data frame, which only a server sends"));
}

TEST(AcceptFailures, AreTriedAgainAfterAPauseAndToldOnceASecond) {
  SimNetwork network(4096);
  const int listener = network.NewListener();
  SimOptions faults;
  faults.faults.accept_error = 1000;
  auto server = BasicServer<SimBackend>::Create(std::make_unique<SimBackend>(&network, faults),
                                                UniqueFd(listener), {});
  ASSERT_TRUE(server.ok()) << server.status().message();
  ASSERT_EQ(network.Connect(network.NewSocket(), network.AddressOf(listener)), 0);
  const uint64_t end_ns = (*server)->NowNs() + 3'500'000'000;
  while ((*server)->NowNs() < end_ns) ASSERT_TRUE((*server)->Turn(1'000'000).ok());
  EXPECT_NEAR(static_cast<double>((*server)->stats().accept_failures), 35, 2);
  const auto events = (*server)->TakeEvents();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[1].kind, ServerEvent::Kind::kAcceptFailed);
  EXPECT_THAT(events[1].text, HasSubstr("more since the last of these"));
}

TEST_P(LimitsTest, RefusesOptionsThatWouldShutEverybodyOut) {
  const auto refused =
      Server::Create({.require_hello = true, .hello_timeout_ms = 0, .backend = GetParam()});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(), HasSubstr("hello_timeout_ms"));
}

TEST_P(LimitsTest, SaysSomethingToWhoAskedForHeartbeatsAndToNobodyElse) {
  Start({.heartbeat_ms = 10});
  RawPeer asked(server_->port()), silent(server_->port());
  std::vector<std::byte> hello;
  AppendHello(&hello, {.heartbeat_ms = 1});
  asked.Send(hello);
  WaitForClients(2);
  ReadUntil(&asked, [&] { return asked.Frames().size() >= 4; });
  Welcome welcome;
  ASSERT_TRUE(ParseWelcome(asked.Frames()[0], &welcome));
  EXPECT_EQ(welcome.heartbeat_ms, 10u);
  for (const Frame& frame : asked.Frames()) EXPECT_TRUE(frame.control());
  silent.Drain();
  EXPECT_TRUE(silent.bytes().empty());
}

TEST_P(LimitsTest, ClosesWhoPromisedHeartbeatsAndIsSilent) {
  Start({.heartbeat_ms = 10, .client_timeout_ms = 100});
  RawPeer old(server_->port()), promised(server_->port());
  std::vector<std::byte> hello;
  AppendHello(&hello, {.heartbeat_ms = 10});
  promised.Send(hello);
  ReadUntil(&promised, [&] { return promised.ended(); });
  EXPECT_EQ(server_->stats().clients_timed_out, 1u);
  EXPECT_THAT(Events(), HasSubstr("was silent for"));
  EXPECT_EQ(server_->client_count(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Backends, LimitsTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         BackendTestName);

}  // namespace
}  // namespace ombus::net

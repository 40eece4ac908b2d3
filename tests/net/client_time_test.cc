// The client's time: heartbeats, silence, the next attempt. Over the simulator, whose clock is as
// fast as the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/net/sim_client.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMs = 1'000'000;

class ClientTimeTest : public SimClientFixture<SimBackend> {
 protected:
  void Make(ClientOptions options, std::function<Addresses()> look_up = {}) {
    options.receive_buffer_bytes = 1;
    SimClientFixture::Make(options, std::move(look_up));
  }
  void Welcome(uint32_t heartbeat_ms) {
    std::vector<std::byte> bytes;
    AppendWelcome(&bytes, {.heartbeat_ms = heartbeat_ms});
    Write(bytes);
  }
  void Heartbeat() {
    std::vector<std::byte> bytes;
    AppendHeartbeat(&bytes, 0);
    Write(bytes);
  }
  void Data(uint64_t wal_seq) {
    std::vector<std::byte> bytes;
    AppendRecord(&bytes, wal_seq);
    Write(bytes);
  }
  void Bye(ByeReason why, std::string_view text) {
    std::vector<std::byte> bytes;
    AppendBye(&bytes, why, text);
    Write(bytes);
  }
  // How many frames of this type the client has sent.
  size_t Received(ControlType type) {
    std::vector<std::byte> bytes(65536);
    const int got = network_.Read(server_, bytes);
    std::span<const std::byte> left(bytes.data(), got > 0 ? static_cast<size_t>(got) : 0);
    size_t count = 0;
    for (Frame frame; ParseFrame(left, &frame) == ParseResult::kFrame;
         left = left.subspan(frame.bytes())) {
      count += frame.control() && frame.type == static_cast<uint8_t>(type);
    }
    return count;
  }
  ClientResult Poll(uint64_t ms) {
    Record record;
    return client_->Poll(&record, ms * kMs);
  }
};

TEST_F(ClientTimeTest, BeatsOnceTheServerHasAgreedAndNotBefore) {
  Make({.heartbeat_ms = 100});
  EXPECT_EQ(Poll(5000), ClientResult::kEmpty);
  EXPECT_EQ(Received(ControlType::kHeartbeat), 0u);
  Welcome(200);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Poll(200), ClientResult::kEmpty);
    Heartbeat();
  }
  const size_t beats = Received(ControlType::kHeartbeat);
  EXPECT_GE(beats, 9u);
  EXPECT_LE(beats, 11u);
}

TEST_F(ClientTimeTest, AsksForHeartbeatsInHello) {
  Make({.heartbeat_ms = 123});
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  std::vector<std::byte> bytes(1000);
  const int got = network_.Read(server_, bytes);
  Frame frame;
  ASSERT_EQ(ParseFrame(std::span(bytes).first(static_cast<size_t>(got)), &frame),
            ParseResult::kFrame);
  Hello hello;
  ASSERT_TRUE(ParseHello(frame, &hello));
  EXPECT_EQ(hello.heartbeat_ms, 123u);
}

TEST_F(ClientTimeTest, TakesAServerThatPromisedHeartbeatsAndIsSilentForLost) {
  Make({});
  Welcome(100);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  const uint64_t start_ns = backend_->NowNs();
  EXPECT_EQ(Poll(60'000), ClientResult::kDisconnected);
  EXPECT_GE(backend_->NowNs() - start_ns, 290 * kMs);
  EXPECT_LE(backend_->NowNs() - start_ns, 400 * kMs);
  EXPECT_THAT(client_->status().message(), HasSubstr("silent for 300 ms"));
}

TEST_F(ClientTimeTest, NoticesSilenceAlsoWhenItNeverWaits) {
  Make({});
  Welcome(100);
  ClientResult result = ClientResult::kEmpty;
  NullSink nobody;
  while (result == ClientResult::kEmpty) {
    ASSERT_TRUE(backend_->Turn(nobody, kMs).ok());  // time passes
    result = Poll(0);
  }
  EXPECT_EQ(result, ClientResult::kDisconnected);
}

TEST_F(ClientTimeTest, DoesNotBlameTheServerForStandingStillItself) {
  Make({});
  Welcome(100);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  for (int i = 0; i < 5; ++i) {
    backend_->StandStill(60'000 * kMs);
    EXPECT_EQ(Poll(10), ClientResult::kEmpty);
    Data(static_cast<uint64_t>(i) + 1);
    backend_->StandStill(60'000 * kMs);  // a second time, for which there is no grace
    Record record;
    ASSERT_EQ(client_->Poll(&record, 10 * kMs), ClientResult::kRecord);
    ASSERT_EQ(record.wal_seq, static_cast<uint64_t>(i) + 1);
    EXPECT_EQ(Poll(50), ClientResult::kEmpty);
  }
  EXPECT_TRUE(client_->connected());
}

// What was sent meanwhile may still be under way when both ends stood still.
TEST_F(ClientTimeTest, GivesTheServerAMomentAfterStandingStill) {
  Make({});
  Welcome(300);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  backend_->StandStill(60'000 * kMs);
  EXPECT_EQ(Poll(200), ClientResult::kEmpty);
  Heartbeat();
  EXPECT_EQ(Poll(800), ClientResult::kEmpty);
  EXPECT_TRUE(client_->connected());
  backend_->StandStill(60'000 * kMs);
  const uint64_t start_ns = backend_->NowNs();
  EXPECT_EQ(Poll(120'000), ClientResult::kDisconnected);
  EXPECT_LE(backend_->NowNs() - start_ns, 60'400 * kMs);
}

// What was sent before HELLO arrived is not taken for an old server's stream.
TEST_F(ClientTimeTest, WaitsForTheAnswerToItsResumeHoweverLongItStoodStillItself) {
  Make({.resume_from = 10});
  backend_->StandStill(60'000 * kMs);
  Data(20);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  EXPECT_EQ(Received(ControlType::kHello), 1u);
  Data(21);
  backend_->StandStill(60'000 * kMs);
  EXPECT_EQ(Poll(100), ClientResult::kEmpty);  // the answer may be under way
  Data(22);
  Welcome(1000);
  Data(10);
  backend_->StandStill(60'000 * kMs);
  Record record;
  ClientResult result = client_->Poll(&record, 100 * kMs);
  if (result == ClientResult::kEmpty) result = client_->Poll(&record, 100 * kMs);
  ASSERT_EQ(result, ClientResult::kRecord);
  EXPECT_EQ(record.wal_seq, 10u);
}

TEST_F(ClientTimeTest, TakesWhatAnOldServerSendsAfterASecondWithoutAnAnswer) {
  Make({.resume_from = 10});
  const uint64_t start_ns = backend_->NowNs();
  ClientResult result = ClientResult::kEmpty;
  uint64_t wal_seq = 20;
  for (; result == ClientResult::kEmpty && wal_seq < 120; ++wal_seq) {
    Data(wal_seq);
    result = Poll(50);
  }
  EXPECT_EQ(result, ClientResult::kGap);
  EXPECT_EQ(client_->expected_wal_seq(), 10u);
  EXPECT_GE(backend_->NowNs() - start_ns, 1000 * kMs);
  EXPECT_LE(backend_->NowNs() - start_ns, 1200 * kMs);
}

TEST_F(ClientTimeTest, NamesTheServerThatWasSilentAndTheHalfFrame) {
  Make({});
  Welcome(100);
  const std::byte half[] = {std::byte{0x46}, std::byte{0x54}};
  ASSERT_EQ(network_.Write(server_, half), 2);
  EXPECT_EQ(Poll(60'000), ClientResult::kDisconnected);
  EXPECT_THAT(client_->status().message(), HasSubstr("\"feed:7\": ETIMEDOUT"));
  EXPECT_THAT(client_->status().message(), HasSubstr("silent for 300 ms, within a frame; "));
}

TEST_F(ClientTimeTest, StaysWithAnOldServerHoweverSilentItIs) {
  Make({});
  EXPECT_EQ(Poll(24 * 3'600'000), ClientResult::kEmpty);
  EXPECT_EQ(Received(ControlType::kHeartbeat), 0u);
}

TEST_F(ClientTimeTest, GivesAnOldServerUpWhereTheUserSaysHowLong) {
  Make({.idle_timeout_ms = 700});
  EXPECT_EQ(Poll(600), ClientResult::kEmpty);
  Heartbeat();
  EXPECT_EQ(Poll(600), ClientResult::kEmpty);
  EXPECT_EQ(Poll(600), ClientResult::kDisconnected);
}

TEST_F(ClientTimeTest, LooksTheHostUpAgainForEveryReconnect) {
  const int second = network_.NewListener();
  int look_ups = 0;
  Make({.reconnect = true}, [&]() -> Addresses {
    if (++look_ups == 1) return Status(StatusCode::kUnavailable, "name server is down");
    return std::vector{network_.AddressOf(second)};
  });
  EXPECT_EQ(look_ups, 0);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  network_.Reset(server_);
  EXPECT_EQ(Poll(60'000), ClientResult::kConnected);
  // That name server was down: the address it knew.
  EXPECT_EQ(look_ups, 1);
  network_.Reset(network_.Accept(listener_));
  EXPECT_EQ(Poll(60'000), ClientResult::kConnected);
  EXPECT_EQ(look_ups, 2);
  EXPECT_GE(network_.Accept(second), 0);
}

// A port that accepts and says no more than the beginning of a frame.
TEST_F(ClientTimeTest, GivesUpAFrameThatStopsAlsoWhereNoHeartbeatsAreKnown) {
  Make({});
  std::vector<std::byte> header(kFrameHeaderBytes);
  StoreWord(header.data(), FrameWord(1, 0, 65535));
  ASSERT_EQ(network_.Write(server_, header), static_cast<int>(header.size()));
  EXPECT_EQ(Poll(24'000), ClientResult::kEmpty);
  EXPECT_EQ(Poll(2000), ClientResult::kDisconnected);
  EXPECT_THAT(client_->status().message(),
              HasSubstr("silent for 25000 ms, within a frame; is that an ombus relay?"));
  EXPECT_FALSE(client_->heard());
}

TEST_F(ClientTimeTest, WaitsForTheRestOfAnOldServersFrameForAsLongAsTheConnectionLives) {
  Make({.hello = false});
  std::vector<std::byte> frame(FrameBytes(8));
  EncodeFrame(frame.data(), {.wal_seq = 7, .payload = "12345678", .size = 8, .type = 1});
  ASSERT_EQ(network_.Write(server_, std::span(frame).first(20)), 20);
  EXPECT_EQ(Poll(120'000), ClientResult::kEmpty);
  ASSERT_EQ(network_.Write(server_, std::span(frame).subspan(20)), 4);
  EXPECT_EQ(Poll(1000), ClientResult::kRecord);
}

TEST_F(ClientTimeTest, HasHeardAServerOnceAnyFrameCame) {
  Make({.reconnect = true});
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  EXPECT_FALSE(client_->heard());
  Welcome(0);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  EXPECT_TRUE(client_->heard());
  network_.Reset(server_);
  EXPECT_EQ(Poll(60'000), ClientResult::kConnected);
  EXPECT_TRUE(client_->heard()) << "on an earlier connection";
}

// WELCOME, a record, then the end, each time: the waits grow, and the retries are counted.
TEST_F(ClientTimeTest, BacksOffFromAServerThatEndsEveryConnectionAtOnce) {
  Make({.reconnect = true, .max_retries = 6});
  std::vector<uint64_t> waits_ms;
  ClientResult result = ClientResult::kConnected;
  for (uint64_t wal_seq = 1; result == ClientResult::kConnected; ++wal_seq) {
    Welcome(100);
    Data(wal_seq);
    Record record;
    ASSERT_EQ(client_->Poll(&record, 50 * kMs), ClientResult::kRecord);
    network_.Close(server_);
    const uint64_t start_ns = backend_->NowNs();
    result = Poll(60'000);
    waits_ms.push_back((backend_->NowNs() - start_ns) / kMs);
    if (result == ClientResult::kConnected) server_ = network_.Accept(listener_);
  }
  EXPECT_EQ(result, ClientResult::kDisconnected);
  ASSERT_EQ(waits_ms.size(), 7u) << "the first may be chance";
  EXPECT_LE(waits_ms[0], 110u);
  EXPECT_GE(waits_ms[4], 390u);
}

TEST_F(ClientTimeTest, AConnectionThatLastedIsNoFailedAttempt) {
  Make({.reconnect = true, .max_retries = 1});
  for (int i = 0; i < 5; ++i) {
    Welcome(100);
    for (int beat = 0; beat < 3; ++beat) {
      EXPECT_EQ(Poll(90), ClientResult::kEmpty);
      Heartbeat();
    }
    EXPECT_EQ(Poll(1), ClientResult::kEmpty);
    network_.Close(server_);
    ASSERT_EQ(Poll(150), ClientResult::kConnected);
    server_ = network_.Accept(listener_);
  }
}

TEST_F(ClientTimeTest, AnOldServersConnectionThatLastedIsNoneEitherThoughItHadNothingToSay) {
  Make({.hello = false, .reconnect = true, .max_retries = 1});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Poll(2500), ClientResult::kEmpty);
    network_.Close(server_);
    ASSERT_EQ(Poll(500), ClientResult::kConnected);
    server_ = network_.Accept(listener_);
  }
}

TEST_F(ClientTimeTest, GoodByesAloneAreNoSuccess) {
  Make({.reconnect = true, .max_retries = 3});
  ClientResult result = ClientResult::kConnected;
  int connections = 0;
  for (; result == ClientResult::kConnected; ++connections) {
    EXPECT_EQ(Poll(20'000), ClientResult::kEmpty);
    Bye(ByeReason::kTooSlow, "too slow");
    network_.Close(server_);
    result = Poll(60'000);
    if (result == ClientResult::kConnected) server_ = network_.Accept(listener_);
  }
  EXPECT_EQ(result, ClientResult::kDisconnected);
  EXPECT_EQ(connections, 4);
}

TEST_F(ClientTimeTest, AnotherVersionOfTheProtocolIsFinal) {
  Make({.reconnect = true});
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  Bye(ByeReason::kVersion, "this server speaks 2");
  EXPECT_EQ(Poll(60'000), ClientResult::kDisconnected);
  EXPECT_EQ(Poll(60'000), ClientResult::kDisconnected);
  EXPECT_THAT(client_->status().message(), HasSubstr("this server speaks 2"));
}

TEST_F(ClientTimeTest, AGoodByeCannotReachTheTerminal) {
  Make({});
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  Bye(ByeReason::kShutdown, "\x1b]0;owned\x07 \xc2\x9b\n\\ fine");
  EXPECT_EQ(Poll(1), ClientResult::kDisconnected);
  EXPECT_THAT(client_->status().message(),
              HasSubstr("good-bye: \\x1B]0;owned\\x07 \\xC2\\x9B\\x0A\\x5C fine"));
}

TEST_F(ClientTimeTest, SaysOfAServerThatClosesBeforeAnyWordWhatThatMayMean) {
  Make({});
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  network_.Close(server_);  // HELLO unread: a reset
  EXPECT_EQ(Poll(1), ClientResult::kDisconnected);
  EXPECT_THAT(client_->status().message(), HasSubstr("before any word; the server is full"));
}

// The turn that sends a heartbeat also takes in what has come; the end stands behind it.
TEST_F(ClientTimeTest, TakesTheLastFramesBeforeTheEndWhileAHeartbeatGoesOut) {
  Make({});
  Welcome(100);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  EXPECT_EQ(Received(ControlType::kHello), 1u);
  backend_->StandStill(150 * kMs);
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);  // a heartbeat is due, and queued
  Data(1);
  std::vector<std::byte> bye;
  AppendBye(&bye, ByeReason::kEndOfStream, "end of stream");
  ASSERT_EQ(network_.Write(server_, bye), static_cast<int>(bye.size()));
  network_.Close(server_);
  EXPECT_EQ(Poll(10), ClientResult::kRecord);
  EXPECT_EQ(Poll(10), ClientResult::kEndOfStream);
}

TEST_F(ClientTimeTest, ReconnectsAfterSilence) {
  Make({.reconnect = true});
  EXPECT_EQ(Poll(1), ClientResult::kEmpty);
  Welcome(50);
  EXPECT_EQ(Poll(60'000), ClientResult::kConnected);
  EXPECT_THAT(client_->status().message(), HasSubstr("silent"));
  EXPECT_EQ(client_->reconnects(), 1u);
}

}  // namespace
}  // namespace ombus::net

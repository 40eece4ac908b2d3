#include "ombus/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "net/backend_select.h"
#include "net/frame.h"
#include "net/socket.h"
#include "ombus/server.h"

namespace ombus::net {
namespace {

using ::testing::HasSubstr;

class ClientTest : public ::testing::TestWithParam<BackendChoice> {
 protected:
  void SetUp() override {
    std::string why;
    if (const auto kind = ChooseBackend(GetParam(), &why); !kind.ok()) {
      GTEST_SKIP() << kind.status().message();
    }
  }

  void StartServer(ServerOptions options = {}) {
    options.backend = GetParam();
    auto made = Server::Create(options);
    ASSERT_TRUE(made.ok()) << made.status().message();
    server_ = std::move(*made);
  }
  std::unique_ptr<Client> MustConnect(ClientOptions options) {
    options.backend = GetParam();
    auto made = Client::Connect(options);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? std::move(*made) : nullptr;
  }
  void WaitForClients(uint32_t count) {
    while (server_->client_count() != count) ASSERT_TRUE(server_->PollIo(1'000'000).ok());
  }
  void WaitForWelcome(Client* client) {
    Record record;
    while (client->epoch() == 0) {
      ASSERT_TRUE(server_->PollIo(0).ok());
      ASSERT_EQ(client->Poll(&record, 100'000), ClientResult::kEmpty);
    }
  }
  void Send(uint64_t wal_seq) {
    ASSERT_EQ(server_->Broadcast({.wal_seq = wal_seq, .payload = &wal_seq, .size = 8, .type = 3}),
              BroadcastResult::kOk);
  }
  // The next result that is not kEmpty, the server turning meanwhile.
  ClientResult Next(Client* client, Record* record) {
    while (true) {
      if (server_ != nullptr) {
        EXPECT_TRUE(server_->PollIo(0).ok());
      }
      const ClientResult result = client->Poll(record, 100'000);
      if (result != ClientResult::kEmpty) return result;
    }
  }

  std::unique_ptr<Server> server_;
};

// A server written by hand: one listening socket, one blocking connection.
class RawServer {
 public:
  RawServer() : listener_(std::move(*Listen("127.0.0.1", 0, 8))) {}
  uint16_t port() const { return LocalPort(listener_.get()); }
  void Accept() {
    int fd;
    while ((fd = accept(listener_.get(), nullptr, nullptr)) < 0) {
    }
    peer_ = UniqueFd(fd);
  }
  void Send(std::span<const std::byte> bytes) {
    EXPECT_EQ(send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void Hang() { peer_ = UniqueFd(); }

 private:
  UniqueFd listener_, peer_;
};

std::vector<std::byte> DataFrame(uint64_t wal_seq, size_t size = 8) {
  std::vector<std::byte> bytes(FrameBytes(size)), payload(size, static_cast<std::byte>(wal_seq));
  EncodeFrame(bytes.data(), {.wal_seq = wal_seq,
                             .payload = payload.data(),
                             .size = static_cast<uint16_t>(size),
                             .type = 5});
  return bytes;
}

TEST_P(ClientTest, ReceivesEverythingInOrderAndThenTheEndOfTheStream) {
  StartServer();
  auto client = MustConnect({.port = server_->port()});
  WaitForClients(1);
  for (uint64_t i = 1; i <= 20'000; ++i) Send(i);
  Record record;
  for (uint64_t i = 1; i <= 20'000; ++i) {
    ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
    ASSERT_EQ(record.wal_seq, i);
    ASSERT_EQ(record.size, 8);
    ASSERT_EQ(record.type, 3);
    ASSERT_EQ(std::memcmp(record.payload, &i, 8), 0);
  }
  EXPECT_EQ(client->wal_seq(), 20'000u);
  server_->Shutdown(1'000'000'000, ShutdownReason::kEndOfStream);
  server_ = nullptr;
  EXPECT_EQ(Next(client.get(), &record), ClientResult::kEndOfStream);
  EXPECT_EQ(client->Poll(&record, 0), ClientResult::kEndOfStream);
}

TEST_P(ClientTest, ReceivesBatchesWhosePayloadsStay) {
  StartServer();
  auto client = MustConnect({.port = server_->port(), .receive_buffer_bytes = 1});
  WaitForClients(1);
  for (uint64_t i = 1; i <= 10'000; ++i) Send(i);
  std::vector<Record> records(256);
  for (uint64_t next = 1; next <= 10'000;) {
    ASSERT_TRUE(server_->PollIo(0).ok());
    ClientResult end;
    const size_t count = client->PollBatch(records, 1'000'000, &end);
    for (size_t i = 0; i < count; ++i, ++next) {
      ASSERT_EQ(records[i].wal_seq, next);
      ASSERT_EQ(std::memcmp(records[i].payload, &next, 8), 0);
    }
  }
  EXPECT_EQ(client->wal_seq(), 10'000u);
}

TEST_P(ClientTest, HandsRecordsToACallbackWhereTheyLie) {
  StartServer();
  auto client = MustConnect({.port = server_->port()});
  WaitForClients(1);
  for (uint64_t i = 1; i <= 1000; ++i) Send(i);
  uint64_t next = 1;
  const auto take = [&](const Record& record) {
    EXPECT_EQ(record.wal_seq, next);
    EXPECT_EQ(std::memcmp(record.payload, &next, 8), 0);
    ++next;
  };
  ClientResult end = ClientResult::kEmpty;
  while (next <= 1000) {
    ASSERT_TRUE(server_->PollIo(0).ok());
    const uint64_t before = next;
    const size_t count = client->Drain(150, 100'000, &end, take);
    ASSERT_EQ(count, next - before);
    ASSERT_LE(count, 150u);
    ASSERT_EQ(end, count == 150 ? ClientResult::kRecord : ClientResult::kEmpty);
  }
  server_->Shutdown(1'000'000'000, ShutdownReason::kEndOfStream);
  while (end == ClientResult::kEmpty) EXPECT_EQ(client->Drain(9, 100'000, &end, take), 0u);
  EXPECT_EQ(end, ClientResult::kEndOfStream);
}

TEST_P(ClientTest, ReportsGapsAndReordersButNeverForTheFirstRecord) {
  RawServer server;
  auto client = MustConnect({.port = server.port(), .hello = false, .reject_reorder = true});
  server.Accept();
  for (uint64_t wal_seq : {100, 101, 105, 103, 106}) server.Send(DataFrame(wal_seq));
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kGap);
  EXPECT_EQ(record.wal_seq, 105u);
  EXPECT_EQ(client->expected_wal_seq(), 102u);
  EXPECT_EQ(record.flags, kRecordGap);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kReorder);
  EXPECT_EQ(record.wal_seq, 103u);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
}

TEST_P(ClientTest, UnderstandsFramesThatDribbleInByteByByte) {
  RawServer server;
  auto client = MustConnect({.port = server.port(), .hello = false});
  server.Accept();
  Record record;
  for (uint64_t wal_seq = 1; wal_seq <= 20; ++wal_seq) {
    const auto frame = DataFrame(wal_seq, wal_seq * 3);
    for (size_t i = 0; i + 1 < frame.size(); ++i) {
      server.Send({&frame[i], 1});
      ASSERT_EQ(client->Poll(&record, 0), ClientResult::kEmpty);
    }
    server.Send({&frame.back(), 1});
    ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
    ASSERT_EQ(record.size, wal_seq * 3);
  }
}

TEST_P(ClientTest, DeliversAllWholeFramesBeforeItSaysDisconnected) {
  RawServer server;
  auto client = MustConnect({.port = server.port(), .hello = false});
  server.Accept();
  for (uint64_t i = 1; i <= 100; ++i) server.Send(DataFrame(i));
  const auto half = DataFrame(101);
  server.Send(std::span(half).first(7));
  server.Hang();
  Record record;
  for (uint64_t i = 1; i <= 100; ++i) {
    ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  }
  EXPECT_EQ(Next(client.get(), &record), ClientResult::kDisconnected);
  EXPECT_THAT(client->status().message(), HasSubstr("within a frame"));
  EXPECT_EQ(client->Poll(&record, 0), ClientResult::kDisconnected);
}

TEST_P(ClientTest, CallsAStreamOfOtherBytesAProtocolError) {
  RawServer server;
  auto client = MustConnect({.port = server.port(), .hello = false});
  server.Accept();
  server.Send(DataFrame(1));
  server.Send(std::as_bytes(std::span("HTTP/1.1 400 Bad Request")));
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  EXPECT_EQ(Next(client.get(), &record), ClientResult::kProtocolError);
  EXPECT_EQ(client->status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(client->Poll(&record, 0), ClientResult::kProtocolError);
}

TEST_P(ClientTest, PassesOnTheWarningOfASlowClientWithItsFigures) {
  RawServer server;
  auto client = MustConnect({.port = server.port(), .hello = false});
  server.Accept();
  std::vector<std::byte> bytes;
  AppendSlowWarning(&bytes, {123, 456});
  server.Send(bytes);
  server.Send(DataFrame(7));
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kSlowWarning);
  EXPECT_EQ(client->slow_warning().pending_bytes, 123u);
  EXPECT_EQ(client->slow_warning().limit_bytes, 456u);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
}

TEST_P(ClientTest, ResumesOverABreakFromWhatTheServerStillHas) {
  StartServer();
  auto client = MustConnect({.port = server_->port(), .resume_from = 1, .reconnect = true});
  for (uint64_t i = 1; i <= 100; ++i) Send(i);
  Record record;
  for (uint64_t i = 1; i <= 100; ++i) {
    ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
    ASSERT_EQ(record.wal_seq, i);
  }
}

TEST_P(ClientTest, ComesBackAfterAServerRestartAndReportsTheJumpAsAGap) {
  StartServer();
  const uint16_t port = server_->port();
  auto client = MustConnect({.port = port, .reconnect = true, .retry_base_ms = 1});
  WaitForClients(1);
  Send(1);
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  EXPECT_TRUE(client->connected());
  EXPECT_TRUE(client->status().ok());
  server_ = nullptr;
  while (client->connected()) ASSERT_EQ(client->Poll(&record, 100'000), ClientResult::kEmpty);
  EXPECT_FALSE(client->status().ok());
  StartServer({.port = port});
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kConnected);
  EXPECT_TRUE(client->connected());
  EXPECT_FALSE(client->status().ok()) << "says why it was lost";
  WaitForClients(1);
  Send(5);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kGap);
  EXPECT_EQ(client->expected_wal_seq(), 2u);
  EXPECT_EQ(client->reconnects(), 1u);
}

TEST_P(ClientTest, IsToldOfAnotherProducerAndTakesItsSequencesAsTheyBegin) {
  StartServer({.epoch = 7});
  auto client = MustConnect({.port = server_->port(), .reject_reorder = true});
  WaitForWelcome(client.get());
  Send(50);
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  EXPECT_EQ(client->epoch(), 7u);
  server_->BeginEpoch(8, true);
  Send(1);  // begins anew
  Send(2);
  server_->BeginEpoch(9, true);
  Send(3);  // goes on
  server_->BeginEpoch(10, true);
  Send(9);  // a gap, for all that is known
  server_->BeginEpoch(11, false);
  Send(4);  // begins anew, and not with its first record
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kEpochChanged);
  EXPECT_EQ(client->epoch(), 8u);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  EXPECT_EQ(record.wal_seq, 1u);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kEpochChanged);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kEpochChanged);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kGap);
  EXPECT_EQ(client->expected_wal_seq(), 4u);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kEpochChanged);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kGap);
  EXPECT_EQ(record.wal_seq, 4u);
}

TEST_P(ClientTest, SaysWhyItWasRefused) {
  StartServer({.max_clients = 1});
  auto first = MustConnect({.port = server_->port()});
  WaitForClients(1);
  auto second = MustConnect({.port = server_->port()});
  Record record;
  EXPECT_EQ(second->Poll(&record, 0), ClientResult::kEmpty);  // and its HELLO is out
  EXPECT_EQ(Next(second.get(), &record), ClientResult::kDisconnected);
  EXPECT_THAT(second->status().message(), HasSubstr("raise max_clients"));
}

TEST_P(ClientTest, ResumesFromAnotherServerInTheEpochOfItsLastRecord) {
  StartServer({.epoch = 7});
  const uint16_t port = server_->port();
  auto client = MustConnect({.port = port, .reconnect = true, .retry_base_ms = 1});
  WaitForWelcome(client.get());
  Send(20);
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  server_ = nullptr;
  StartServer({.port = port, .epoch = 7});
  for (const uint64_t wal_seq : {19, 20, 21}) Send(wal_seq);
  server_->BeginEpoch(8, true);
  for (const uint64_t wal_seq : {1, 21}) Send(wal_seq);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kConnected);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  EXPECT_EQ(record.wal_seq, 21u);
  EXPECT_EQ(client->epoch(), 7u);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kEpochChanged);
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  EXPECT_EQ(record.wal_seq, 1u);
}

TEST_P(ClientTest, GetsEachRecordOnceFromAServerThatIsBehindTheOneBefore) {
  StartServer({.epoch = 7});
  const uint16_t port = server_->port();
  auto client =
      MustConnect({.port = port, .reject_reorder = true, .reconnect = true, .retry_base_ms = 1});
  WaitForWelcome(client.get());
  Send(24);
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  for (const uint64_t first : {20, 23}) {
    server_ = nullptr;
    StartServer({.port = port, .epoch = 7});
    if (first == 20) Send(first);  // in the log, or with nothing there yet
    ASSERT_EQ(Next(client.get(), &record), ClientResult::kConnected);
    WaitForClients(1);
    while (server_->stats().bytes_sent == 0) {  // WELCOME
      ASSERT_TRUE(server_->PollIo(0).ok());
      ASSERT_EQ(client->Poll(&record, 0), ClientResult::kEmpty);
    }
    const uint64_t last = client->wal_seq() + 1;
    for (uint64_t wal_seq = first + 1; wal_seq <= last; ++wal_seq) Send(wal_seq);
    ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
    EXPECT_EQ(record.wal_seq, last);
  }
}

TEST_P(ClientTest, SkipsWhatComesBeforeWelcomeWhenItResumes) {
  RawServer server;
  auto client = MustConnect({.port = server.port(), .resume_from = 10});
  server.Accept();
  server.Send(DataFrame(50));
  std::vector<std::byte> welcome;
  AppendWelcome(&welcome, {kWireVersion, 0, 10});
  server.Send(welcome);
  server.Send(DataFrame(10));
  Record record;
  ASSERT_EQ(Next(client.get(), &record), ClientResult::kRecord);
  EXPECT_EQ(record.wal_seq, 10u);
}

TEST_P(ClientTest, ResumesAlsoFromAServerThatNeverAnswersHello) {
  RawServer server;
  auto client = MustConnect({.port = server.port(), .resume_from = 10});
  server.Accept();
  Record record;
  ClientResult result = ClientResult::kEmpty;
  for (uint64_t i = 50; result == ClientResult::kEmpty; ++i) {
    server.Send(DataFrame(i));
    result = client->Poll(&record, 50'000'000);
  }
  EXPECT_EQ(result, ClientResult::kGap);
  EXPECT_EQ(client->expected_wal_seq(), 10u);
}

TEST_P(ClientTest, SaysThatNobodyListens) {
  uint16_t port;
  {
    RawServer gone;
    port = gone.port();
  }
  const auto made = Client::Connect({.port = port, .backend = GetParam()});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.status().message(), HasSubstr("ECONNREFUSED"));
  auto client = MustConnect(
      {.port = port, .reconnect = true, .retry_base_ms = 1, .retry_max_ms = 2, .max_retries = 3});
  Record record;
  EXPECT_EQ(Next(client.get(), &record), ClientResult::kDisconnected);
}

// Reads until the stream ends; what else the client says instead goes to stderr. An exit code.
int ReadToTheEnd(uint16_t port, uint32_t heartbeat_ms, BackendChoice backend) {
  const auto client =
      Client::Connect({.port = port, .heartbeat_ms = heartbeat_ms, .backend = backend});
  if (!client.ok()) return 2;
  while (true) {
    Record record;
    const ClientResult result = (*client)->Poll(&record, 60'000'000'000);
    if (result == ClientResult::kEndOfStream) return 0;
    if (result == ClientResult::kRecord || result == ClientResult::kEmpty) continue;
    std::fprintf(stderr, "%s\n", (*client)->status().message().c_str());
    return 1;
  }
}

TEST_P(ClientTest, DoesNotTakeTheServerForSilentAfterItWasStopped) {
  constexpr uint32_t kBeatMs = 500;
  StartServer({.heartbeat_ms = kBeatMs, .client_timeout_ms = 0});
  const pid_t child = fork();
  if (child == 0) _exit(ReadToTheEnd(server_->port(), kBeatMs, GetParam()));
  const auto turn_until_heard_again = [&] {
    for (const uint64_t before = server_->heartbeats_received();
         server_->heartbeats_received() == before && server_->stats().clients_disconnected == 0;) {
      ASSERT_TRUE(server_->PollIo(1'000'000).ok());
    }
  };
  turn_until_heard_again();  // heartbeats are agreed on
  ASSERT_EQ(kill(child, SIGSTOP), 0);
  Send(1);
  const auto over = std::chrono::steady_clock::now() + std::chrono::milliseconds(kBeatMs * 4);
  while (std::chrono::steady_clock::now() < over) ASSERT_TRUE(server_->PollIo(10'000'000).ok());
  ASSERT_EQ(kill(child, SIGCONT), 0);
  turn_until_heard_again();
  EXPECT_EQ(server_->stats().clients_disconnected, 0u);
  server_->Shutdown(10'000'000'000, ShutdownReason::kEndOfStream);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_P(ClientTest, RefusesOptionsThatCannotWork) {
  EXPECT_EQ(Client::Connect({}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Client::Connect({.host = "", .port = 1}).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(ClientTest, FindsTheServerByNameAndOverIpV6) {
  StartServer();
  auto by_name = MustConnect({.host = "localhost", .port = server_->port()});
  WaitForClients(1);
  auto v6 = Server::Create({.address = "::1", .backend = GetParam()});
  if (!v6.ok()) GTEST_SKIP() << v6.status().message();
  server_ = std::move(*v6);
  auto client = MustConnect({.host = "::1", .port = server_->port()});
  WaitForClients(1);
  Send(1);
  Record record;
  EXPECT_EQ(Next(client.get(), &record), ClientResult::kRecord);
}

INSTANTIATE_TEST_SUITE_P(Backends, ClientTest,
                         ::testing::Values(BackendChoice::kEpoll, BackendChoice::kUring),
                         [](const auto& info) {
                           return info.param == BackendChoice::kEpoll ? "Epoll" : "Uring";
                         });

}  // namespace
}  // namespace ombus::net

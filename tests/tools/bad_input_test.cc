// What people and files get wrong: each case a message with cause and cure, an exit code, and
// nobody else harmed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>
#include <string>

#include "command_fixture.h"
#include "ombus/ring_snapshot.h"

namespace ombus::tools {
namespace {

using BadInput = CommandTest;

constexpr int kFailure = 1, kUsage = 2;

// A TCP socket on a port of its own.
class Port {
 public:
  Port() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd_, any, length), 0);
    EXPECT_EQ(getsockname(fd_, any, &length), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Port() { close(fd_); }
  void Listen() { EXPECT_EQ(listen(fd_, 4), 0); }
  int Accept() { return accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_;
  uint16_t port_ = 0;
};

TEST_F(BadInput, ACommandLineThatIsWrongIsExplainedWithExitCodeTwo) {
  ExpectFailure({}, kUsage, {"usage: ombus COMMAND"});
  ExpectFailure({"pubb"}, kUsage, {"did you mean pub?"});
  ExpectFailure({"pub"}, kUsage, {"no stream", "--stream"});
  ExpectFailure({"pub", "--steam", stream_}, kUsage, {"--steam", "did you mean --stream?"});
  ExpectFailure({"pub", "--stream"}, kUsage, {"--stream: no value"});
  ExpectFailure({"pub", "--stream", stream_, "--rate", "fast"}, kUsage, {"--rate", "number"});
  ExpectFailure({"sub", "--stream", stream_, "--format", "xml"}, kUsage, {"xml", "json"});
  ExpectFailure({"pub", "--stream", stream_, "--numa-node", "1,2"}, kUsage,
                {"--numa-node", "1,2", "-1 to 1023"});
  ExpectFailure({"pub", "--stream", stream_, "--prefetch-ahead", "65"}, kUsage,
                {"--prefetch-ahead", "-1 to 64"});
  ExpectFailure({"sub"}, kUsage, {"--stream", "--connect"});
  ExpectFailure({"sub", "--stream", stream_, "--resume-from", "5"}, kUsage,
                {"--resume-from", "--connect"});
  ExpectFailure({"sub", "--connect", "127.0.0.1:1", "--resume-from", "5", "--no-hello"}, kUsage,
                {"resume_from", "hello"});
  ExpectFailure({"sub", "--connect", "nowhere"}, kUsage, {"nowhere", "HOST:PORT"});
  ExpectFailure({"relay", "--stream", stream_, "--listen", "::1:7001"}, kUsage, {"[::1]:7001"});
  // A value that would be cut to another: none at all, or some weeks less.
  ExpectFailure({"relay", "--stream", stream_, "--heartbeat-ms", "500us"}, kUsage,
                {"--heartbeat-ms", "500us", "whole milliseconds"});
  ExpectFailure({"relay", "--stream", stream_, "--client-timeout-ms", "5000000000"}, kUsage,
                {"--client-timeout-ms", "at most"});
  ExpectFailure({"relay", "--stream", stream_, "--send-buffer-bytes", "2GiB"}, kUsage,
                {"--send-buffer-bytes", "at most 1073741824"});
  ExpectFailure({"sub", "--stream", stream_, "--cpu", "0,1"}, kUsage, {"--cpu", "0,1"});
  ExpectFailure({"bench", "--mode", "warp"}, kUsage, {"warp", "relay"});
  ExpectFailure({"bench", "--mode", "slow-clients", "--stalled", "0,few"}, kUsage,
                {"--stalled", "0,few"});
  ExpectFailure({"bench", "--mode", "slow-clients", "--clients", "4", "--stalled", "4"}, kUsage,
                {"4 of 4 clients stalled", "--stalled", "--clients"});
}

TEST_F(BadInput, GeometryThatCannotBeIsRefusedByName) {
  ExpectFailure({"pub", "--stream", stream_, "--capacity", "100"}, kUsage,
                {"capacity 100", "power of two"});
  ExpectFailure({"pub", "--stream", stream_, "--slot-size", "16"}, kUsage,
                {"--slot-size: 16 bytes", "64", "multiple of 8"});
  ExpectFailure({"pub", "--stream", stream_, "--slot-size", "100"}, kUsage,
                {"--slot-size: 100 bytes", "64", "multiple of 8"});
  ExpectFailure({"pub", "--stream", stream_, "--max-consumers", "0"}, kUsage, {"max_consumers 0"});
}

TEST_F(BadInput, NamesWithoutASlashOrTooLongAreRefused) {
  for (const char* command : {"pub", "sub", "stat"}) {
    ExpectFailure({command, "--stream", "orders"}, kUsage, {"orders", "slash"});
    ExpectFailure({command, "--stream", "/" + std::string(300, 'x')}, kUsage, {"at most"});
  }
}

TEST_F(BadInput, AStreamThatDoesNotExistIsNamedWithTheCure) {
  ExpectFailure({"sub", "--stream", stream_}, kFailure, {stream_, "ENOENT", "producer"});
  ExpectFailure({"stat", "--stream", stream_}, kFailure, {stream_, "ENOENT", "producer"});
}

TEST_F(BadInput, GarbageTruncatedAndForeignObjectsAreToldApartFromStreams) {
  const std::string path = "/dev/shm" + stream_;
  for (const std::string& content :
       {std::string("short"), std::string(8192, 'x'), std::string(8192, '\0')}) {
    WriteFile(path, content);
    for (const char* command : {"sub", "stat"}) {
      ExpectFailure({command, "--stream", stream_}, kFailure, {stream_, "remove "});
    }
    ExpectFailure({"pub", "--stream", stream_}, kFailure,
                  {stream_, "no ring has that name", "remove /dev/shm" + stream_});
    EXPECT_EQ(ReadFile(path), content) << "somebody changed it";
  }
  WriteFile(path, "");
  for (const char* command : {"sub", "stat"}) {
    ExpectFailure({command, "--stream", stream_}, kFailure, {stream_, "being created"});
  }
}

TEST_F(BadInput, ALiveProducerKeepsItsStream) {
  CommandProcess first(folder_, {"pub", "--stream", stream_, "--generate", "orders", "--rate",
                                 "1000", "--wait-consumers", "1", "--count", "500"});
  ASSERT_TRUE(Eventually([this] { return HasConsumers(0); }));
  ExpectFailure({"pub", "--stream", stream_}, kFailure, {stream_, "; "});
  CommandProcess reader(folder_,
                        {"sub", "--stream", stream_, "--verify", "orders", "--format", "none"});
  EXPECT_EQ(reader.Wait(), 0) << reader.Err();
  EXPECT_EQ(first.Wait(), 0) << first.Err();
  EXPECT_NE(reader.Err().find("received 500 records"), std::string::npos) << reader.Err();
}

TEST_F(BadInput, AFullDevShmIsAnErrorAtCreate) {
  ExpectFailure({"pub", "--stream", stream_, "--capacity", "1073741824"}, kFailure,
                {"ENOSPC", "/dev/shm"});
  EXPECT_FALSE(std::filesystem::exists("/dev/shm" + stream_));
}

TEST_F(BadInput, ALineLargerThanTheSlotIsNamedWithItsNumber) {
  const std::string input = folder_ + "/input";
  WriteFile(input, "fits\n" + std::string(300, 'x') + "\n");
  ExpectFailure({"pub", "--stream", stream_, "--input", input}, kFailure,
                {"line 2", "232", "--slot-size"});
  ExpectFailure({"pub", "--stream", stream_, "--generate", "orders", "--slot-size", "128"}, kUsage,
                {"--slot-size"});
}

// And nothing is published: it would come out at the end of the input, with the histogram lost.
TEST_F(BadInput, ASizesFileThatCannotBeWrittenOrIsNotUsedIsNamedBeforeTheFirstRecord) {
  const std::string input = folder_ + "/input";
  WriteFile(input, "a line\n");
  const std::vector<std::pair<std::string, std::string>> bad = {
      {folder_ + "/none/sizes", "ENOENT"}, {folder_, "EISDIR"}, {"/dev/null", "EINVAL"}};
  for (const auto& [path, error] : bad) {
    CommandProcess pub(folder_,
                       {"pub", "--stream", stream_, "--input", input, "--record-sizes", path});
    EXPECT_EQ(pub.Wait(), kFailure) << pub.Err();
    EXPECT_NE(pub.Err().find(error), std::string::npos) << pub.Err();
    EXPECT_EQ(pub.Err().find("published"), std::string::npos) << pub.Err();
  }
  ExpectFailure({"pub", "--stream", stream_, "--slot-size", "128", "--sizes", input}, kUsage,
                {"--sizes", "--slot-size auto"});
}

TEST_F(BadInput, AnInputThatCannotBeReadIsNamed) {
  ExpectFailure({"pub", "--stream", stream_, "--input", folder_ + "/none"}, kFailure,
                {"none", "ENOENT"});
  ExpectFailure({"pub", "--stream", stream_, "--input", "/"}, kFailure, {"EISDIR"});
}

TEST_F(BadInput, APortInUseIsNamedWithTheCure) {
  Port port;
  port.Listen();
  ExpectFailure({"relay", "--stream", stream_, "--listen", port.address()}, kFailure,
                {"EADDRINUSE", "; "});
}

TEST_F(BadInput, AnUnreachableHostEndsWithAnError) {
  Port port;  // bound, but nobody listens
  ExpectFailure({"sub", "--connect", port.address()}, kFailure, {"ECONNREFUSED"});
  ExpectFailure({"sub", "--connect", port.address(), "--once"}, kFailure, {"ECONNREFUSED"});
  ExpectFailure({"sub", "--connect", "no-such-host.invalid:7001"}, kFailure,
                {"no-such-host.invalid"});
}

TEST_F(BadInput, AServerThatSendsGarbageIsGivenUp) {
  Port port;
  port.Listen();
  for (const char* once : {"--once", "--busy"}) {  // also by one that would reconnect
    CommandProcess sub(folder_, {"sub", "--connect", port.address(), once});
    const int peer = port.Accept();
    const std::string garbage(4096, 'G');
    ASSERT_EQ(send(peer, garbage.data(), garbage.size(), MSG_NOSIGNAL), 4096);
    EXPECT_EQ(sub.Wait(), kFailure);
    EXPECT_NE(sub.Err().find("is that an ombus relay?"), std::string::npos) << sub.Err();
    EXPECT_NE(sub.Err().find(port.address()), std::string::npos) << sub.Err();
    EXPECT_EQ(sub.Out(), "");
    close(peer);
  }
}

TEST_F(BadInput, AServerThatAcceptsAndSendsNothingOfUseIsGivenUpAfterTheRetries) {
  Port port;
  port.Listen();
  CommandProcess sub(folder_, {"sub", "--connect", port.address(), "--max-retries", "2"});
  for (int i = 0; i < 3; ++i) close(port.Accept());  // the first is chance
  EXPECT_EQ(sub.Wait(), kFailure);
  EXPECT_NE(sub.Err().find("connection lost: "), std::string::npos) << sub.Err();
}

TEST_F(BadInput, APortThatAcceptsAndSaysNothingIsToldAndGivenUpAfterTheWait) {
  Port port;
  port.Listen();
  ExpectFailure({"sub", "--connect", port.address(), "--wait-ms", "300"}, kFailure,
                {port.address(), "no word from it within --wait-ms", "--no-hello"});
  CommandProcess patient(folder_, {"sub", "--connect", port.address()});
  CommandProcess old(folder_, {"sub", "--connect", port.address(), "--no-hello", "--wait-ms", "1",
                               "--timeout-ms", "4s"});
  EXPECT_TRUE(Eventually([&] {
    return patient.Err().find("no word from it yet; is that an ombus relay?") != std::string::npos;
  }));
  EXPECT_TRUE(patient.Running());
  EXPECT_EQ(old.Wait(), kFailure);
  EXPECT_NE(old.Err().find("--timeout-ms"), std::string::npos) << old.Err();
  EXPECT_EQ(old.Err().find("no word"), std::string::npos) << old.Err();
}

TEST_F(BadInput, AnObjectThatIsNoRingKeepsItsName) {
  WriteFile("/dev/shm" + stream_, "somebody's");
  ExpectFailure({"pub", "--stream", stream_, "--generate", "orders"}, kFailure,
                {"no ring", "remove /dev/shm" + stream_});
  EXPECT_EQ(ReadFile("/dev/shm" + stream_), "somebody's");
}

TEST_F(BadInput, AStreamThatIsCutShortUnderACommandIsToldAndNotASilentDeath) {
  CommandProcess pub(folder_, {"pub", "--stream", stream_, "--generate", "orders", "--count", "1",
                               "--wait-consumers", "1", "--linger", "60000"});
  ASSERT_TRUE(Eventually([this] { return HasConsumers(0); }));
  CommandProcess sub(folder_, {"sub", "--stream", stream_});
  ASSERT_TRUE(Eventually([this] { return HasConsumers(1); }));
  std::filesystem::resize_file("/dev/shm" + stream_, 0);
  EXPECT_EQ(sub.Wait(), kFailure);
  EXPECT_NE(sub.Err().find("SIGBUS; another program cut"), std::string::npos) << sub.Err();
}

TEST_F(BadInput, ASlotThatCannotBeMeantLeavesTheStreamAlone) {
  for (const char* size : {"32", "63"}) {
    ExpectFailure({"pub", "--stream", stream_, "--slot-size", size}, kUsage, {"at least 64"});
  }
  CommandProcess pub(folder_, {"pub", "--stream", stream_, "--generate", "orders", "--count", "1",
                               "--linger", "60000"});
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists("/dev/shm" + stream_); }));
  pub.Signal(SIGKILL);
  EXPECT_EQ(pub.Wait(), 128 + SIGKILL);
  ExpectFailure({"pub", "--stream", stream_, "--generate", "orders", "--slot-size", "64"}, kUsage,
                {"--slot-size"});
  EXPECT_TRUE(std::filesystem::exists("/dev/shm" + stream_));
}

TEST_F(BadInput, AnOutputThatTakesNothingIsNamedByEveryCommand) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--help"},
        {"--version"},
        {"help", "sub"},
        {"doctor"},
        {"bench", "--mode", "shm", "--runs", "1", "--shm-iters", "1000", "--cpus", "-1"}}) {
    CommandProcess full(folder_, args, {"", "/dev/full", false});
    EXPECT_EQ(full.Wait(), kFailure) << args[0];
    EXPECT_NE(full.Err().find("standard output\": ENOSPC; make room"), std::string::npos)
        << args[0] << ": " << full.Err();
  }
}

TEST_F(BadInput, ABenchmarkThatIsInterruptedLeavesNothingBehind) {
  // Of its own: others may run at the same time.
  const auto left = [](const CommandProcess& bench) {
    return std::filesystem::exists("/dev/shm/ombus-bench-" + std::to_string(bench.pid()));
  };
  const std::vector<std::string> args = {"bench", "--mode",      "ipc",       "--cpus",
                                         "-1",    "--shm-iters", "1000000000"};
  CommandProcess stopped(folder_, args);
  ASSERT_TRUE(Eventually([&] { return left(stopped); }));
  stopped.Signal(SIGTERM);
  EXPECT_EQ(stopped.Wait(), 128 + SIGTERM);
  EXPECT_FALSE(left(stopped));
  CommandProcess killed(folder_, args);
  ASSERT_TRUE(Eventually([&] { return left(killed); }));
  killed.Signal(SIGKILL);
  EXPECT_EQ(killed.Wait(), 128 + SIGKILL);
  // Its children die with it, and with them the lock on the object.
  EXPECT_TRUE(Eventually([&] {
    CommandProcess next(
        folder_, {"bench", "--mode", "shm", "--runs", "1", "--shm-iters", "1000", "--cpus", "-1"});
    return next.Wait() == 0 && !left(killed);
  }));
}

TEST_F(BadInput, AStreamThatCannotBeRelayedIsToldWhileTheOthersGoOn) {
  WriteFile("/dev/shm" + stream_, std::string(8192, 'G'));
  CommandProcess relay(folder_,
                       {"relay", "--stream", stream_ + "-waited-for", "--stream", stream_});
  EXPECT_TRUE(Eventually([&] { return relay.Err().find(stream_ + "\"") != std::string::npos; }))
      << relay.Err();
  EXPECT_TRUE(relay.Running());
  relay.Signal(SIGTERM);
  EXPECT_EQ(relay.Wait(), kFailure);
}

TEST_F(BadInput, ASignalEndsAReaderWhosePipeIsFull) {
  const std::string fifo = folder_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int pipe = open(fifo.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);  // and nobody reads
  ASSERT_GE(pipe, 0);
  while (write(pipe, "x", 1) == 1) continue;  // not even a byte of the reader's fits
  CommandProcess sub(folder_, {"sub", "--stream", stream_, "--wait-ms", "20000"},
                     {"", fifo, false});
  CommandProcess pub(folder_, {"pub", "--stream", stream_, "--generate", "orders", "--count",
                               "20000", "--capacity", "1024", "--wait-consumers", "1"});
  // It is at a write, which does not end: it has taken records, which it cannot hand on. And the
  // producer waits for it.
  const std::string call = "/proc/" + std::to_string(sub.pid()) + "/syscall";
  const std::string write_to_stdout = std::to_string(SYS_write) + " 0x1 ";
  EXPECT_TRUE(Eventually([&] {
    const Result<RingSnapshot> ring = ReadRingSnapshot(stream_);
    return ring.ok() && ring->consumers.size() == 1 && ring->stalls > 0 &&
           ReadFile(call).starts_with(write_to_stdout);
  }));
  sub.Signal(SIGTERM);
  EXPECT_EQ(sub.Wait(), kFailure);
  EXPECT_NE(sub.Err().find("its reader takes nothing"), std::string::npos) << sub.Err();
  close(pipe);
}

TEST_F(BadInput, AStdoutThatIsClosedFullOrGoneEndsOnlyThatReader) {
  const std::string input = folder_ + "/input";
  WriteFile(input, std::string(200'000, '\n'));
  CommandProcess pub(folder_,
                     {"pub", "--stream", stream_, "--input", input, "--wait-consumers", "3"});
  const std::vector<std::string> sub = {"sub", "--stream", stream_, "--wait-ms", "20000"};
  CommandProcess full(folder_, sub, {"", "/dev/full", false});
  CommandProcess closed(folder_, sub, {"", "", true});
  CommandProcess well(folder_, sub);
  EXPECT_EQ(full.Wait(), kFailure);
  EXPECT_NE(full.Err().find("ENOSPC"), std::string::npos) << full.Err();
  EXPECT_EQ(closed.Wait(), kFailure);
  EXPECT_NE(closed.Err().find("EBADF"), std::string::npos) << closed.Err();
  EXPECT_EQ(pub.Wait(), 0) << pub.Err();
  EXPECT_EQ(well.Wait(), 0) << well.Err();
  EXPECT_EQ(well.Out().size(), 200'000u);
}

}  // namespace
}  // namespace ombus::tools

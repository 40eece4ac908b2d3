// The main job with the command's own processes: publish, poll, relay, receive; and what happens
// when one of them is killed.
#include <sys/mman.h>

#include <csignal>
#include <memory>
#include <string>

#include "command_fixture.h"
#include "tests/ring/raw_object.h"

namespace ombus::tools {
namespace {

class MainJob : public CommandTest {
 protected:
  using Process = std::unique_ptr<CommandProcess>;

  Process Start(std::vector<std::string> args) {
    return std::make_unique<CommandProcess>(folder_, std::move(args));
  }
  // A relay that listens; address() is where.
  Process StartRelay(std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"relay", "--stream", stream_, "--listen", "127.0.0.1:0"};
    args.insert(args.end(), more.begin(), more.end());
    Process relay = Start(std::move(args));
    EXPECT_TRUE(relay->WaitForOut("\n")) << relay->Err();
    const std::string line = relay->Out();
    constexpr std::string_view kBegin = "listening on ";
    EXPECT_TRUE(line.starts_with(kBegin)) << line;
    address_ = line.substr(kBegin.size(), line.find(' ', kBegin.size()) - kBegin.size());
    return relay;
  }
  bool Has(const CommandProcess& process, const std::string& text) {
    return process.Err().find(text) != std::string::npos;
  }

  std::string address_;
};

TEST_F(MainJob, AFileArrivesByteForByteAtEveryReceiver) {
  std::string content("a\0b\n\n", 5);
  for (int i = 0; i < 50'000; ++i) content += "line " + std::to_string(i * 7919) + "\n";
  content += "no newline at the end";
  const std::string input = folder_ + "/input";
  WriteFile(input, content);

  Process relay = StartRelay({"--wait-clients", "2", "--slow-client", "wait", "--exit-on-close"});
  std::vector<Process> receivers;
  for (int i = 0; i < 2; ++i) {
    receivers.push_back(Start({"sub", "--connect", address_, "--format", "raw", "--strict"}));
  }
  receivers.push_back(
      Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--format", "raw", "--strict"}));
  Process pub = Start({"pub", "--stream", stream_, "--input", input, "--wait-consumers", "2"});
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  for (const Process& receiver : receivers) {
    EXPECT_EQ(receiver->Wait(), 0) << receiver->Err();
    EXPECT_EQ(receiver->Out(), content);
  }
  EXPECT_EQ(relay->Wait(), 0) << relay->Err();
  EXPECT_TRUE(Has(*relay, "relayed 50,003 records")) << relay->Err();
}

TEST_F(MainJob, AnEmptyInputIsAStreamWithoutRecords) {
  Process sub = Start({"sub", "--stream", stream_, "--wait-ms", "20000"});
  Process pub = Start({"pub", "--stream", stream_, "--wait-consumers", "1"});
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  EXPECT_EQ(sub->Wait(), 0) << sub->Err();
  EXPECT_EQ(sub->Out(), "");
}

TEST_F(MainJob, OrderFlowIsVerifiedOverRingAndTcp) {
  Process relay = StartRelay({"--wait-clients", "1", "--slow-client", "wait", "--exit-on-close"});
  Process remote = Start({"sub", "--connect", address_, "--verify", "orders", "--format", "none"});
  Process local = Start(
      {"sub", "--stream", stream_, "--wait-ms", "20000", "--verify", "orders", "--format", "none"});
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--count", "50000",
                       "--wait-consumers", "2"});
  for (const Process* process : {&pub, &remote, &local, &relay}) {
    EXPECT_EQ((*process)->Wait(), 0) << (*process)->Err();
  }
  EXPECT_TRUE(Has(*remote, "received 50,000 records")) << remote->Err();
  EXPECT_TRUE(Has(*local, "wrong 0")) << local->Err();
}

TEST_F(MainJob, EgressThreadsShareTheReceiversAndEachHasItsLine) {
  Process relay = StartRelay(
      {"--egress-threads", "2", "--wait-clients", "2", "--slow-client", "wait", "--exit-on-close"});
  EXPECT_NE(relay->Out().find(", 2 egress threads\n"), std::string::npos) << relay->Out();
  std::vector<Process> receivers;
  for (int i = 0; i < 2; ++i) {
    receivers.push_back(
        Start({"sub", "--connect", address_, "--verify", "orders", "--format", "none"}));
  }
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--count", "50000",
                       "--wait-consumers", "1"});
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  for (const Process& receiver : receivers) {
    EXPECT_EQ(receiver->Wait(), 0) << receiver->Err();
    EXPECT_TRUE(Has(*receiver, "received 50,000 records")) << receiver->Err();
  }
  EXPECT_EQ(relay->Wait(), 0) << relay->Err();
  EXPECT_TRUE(Has(*relay, "100,000 deliveries")) << relay->Err();
  for (const char* thread : {"egress thread 0: ", "egress thread 1: "}) {
    EXPECT_TRUE(Has(*relay, thread)) << relay->Err();
  }
}

TEST_F(MainJob, ARelaySaysHowItSent) {
  Process relay = StartRelay({"--send-mode", "plain", "--send-buffer-bytes", "64KiB",
                              "--wait-clients", "1", "--exit-on-close"});
  Process sub = Start({"sub", "--connect", address_, "--format", "none"});
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--count", "100",
                       "--wait-consumers", "1"});
  EXPECT_EQ(sub->Wait(), 0) << sub->Err();
  EXPECT_EQ(relay->Wait(), 0) << relay->Err();
  EXPECT_TRUE(Has(*relay, "sends fixed 0, plain ")) << relay->Err();
  EXPECT_TRUE(Has(*relay, ", zero-copy 0 (copied 0)")) << relay->Err();
  EXPECT_FALSE(Has(*relay, "plain 0,")) << relay->Err();
}

TEST_F(MainJob, ContentOfAnotherSeedIsExitCodeThree) {
  Process sub = Start(
      {"sub", "--stream", stream_, "--wait-ms", "20000", "--verify", "orders", "--format", "none"});
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--seed", "2", "--count",
                       "10", "--wait-consumers", "1"});
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  EXPECT_EQ(sub->Wait(), 3) << sub->Err();
}

TEST_F(MainJob, ASignalEndsEachPartInOrder) {
  Process relay = StartRelay();
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--rate", "10000",
                       "--wait-consumers", "1"});
  ASSERT_TRUE(Eventually([this] { return HasConsumers(1); }));
  Process sub = Start({"sub", "--connect", address_, "--count", "100", "--format", "json"});
  EXPECT_EQ(sub->Wait(), 0) << sub->Err();
  pub->Signal(SIGINT);
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  EXPECT_TRUE(Has(*pub, "published"));
  EXPECT_FALSE(std::filesystem::exists("/dev/shm" + stream_));
  relay->Signal(SIGTERM);
  EXPECT_EQ(relay->Wait(), 0) << relay->Err();
}

TEST_F(MainJob, AKilledConsumerHoldsNobodyBack) {
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--count", "200000",
                       "--rate", "100000", "--wait-consumers", "3"});
  Process well = Start(
      {"sub", "--stream", stream_, "--wait-ms", "20000", "--verify", "orders", "--format", "none"});
  Process killed = Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--format", "none"});
  Process other =
      Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--index", "7", "--format", "none"});
  // With the third one the producer begins, and would fill the ring within 40 ms.
  ASSERT_TRUE(Eventually([this] { return HasConsumers(3); }));
  killed->Signal(SIGKILL);
  EXPECT_EQ(killed->Wait(), 128 + SIGKILL);
  EXPECT_EQ(well->Wait(), 0) << well->Err();
  EXPECT_TRUE(Has(*well, "received 200,000 records")) << well->Err();
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
}

TEST_F(MainJob, AKilledProducerIsReplacedAndItsReadersGoOn) {
  Process relay = StartRelay();
  Process remote = Start({"sub", "--connect", address_, "--format", "json"});
  Process first = Start({"pub", "--stream", stream_, "--generate", "orders", "--rate", "5000",
                         "--wait-consumers", "2"});
  Process local =
      Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--format", "json", "--strict"});
  ASSERT_TRUE(local->WaitForOut("\n"));
  ASSERT_TRUE(remote->WaitForOut("\n"));
  first->Signal(SIGKILL);
  EXPECT_EQ(first->Wait(), 128 + SIGKILL);
  Process second = Start({"pub", "--stream", stream_, "--generate", "orders", "--first-seq",
                          "1000000", "--count", "1000"});
  EXPECT_EQ(second->Wait(), 0) << second->Err();
  // The jump to the second's first sequence is a gap, for both.
  EXPECT_EQ(local->Wait(), 3) << local->Err();
  EXPECT_NE(local->Out().find("\"wal_seq\":1000999,"), std::string::npos) << local->Err();
  EXPECT_TRUE(Has(*local, "to 999999 missing")) << local->Err();
  EXPECT_TRUE(Eventually([&] { return Has(*remote, "to 999999 missing"); })) << remote->Err();
  EXPECT_TRUE(remote->WaitForOut("\"wal_seq\":1000999,")) << remote->Err();
}

TEST_F(MainJob, ReadersOfAnObjectThatWasRemovedGoOverToTheNextOfThatName) {
  Process relay = StartRelay();
  Process remote = Start({"sub", "--connect", address_, "--format", "json"});
  Process first = Start({"pub", "--stream", stream_, "--generate", "orders", "--rate", "5000",
                         "--wait-consumers", "3"});
  Process local = Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--format", "json"});
  Process busy =
      Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--format", "json", "--busy"});
  for (const Process* sub : {&remote, &local, &busy}) ASSERT_TRUE((*sub)->WaitForOut("\n"));
  first->Signal(SIGKILL);
  EXPECT_EQ(first->Wait(), 128 + SIGKILL);
  ASSERT_EQ(shm_unlink(stream_.c_str()), 0);
  Process second = Start({"pub", "--stream", stream_, "--generate", "orders", "--first-seq",
                          "1000000", "--count", "100", "--wait-consumers", "3"});
  EXPECT_EQ(second->Wait(), 0) << second->Err();
  for (const Process* sub : {&local, &busy}) {
    EXPECT_EQ((*sub)->Wait(), 0) << (*sub)->Err();
    EXPECT_TRUE(Has(**sub, "another producer")) << (*sub)->Err();
    EXPECT_NE((*sub)->Out().find("\"wal_seq\":1000000,"), std::string::npos) << (*sub)->Err();
    EXPECT_NE((*sub)->Out().find("\"wal_seq\":1000099,"), std::string::npos) << (*sub)->Err();
  }
  EXPECT_TRUE(remote->WaitForOut("\"wal_seq\":1000099,")) << remote->Err();
}

// As a successor of another geometry does half way. Not inlined: g++ 12 finds false overflows.
[[gnu::noinline]] void MarkReplaced(RingHeader& header, uint64_t position) {
  header.epoch_position.store(position);
  header.state.store(static_cast<uint32_t>(RingState::kReplaced));
  header.epoch.fetch_add(1);
}

TEST_F(MainJob, AReplacementIsToldOnceHoweverLongTheNameLeadsToTheOldObject) {
  Process first = Start({"pub", "--stream", stream_, "--generate", "orders", "--count", "100",
                         "--wait-consumers", "1", "--linger", "60000"});
  Process sub = Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--format", "json"});
  ASSERT_TRUE(sub->WaitForOut("\"wal_seq\":100,")) << sub->Err();
  first->Signal(SIGKILL);
  EXPECT_EQ(first->Wait(), 128 + SIGKILL);
  MarkReplaced(RawObject(stream_).header(), 100);
  ASSERT_TRUE(Eventually([&] { return Has(*sub, "another producer"); })) << sub->Err();
  Process second = Start({"pub", "--stream", stream_, "--generate", "orders", "--count", "10",
                          "--capacity", "64", "--wait-consumers", "1"});
  EXPECT_EQ(second->Wait(), 0) << second->Err();
  EXPECT_EQ(sub->Wait(), 0) << sub->Err();
  const std::string told = sub->Err();
  EXPECT_EQ(told.find("another producer"), told.rfind("another producer")) << told;
}

TEST_F(MainJob, AProducerThatBeginsAnewIsNoReorderForItsReaders) {
  Process relay = StartRelay({"--wait-clients", "1"});
  Process remote = Start({"sub", "--connect", address_, "--format", "json", "--stats"});
  Process first = Start({"pub", "--stream", stream_, "--generate", "orders", "--rate", "5000",
                         "--wait-consumers", "2"});
  Process local =
      Start({"sub", "--stream", stream_, "--wait-ms", "20000", "--format", "json", "--strict"});
  ASSERT_TRUE(local->WaitForOut("\"wal_seq\":100,"));
  ASSERT_TRUE(remote->WaitForOut("\"wal_seq\":100,"));
  first->Signal(SIGKILL);
  EXPECT_EQ(first->Wait(), 128 + SIGKILL);
  Process second = Start({"pub", "--stream", stream_, "--generate", "orders", "--count", "50"});
  EXPECT_EQ(second->Wait(), 0) << second->Err();
  EXPECT_EQ(local->Wait(), 0) << local->Err();
  EXPECT_TRUE(Eventually([&] { return Has(*remote, "another producer"); })) << remote->Err();
  remote->Signal(SIGTERM);
  EXPECT_EQ(remote->Wait(), 0);
  EXPECT_TRUE(Has(*remote, "gaps 0 (0 records), reorders 0")) << remote->Err();
}

TEST_F(MainJob, ClientsOfARelayThatWaitsForItsStreamGetItsFirstRecords) {
  Process relay = StartRelay();
  Process sub = Start({"sub", "--connect", address_, "--wait-ms", "20000"});
  ASSERT_TRUE(Eventually([&] { return Has(*relay, "joined"); })) << relay->Err();
  const std::string input = folder_ + "/input";
  WriteFile(input, "first\nsecond\n");
  Process pub = Start({"pub", "--stream", stream_, "--input", input, "--settle", "3000"});
  EXPECT_TRUE(sub->WaitForOut("first")) << sub->Err() << relay->Err();
  EXPECT_TRUE(sub->WaitForOut("second")) << sub->Err() << relay->Err();
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  EXPECT_FALSE(Has(*pub, "nobody has read")) << pub->Err();
}

TEST_F(MainJob, RecordsThatNobodyReadAreToldOf) {
  const std::string input = folder_ + "/input";
  WriteFile(input, "unheard\n");
  Process pub = Start({"pub", "--stream", stream_, "--input", input, "--settle", "0"});
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  EXPECT_TRUE(Has(*pub, "no consumer was attached to " + stream_)) << pub->Err();
}

TEST_F(MainJob, AProducerTellsWhomItDidNotWaitFor) {
  Process sub = Start({"sub", "--stream", stream_, "--wait-ms", "20000"});
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--capacity", "64",
                       "--staleness-ms", "200", "--wait-consumers", "1"});
  ASSERT_TRUE(sub->WaitForOut("\n"));
  sub->Signal(SIGSTOP);
  EXPECT_TRUE(Eventually([&] { return HasConsumers(0); }));
  pub->Signal(SIGTERM);
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  EXPECT_TRUE(Has(*pub, "evicted that had blocked the ring for --staleness-ms")) << pub->Err();
  sub->Signal(SIGCONT);
  EXPECT_EQ(sub->Wait(), 0);
  EXPECT_TRUE(Has(*sub, "lost")) << sub->Err();
}

TEST_F(MainJob, ASuccessorWaitsForReadersThatLive) {
  Process first = Start({"pub", "--stream", stream_, "--generate", "orders", "--rate", "1000",
                         "--wait-consumers", "1"});
  Process dead = Start({"sub", "--stream", stream_, "--wait-ms", "20000"});
  ASSERT_TRUE(dead->WaitForOut("\n"));
  for (const Process* process : {&dead, &first}) {
    (*process)->Signal(SIGKILL);
    EXPECT_EQ((*process)->Wait(), 128 + SIGKILL);
  }
  const std::string input = folder_ + "/input";
  WriteFile(input, "for the living\n");
  Process second = Start({"pub", "--stream", stream_, "--input", input, "--wait-consumers", "1"});
  Process sub = Start({"sub", "--stream", stream_, "--wait-ms", "20000"});
  EXPECT_EQ(second->Wait(), 0) << second->Err();
  EXPECT_EQ(sub->Wait(), 0) << sub->Err();
  EXPECT_NE(sub->Out().find("for the living"), std::string::npos);
}

TEST_F(MainJob, AKilledRelayIsReplacedOnTheSamePort) {
  Process relay = StartRelay();
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--rate", "5000",
                       "--wait-consumers", "1"});
  Process sub = Start({"sub", "--connect", address_, "--format", "json"});
  ASSERT_TRUE(sub->WaitForOut("\n")) << sub->Err();
  relay->Signal(SIGKILL);
  EXPECT_EQ(relay->Wait(), 128 + SIGKILL);
  Process again = Start({"relay", "--stream", stream_, "--listen", address_});
  ASSERT_TRUE(again->WaitForOut("listening on " + address_)) << again->Err();
  EXPECT_TRUE(Eventually([&] { return Has(*sub, "reconnected"); })) << sub->Err();
  EXPECT_TRUE(Has(*sub, "connection lost: ")) << sub->Err();
  const size_t before = sub->Out().size();
  EXPECT_TRUE(Eventually([&] { return sub->Out().size() > before; }));
  EXPECT_TRUE(pub->Running());
}

TEST_F(MainJob, AKilledClientHarmsNoOther) {
  Process relay = StartRelay({"--wait-clients", "2", "--exit-on-close", "--slow-client", "wait"});
  Process killed = Start({"sub", "--connect", address_});
  Process well = Start({"sub", "--connect", address_, "--verify", "orders", "--format", "none"});
  Process pub = Start({"pub", "--stream", stream_, "--generate", "orders", "--rate", "20000",
                       "--count", "10000", "--wait-consumers", "1"});
  ASSERT_TRUE(killed->WaitForOut("\n")) << killed->Err();
  killed->Signal(SIGKILL);
  EXPECT_EQ(well->Wait(), 0) << well->Err();
  EXPECT_TRUE(Has(*well, "received 10,000 records")) << well->Err();
  EXPECT_EQ(pub->Wait(), 0) << pub->Err();
  EXPECT_EQ(relay->Wait(), 0) << relay->Err();
}

TEST_F(MainJob, SeveralStreamsHavePortsOfTheirOwn) {
  const std::string other = stream_ + "-2";
  Process relay = Start({"relay", "--stream", stream_, "--stream", other, "--listen", "[::1]:0"});
  if (!relay->WaitForOut("listening") && Has(*relay, "EADDRNOTAVAIL")) {
    GTEST_SKIP() << "this host has no IPv6 loopback";
  }
  EXPECT_TRUE(relay->WaitForOut("for " + other)) << relay->Err();
  EXPECT_NE(relay->Out().find("listening on [::1]:"), std::string::npos);
  relay->Signal(SIGTERM);
  EXPECT_EQ(relay->Wait(), 0) << relay->Err();
}

}  // namespace
}  // namespace ombus::tools

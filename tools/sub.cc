// ombus sub: the records of a stream, printed and checked.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "tools/address.h"
#include "tools/command.h"
#include "tools/cpu.h"
#include "tools/ring_flags.h"
#include "tools/stop_signal.h"
#include "tools/sub_sources.h"

namespace ombus::tools {
namespace {

constexpr CommandText kText = {
    "sub", "--stream /name | --connect HOST:PORT [--flag value]...",
    "Prints the records of a stream of this host, or of a relay, until the stream ends.\n"
    "Begins with what is published after it attached. Gaps, reorders, evictions and\n"
    "reconnects are reported on stderr with their sequences. Exit code 3 with --strict or\n"
    "--verify if anything was missing or wrong."};

struct Options {
  SubOptions sub;
  SinkOptions sink;
  std::string format = "line", verify, backend = "auto";
  uint64_t index = kAnyConsumerIndex;
  int cpu = -1;
  bool strict = false, stats = false, no_hello = false;
  RingFlags ring;
};

FlagTable FlagsOf(Options* o) {
  FlagTable flags = {
      {"stream", "/NAME", "a stream of this host", &o->sub.consumer.name},
      {"connect", "HOST:PORT", "a relay, instead of a stream", &o->sub.connect},
      {"format", "WORD", "line, json, hex, raw (payloads byte for byte) or none",
       Choice{&o->format, {"line", "json", "hex", "raw", "none"}}},
      {"count", "N", "end after N records; 0: at the end of the stream",
       Number{&o->sink.count_max}},
      {"verify", "orders", "check every record against `pub --generate orders`",
       Choice{&o->verify, {"orders"}}},
      {"seed", "N", "of the order flow to verify", Number{&o->sink.seed}},
      {"strict", "", "exit code 3 if records are missing", &o->strict},
      {"stats", "", "a summary on stderr at the end (always with --verify or --format none)",
       &o->stats},
      {"wait-ms", "TIME",
       "wait so long for a stream or relay that is not there yet, and for a relay's first word",
       Duration{&o->sub.wait_ns}},
      {"timeout-ms", "TIME", "give up after so long without a record; 0: never",
       Duration{&o->sub.timeout_ns}},
      {"once", "", "no reconnect, and no second producer", &o->sub.once},
      {"resume-from", "N", "first wal_seq wanted from a relay", Number{&o->sub.client.resume_from}},
      {"max-retries", "N", "failed attempts to reconnect before giving up; 0: never",
       Number32{&o->sub.client.max_retries}},
      {"heartbeat-ms", "TIME", "ask the relay to say something so often, and do so too; 0: no",
       Millis{&o->sub.client.heartbeat_ms}},
      {"idle-timeout-ms", "TIME",
       "a relay silent for so long is lost; 0: three heartbeats, where it has them",
       Millis{&o->sub.client.idle_timeout_ms}},
      {"no-hello", "", "say nothing to the relay, as old clients do", &o->no_hello},
      {"backend", "WORD", "auto, uring or epoll", Choice{&o->backend, {"auto", "uring", "epoll"}}},
      {"index", "N", "this consumer line of the ring, not any free one",
       Number{&o->index, 0, 1023}},
      {"cpu", "N", "pin to this cpu", Integer{&o->cpu, -1, kCpuMax}},
      {"busy", "", "never sleep", &o->sub.busy},
  };
  o->ring.AddTo(&flags, RingFlags::Side::kConsumer);
  return flags;
}

// Turns the words of the command line into options; false: *exit_code says how it ended.
bool Prepare(Options* options, int* exit_code) {
  if (options->sub.consumer.name.empty() == options->sub.connect.empty()) {
    *exit_code = FailUsage(kText, "give either --stream /name or --connect HOST:PORT");
    return false;
  }
  if (options->sub.connect.empty() && options->sub.client.resume_from != 0) {
    *exit_code = FailUsage(kText, "--resume-from: only a relay can be asked; give --connect");
    return false;
  }
  if (!options->sub.connect.empty()) {
    const Result<HostPort> address = ParseHostPort(options->sub.connect);
    if (!address.ok() || address->port == 0) {
      *exit_code = FailUsage(kText, address.ok() ? "--connect: port 0; give the relay's port"
                                                 : address.status().message());
      return false;
    }
    options->sub.client.host = address->host;
    options->sub.client.port = address->port;
    options->sub.connect = FormatHostPort(*address);
  }
  (void)ParseFormat(options->format, &options->sink.format);
  options->sink.verify = !options->verify.empty();
  options->sub.client.hello = !options->no_hello;
  options->sub.client.backend = options->backend == "uring"   ? BackendChoice::kUring
                                : options->backend == "epoll" ? BackendChoice::kEpoll
                                                              : BackendChoice::kAuto;
  options->ring.Set(&options->sub.consumer);
  options->sub.consumer.consumer_index = static_cast<uint32_t>(options->index);
  return true;
}

}  // namespace

int RunSub(Arguments args) {
  Options options;
  int exit_code = kExitOk;
  if (!ParseOrExplain(kText, FlagsOf(&options), args, &exit_code)) return exit_code;
  if (!Prepare(&options, &exit_code)) return exit_code;
  CatchStopSignals();
  if (Status pinned = PinToCpu(options.cpu); !pinned.ok()) {
    return Fail(kText, pinned);
  }
  Output output(STDOUT_FILENO, "standard output");
  RecordSink sink(options.sink, &output);
  const uint64_t start = NowNs();
  const Status status = options.sub.connect.empty()
                            ? ReceiveFromRing(options.sub, &sink, &output)
                            : ReceiveFromServer(options.sub, &sink, &output);
  if (options.stats || options.sink.verify || options.sink.format == Format::kNone) {
    sink.PrintSummary(static_cast<double>(NowNs() - start) / 1e9);
  }
  if (!status.ok()) return Fail(kText, status);
  return (options.strict || options.sink.verify) && sink.damaged() ? kExitDataLoss : kExitOk;
}

}  // namespace ombus::tools

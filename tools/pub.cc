// ombus pub: lines, or an order flow, into a stream.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>

#include "ombus/producer.h"
#include "tools/command.h"
#include "tools/cpu.h"
#include "tools/pacer.h"
#include "tools/record_source.h"
#include "tools/ring_flags.h"
#include "tools/slot_report.h"
#include "tools/stop_signal.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

// The ring itself takes less, as libombus did; a person who asks for less has mistaken the unit.
constexpr uint32_t kSlotBytesUsualMin = 64;

constexpr CommandText kText = {
    "pub", "--stream /name [--input FILE | --generate orders] [--flag value]...",
    "Creates the stream and publishes each line of the input as a record: type 1, newline\n"
    "included, wal_seq from 1. Ends the stream after the last one; consumers drain it.\n"
    "With --generate orders, publishes a made-up order flow whose every byte a receiver\n"
    "can check (sub --verify orders)."};

constexpr uint64_t kStopCheckNs = 100'000'000;

struct PubOptions {
  ProducerOptions producer;
  std::string input = "-";
  std::string generate;
  std::string slot_size = std::to_string(kDefaultSlotBytes), sizes_path, record_sizes_path;
  uint64_t rate = 0, count = 0, seed = 1, first = 1;
  uint64_t settle_ns = 100'000'000, linger_ns = 0;
  uint32_t batch = kSourceBatchMax;
  uint32_t wait_consumers = 0;
  int cpu = -1;
  bool progress = false;
  RingFlags ring;
};

FlagTable FlagsOf(PubOptions* o) {
  FlagTable flags = {
      {"stream", "/NAME", "the stream to create", &o->producer.name},
      {"input", "FILE", "lines to publish; - is the standard input", &o->input},
      {"generate", "orders", "publish a made-up order flow instead of lines",
       Choice{&o->generate, {"orders"}}},
      {"rate", "N", "records per second, open loop; 0: as fast as consumers allow",
       Number{&o->rate, 0, 1'000'000'000}},
      {"count", "N", "stop after N records; 0: at the end of the input, or never",
       Number{&o->count}},
      {"first-seq", "N", "wal_seq of the first record", Number{&o->first}},
      {"seed", "N", "of the order flow", Number{&o->seed}},
      {"batch", "N", "records published at once", Number32{&o->batch, 1, kSourceBatchMax}},
      {"wait-consumers", "N", "hold off until N consumers are attached",
       Number32{&o->wait_consumers, 0, 1024}},
      {"settle", "TIME",
       "before the first record, for readers that wait for the stream; not with --wait-consumers",
       Duration{&o->settle_ns}},
      {"linger", "TIME", "keep the stream after the last record", Duration{&o->linger_ns}},
      {"capacity", "N", "slots of the ring, a power of two; 0: what 4 MiB hold, at least 4096",
       Number32{&o->producer.capacity}},
      {"slot-size", "BYTES", "a slot with its 24-byte header; auto: by --sizes", &o->slot_size},
      {"sizes", "FILE", "payload sizes that --slot-size auto goes by", &o->sizes_path},
      {"record-sizes", "FILE", "write the sizes of what was published there, for --sizes",
       &o->record_sizes_path},
      {"max-consumers", "N", "consumer lines of the ring", Number32{&o->producer.max_consumers}},
      {"crc", "", "seal records with CRC32C", &o->producer.crc32c},
      {"staleness-ms", "TIME",
       "evict a consumer that blocks the ring for so long without progress; 0: never",
       Duration{&o->producer.staleness_ns}},
      {"cpu", "N", "pin to this cpu", Integer{&o->cpu, -1, kCpuMax}},
      {"progress", "", "a line a second on stderr also when that is no terminal", &o->progress},
  };
  o->ring.AddTo(&flags, RingFlags::Side::kProducer);
  return flags;
}

// Publishes what a source has, on schedule, until its end, the count or a stop signal.
class Publishing {
 public:
  Publishing(const PubOptions& options, Producer* producer, RecordSource* source)
      : options_(options),
        producer_(*producer),
        source_(*source),
        start_ns_(NowNs()),
        pacer_(start_ns_, options.rate),
        show_progress_(options.progress || isatty(STDERR_FILENO) == 1),
        shown_ns_(start_ns_) {}

  uint64_t start_ns() const { return start_ns_; }

  Status Run() {
    std::array<Record, kSourceBatchMax> records;
    while (!StopRequested() && !source_.at_end() &&
           (options_.count == 0 || sent_ < options_.count)) {
      const uint64_t wanted = Wanted();
      if (wanted == 0) continue;
      const size_t count = source_.Next(options_.first + sent_, std::span(records).first(wanted));
      Status published = PublishAll(std::span<const Record>(records).first(count));
      if (!published.ok()) return published;
    }
    return source_.status();
  }

  Status SaveSizes() const {
    if (options_.record_sizes_path.empty()) return {};
    return sizes_.Save(options_.record_sizes_path);
  }

  void PrintSummary() const {
    const double seconds = static_cast<double>(NowNs() - start_ns_) / 1e9;
    std::fprintf(stderr, "published %s records, %s bytes in %.3f s: %s\n",
                 WithThousands(sent_).c_str(), WithThousands(bytes_).c_str(), seconds,
                 HumanRate(seconds > 0 ? static_cast<double>(sent_) / seconds : 0).c_str());
  }

  // Who waits for its own readers for longer than staleness, as a relay may, is evicted: said here
  // too, since the cure is here.
  void WarnOfEvictions() const {
    const uint64_t evicted = producer_.evictions();
    if (evicted == 0) return;
    std::fprintf(
        stderr,
        "%llu times a consumer was evicted that had blocked the ring for --staleness-ms: it "
        "has lost records, and knows it\n",
        static_cast<unsigned long long>(evicted));
  }
  void WarnIfUnread() {
    LookForConsumer();
    if (sent_ == 0 || seen_consumer_) return;
    std::fprintf(stderr,
                 "no consumer was attached to %s: nobody has read these records; start the readers "
                 "first, or wait for them with --wait-consumers N\n",
                 producer_.name().c_str());
  }

 private:
  // How many records may go now; sleeps when none may.
  uint64_t Wanted() {
    uint64_t wanted = options_.batch;
    if (options_.count != 0) wanted = std::min(wanted, options_.count - sent_);
    if (options_.rate == 0 && !show_progress_) return wanted;
    const uint64_t now = NowNs();
    ShowProgress(now);
    const uint64_t due = pacer_.Due(now, sent_, wanted);
    if (due == 0) SleepNs(std::min(pacer_.DueAtNs(sent_) - now, kStopCheckNs));
    return due;
  }

  void RecordSizes(std::span<const Record> records) {
    if (options_.record_sizes_path.empty()) return;
    for (const Record& record : records) sizes_.Record(record.size);
  }

  Status PublishAll(std::span<const Record> records) {
    while (!records.empty()) {
      size_t published = 0;
      const PublishResult result = producer_.PublishBatch(records, kStopCheckNs, &published);
      for (const Record& record : records.first(published)) bytes_ += record.size;
      RecordSizes(records.first(published));
      sent_ += published;
      LookForConsumer();
      records = records.subspan(published);
      if (result == PublishResult::kTooLarge) {
        return {StatusCode::kResourceExhausted,
                "publish \"" + producer_.name() + "\" record " +
                    std::to_string(records.front().wal_seq) + ": larger than the slot's " +
                    std::to_string(producer_.payload_max()) + " bytes; give a larger --slot-size"};
      }
      if (result == PublishResult::kClosed) {
        return {StatusCode::kUnavailable, "publish \"" + producer_.name() +
                                              "\": the stream has been taken over; another "
                                              "producer owns it now"};
      }
      if (StopRequested()) break;
      if (show_progress_) ShowProgress(NowNs());
    }
    return {};
  }

  void LookForConsumer() {
    if (!seen_consumer_) seen_consumer_ = producer_.live_consumers() > 0;
  }

  void ShowProgress(uint64_t now) {
    if (!show_progress_ || now - shown_ns_ < 1'000'000'000) return;
    const double seconds = static_cast<double>(now - shown_ns_) / 1e9;
    std::fprintf(stderr, "%s records, %s, %u consumers\n", WithThousands(sent_).c_str(),
                 HumanRate(static_cast<double>(sent_ - shown_sent_) / seconds).c_str(),
                 producer_.live_consumers());
    shown_ns_ = now;
    shown_sent_ = sent_;
  }

  const PubOptions& options_;
  Producer& producer_;
  RecordSource& source_;
  uint64_t start_ns_;
  Pacer pacer_;
  bool show_progress_;
  uint64_t shown_ns_, shown_sent_ = 0;
  uint64_t sent_ = 0, bytes_ = 0;
  bool seen_consumer_ = false;
  PayloadHistogram sizes_;
};

Result<int> OpenInput(const PubOptions& options) {
  if (!options.generate.empty() || options.input == "-") return STDIN_FILENO;
  const int fd = open(options.input.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info = {};
  if (fd >= 0 && fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    close(fd);
    errno = EISDIR;
  } else if (fd >= 0) {
    return fd;
  }
  return ErrnoStatus("open", options.input, errno, "give a file that can be read with --input");
}

// At the start: that a histogram cannot be written shall not come out when a day's is complete.
Status CheckCanSave(const std::string& path) {
  constexpr const char* kCure = "give --record-sizes a file in a folder of yours";
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(folder.c_str(), W_OK | X_OK) != 0) return ErrnoStatus("open", path, errno, kCure);
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return ErrnoStatus("open", path, S_ISDIR(info.st_mode) ? EISDIR : EINVAL, kCure);
  }
  return {};
}

void WaitForConsumers(const Producer& producer, uint32_t count) {
  if (count > 0 && isatty(STDERR_FILENO) == 1 && producer.live_consumers() < count) {
    std::fprintf(stderr, "waiting for %u consumers\n", count);
  }
  while (!StopRequested() && producer.live_consumers() < count) SleepNs(1'000'000);
}

void Pause(uint64_t pause_ns) {
  const uint64_t end = NowNs() + pause_ns;
  while (!StopRequested() && NowNs() < end) SleepNs(std::min(kStopCheckNs, end - NowNs()));
}

}  // namespace

int RunPub(Arguments args) {
  PubOptions options;
  options.producer.staleness_ns = 10'000'000'000;
  int exit_code = kExitOk;
  if (!ParseOrExplain(kText, FlagsOf(&options), args, &exit_code)) return exit_code;
  if (options.producer.name.empty()) return FailUsage(kText, "no stream; give --stream /name");
  if (!options.generate.empty() && options.input != "-") {
    return FailUsage(kText, "--input and --generate: two sources; give one");
  }
  if (options.producer.max_consumers < options.wait_consumers) {
    return FailUsage(kText,
                     "--wait-consumers: more than the ring has lines for; give --max-consumers");
  }
  if (!options.sizes_path.empty() && options.slot_size != "auto") {
    return FailUsage(kText, "--sizes: is what --slot-size auto goes by; give both, or neither");
  }
  const Result<uint32_t> slot_size =
      ChooseSlotSize(options.slot_size, options.sizes_path, options.producer.capacity,
                     options.producer.max_consumers);
  if (!slot_size.ok()) return Fail(kText, slot_size.status());
  if (*slot_size < kSlotBytesUsualMin || *slot_size % 8 != 0) {
    return FailUsage(kText, "--slot-size: " + std::to_string(*slot_size) +
                                " bytes; give at least 64, and a multiple of 8");
  }
  if (!options.generate.empty() && *slot_size < kSlotHeaderBytes + kOrderBytesMax) {
    return FailUsage(kText, "--slot-size: orders have up to 200 bytes; give at least 224");
  }
  options.producer.slot_size = *slot_size;
  if (options.slot_size == "auto") std::fprintf(stderr, "slots of %u bytes\n", *slot_size);
  options.ring.Set(&options.producer);
  CatchStopSignals();
  if (!options.record_sizes_path.empty()) {
    if (Status able = CheckCanSave(options.record_sizes_path); !able.ok()) return Fail(kText, able);
  }
  const Result<int> fd = OpenInput(options);
  if (!fd.ok()) return Fail(kText, fd.status());
  if (Status pinned = PinToCpu(options.cpu); !pinned.ok()) {
    return Fail(kText, pinned);
  }
  auto producer = Producer::Create(options.producer);
  if (!producer.ok()) return Fail(kText, producer.status());
  TellMemory("pub", options.producer.memory, (*producer)->memory());
  // A reader that waits for the stream tries to open it every few milliseconds; a short input must
  // not be over, and the stream gone, before that.
  if (options.wait_consumers == 0) Pause(options.settle_ns);
  WaitForConsumers(**producer, options.wait_consumers);

  OrderSource orders(options.seed);
  LineSource lines(*fd, options.input == "-" ? "standard input" : options.input,
                   (*producer)->payload_max());
  RecordSource* source = &lines;
  if (!options.generate.empty()) source = &orders;
  Publishing publishing(options, producer->get(), source);
  orders.SetSchedule(publishing.start_ns(), options.rate, options.first);
  Status status = publishing.Run();
  publishing.PrintSummary();
  if (Status saved = publishing.SaveSizes(); status.ok()) status = saved;
  if (status.ok()) Pause(options.linger_ns);
  publishing.WarnOfEvictions();
  publishing.WarnIfUnread();
  (*producer)->Close();
  return status.ok() ? kExitOk : Fail(kText, status);
}

}  // namespace ombus::tools

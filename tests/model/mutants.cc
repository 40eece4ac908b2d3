#include "tests/model/mutants.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string_view>

#include "tests/model/actions.h"

namespace ombus::model {
namespace {

// Files whose orders are not the model's, and why.
struct Outside {
  std::string_view file, why;
};
constexpr Outside kOutside[] = {
    {"ring/fence.h", "what FullFence and AcquireFence are; their callers are tried"},
    {"ring/producers_created.cc", "within one process; [superseded] is taken by the C API"},
    {"ring/ring_snapshot.cc", "an observer, which nothing depends on"},
    {"ring/shared_mapping.cc", "within one process; [mapping] has a test with ThreadSanitizer"},
};

// Orders that no scenario misses, and why the code keeps them.
struct Kept {
  std::string_view file, code;
  int nth;  // among the lines that have this code
  std::string_view why;
};
constexpr Kept kKept[] = {
    {"ring/consumer.cc", "const uint64_t head = header_->head.load(std::memory_order_acquire)", 0,
     "so that head is not of a newer epoch than the one it is compared with; a reader that joined "
     "the old one all the same would read it to its end, and be told"},
    {"ring/consumer.cc", "header_->epoch.load(std::memory_order_acquire) == epoch_", 0,
     "as every other look at it; nothing after this one relies on it"},
    {"ring/wake.cc", "FullFence();", 0,
     "where the kernel has no membarrier: a wake-up may be missed then, and sleepers look often"},
    {"ring/wake.cc", "header.waiters.exchange(0, std::memory_order_acq_rel)", 0,
     "the same: with membarrier each thread has passed a barrier before the sleeper looks"},
    {"ring/consumer.cc", "return header_->head.load(std::memory_order_acquire)", 0,
     "for callers of head()"},
    {"ring/consumer.cc", "if (header_->state.load(std::memory_order_acquire) ==", 0,
     "for callers of replaced()"},
    {"ring/consumer_open.cc", "line_->pid.store(static_cast<uint32_t>(getpid()), ", 0,
     "for callers of live_consumers()"},
    {"ring/producer.cc", "if (!LineHoldsBack(line.control.load(std::memory_order_acquire)))", 0,
     "the same"},
    {"ring/producer.cc", "if (line.pid.load(std::memory_order_acquire) == 0) continue", 0,
     "the same"},
};

// Relaxed accesses and checks that are there for a reason, too.
struct Check {
  std::string_view file, code;
  Change change;
  int nth = 0;                     // among the lines that have this code
  std::string_view scenario = {};  // where it has to be noticed
};
constexpr std::string_view kInline = "ring/include/ombus/consumer_inline.h";
constexpr std::string_view kConsumer = "ring/consumer.cc";
constexpr std::string_view kRoom = "ring/producer_room.cc";
constexpr std::string_view kCreation = "ring/producer_create.cc";
constexpr std::string_view kWake = "ring/wake.cc";
constexpr Check kChecks[] = {
    {kWake, "return syscall(SYS_membarrier, ", Change::kLeftOut},
    {kWake, "header.waiters.fetch_or(", Change::kLeftOut},
    {kWake, "header.wake_word.fetch_add(1,", Change::kLeftOut},
    {kWake, "(void)syscall(SYS_futex,", Change::kLeftOut, 1},
    {kConsumer, "line_->control.load(std::memory_order_relaxed) != live_ ||", Change::kBlind},
    {kConsumer, "header_->epoch.load(std::memory_order_relaxed) != epoch_ ||", Change::kBlind},
    {kConsumer, "header_->state.load(std::memory_order_relaxed) !=", Change::kBlind},
    {"ring/include/ombus/producer_inline.h", "if (header->waiters.load(", Change::kBlind},
    {kInline, "return (line_->control.load", Change::kBlind},
    {kInline, "if (line_->control.load(std::memory_order_relaxed) != live_)", Change::kBlind, 1},
    {kInline, "if (line->control.load(std::memory_order_relaxed) != live_)", Change::kBlind},
    {"ring/include/ombus/consumer.h", "return header_->epoch.load(", Change::kBlind},
    {kConsumer, "line_->tail.store(tail, ", Change::kLeftOut},
    {kConsumer, "line_->control.store(live_, ", Change::kLeftOut},
    {kConsumer, "MoveTo(header_->head.load(", Change::kBlind},
    {kConsumer, "const uint64_t head = header_->head.load(", Change::kBlind},
    {kConsumer, "header_->epoch.load(std::memory_order_acquire) == epoch_", Change::kBlind},
    {kConsumer, "if (line_->control.load(std::memory_order_relaxed) != live_) return",
     Change::kBlind},
    {kConsumer, "if (line_->control.load(std::memory_order_relaxed) != live_) return",
     Change::kBlind, 1},
    {kRoom, "if (line.control.compare_exchange_strong(control, free,", Change::kForced},
    {kRoom, "if (line.control.compare_exchange_strong(control, evicted,", Change::kForced},
    {kRoom, "(void)line.control.compare_exchange_strong(control, (control", Change::kForced},
    {kConsumer, "(void)line_->control.compare_exchange_strong(urged, live_,", Change::kForced},
    {kCreation, "if (line.control.compare_exchange_strong(control, free,", Change::kForced},
    {kCreation, "!line.control.compare_exchange_strong(control, (control", Change::kForced, 0,
     "producer and reader die, and another takes the line"},
    {kCreation, "!line.control.compare_exchange_strong(control, (control", Change::kLeftOut, 0,
     "replaced, and published on by who did not know"},
    {kCreation, "if (slot->seq.load(", Change::kBlind},
    {kCreation, "header.head.store(head, ", Change::kLeftOut},
    {kCreation, "header.epoch_position.store(position, ", Change::kLeftOut},
};

// All that a sleeper looks at, once others can see it, before it sleeps.
struct Look {
  std::string_view name;
  Action action;
};
constexpr Look kLooks[] = {
    {"ring/consumer_wait.cc  the last look of ArmWake", kLastLookOfArm},
    {"ring/consumer_wait.cc  the last look of Wait", kLastLookOfWait},
};

using Lines = std::vector<std::string>;

Lines ReadLines(const std::filesystem::path& path) {
  std::ifstream file(path);
  Lines lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::string Trimmed(const std::string& line) {
  const size_t begin = line.find_first_not_of(' ');
  return begin == std::string::npos ? "" : line.substr(begin);
}

std::string CodeOf(const std::string& line) {
  std::string code = Trimmed(line);
  code = code.substr(0, code.find("//"));
  code.erase(code.find_last_not_of(' ') + 1);
  return code;
}

bool Has(std::string_view code, std::string_view word) {
  return code.find(word) != std::string_view::npos;
}

// What the lint rule orders_between_processes_have_a_label looks for.
bool HasOrder(std::string_view code) {
  for (const char* order :
       {"memory_order_release", "memory_order_acquire", "memory_order_acq_rel",
        "memory_order_seq_cst", "__ATOMIC_ACQUIRE", "__ATOMIC_RELEASE", "__ATOMIC_ACQ_REL",
        "__ATOMIC_SEQ_CST", "FullFence();", "AcquireFence();", "LoadFence();"}) {
    if (Has(code, order) && !Has(code, "signal_fence")) return true;
  }
  return false;
}

// The line on which the statement of line `at` begins.
size_t BeginOf(const Lines& lines, size_t at) {
  while (at > 0) {
    const std::string before = CodeOf(lines[at - 1]);
    if (before.empty() || std::string_view(";{}:").find(before.back()) != std::string_view::npos)
      break;
    --at;
  }
  return at;
}

// The line on which its arguments end.
size_t EndOf(const Lines& lines, size_t at) {
  while (at + 1 < lines.size() && CodeOf(lines[at]).ends_with(',')) ++at;
  return at;
}

// LoadFence is one place of two callers, told apart by what the thread is doing.
int ActionOf(const Lines& lines, size_t at) {
  for (; at > 0; --at) {
    if (Has(lines[at], "Consumer::valid()")) return kValid;
    if (Has(lines[at], "Consumer::TryCopyOut(")) return kCopyOut;
  }
  return -1;
}

std::string NameOf(const std::string& file, size_t at, const std::string& code) {
  return file + ":" + std::to_string(at + 1) + "  " + code;
}

// The nth line that has this code; none: lines.size().
size_t FindCode(const Lines& lines, std::string_view code, int nth) {
  size_t at = 0;
  while (at < lines.size() && (!Has(lines[at], code) || nth-- != 0)) ++at;
  return at;
}

std::string ReasonFor(const std::string& file, const Lines& lines, size_t at) {
  for (const Kept& kept : kKept) {
    if (kept.file == file && FindCode(lines, kept.code, kept.nth) == at)
      return std::string(kept.why);
  }
  return "";
}

void AddOrders(const std::string& file, const Lines& lines, std::vector<Suspect>* suspects) {
  for (size_t at = 0; at < lines.size(); ++at) {
    const std::string code = CodeOf(lines[at]);
    if (!HasOrder(code)) continue;
    Suspect suspect;
    suspect.mutant = {.change = Change::kRelaxed,
                      .file = file,
                      .first_line = static_cast<int>(BeginOf(lines, at)) + 1,
                      .last_line = static_cast<int>(at) + 1};
    suspect.name = NameOf(file, at, code);
    suspect.reason = ReasonFor(file, lines, at);
    if (Has(code, "LoadFence();")) suspect.mutant.action = ActionOf(lines, at);
    suspects->push_back(suspect);
    if (!Has(code, "FullFence();")) continue;
    suspect.mutant.change = Change::kNoSc;
    suspect.name += "  acquire and release";
    suspects->push_back(suspect);
  }
}

}  // namespace

std::vector<Suspect> FindSuspects(const std::string& root) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root + "/ring")) {
    const std::string extension = entry.path().extension();
    if (extension == ".h" || extension == ".cc") {
      files.push_back(std::filesystem::relative(entry.path(), root));
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<Suspect> suspects;
  Mutant load_fence;
  for (const std::string& file : files) {
    if (std::any_of(std::begin(kOutside), std::end(kOutside),
                    [&](const Outside& outside) { return outside.file == file; })) {
      continue;
    }
    AddOrders(file, ReadLines(root + "/" + file), &suspects);
  }
  // A fence by way of LoadFence is at LoadFence's own.
  for (const Suspect& suspect : suspects) {
    if (Has(suspect.name, "__atomic_thread_fence")) load_fence = suspect.mutant;
  }
  for (Suspect& suspect : suspects) {
    if (!Has(suspect.name, "LoadFence();")) continue;
    const int action = suspect.mutant.action;
    suspect.mutant = load_fence;
    suspect.mutant.action = action;
  }
  for (const Check& check : kChecks) {
    const std::string file(check.file);
    const Lines lines = ReadLines(root + "/" + file);
    const size_t at = FindCode(lines, check.code, check.nth);
    if (at == lines.size()) {
      std::fprintf(stderr, "model: %s has no \"%s\"\n", file.c_str(),
                   std::string(check.code).c_str());
      return {};
    }
    suspects.push_back({.mutant = {.change = check.change,
                                   .file = file,
                                   .first_line = static_cast<int>(at) + 1,
                                   .last_line = static_cast<int>(EndOf(lines, at)) + 1},
                        .name = NameOf(file, at, CodeOf(lines[at])) +
                                (check.change == Change::kForced ? "  in any case" : "  left out"),
                        .reason = "",
                        .scenario = std::string(check.scenario)});
  }
  for (const Look& look : kLooks) {
    suspects.push_back({.mutant = {.change = Change::kBlind,
                                   .file = "",  // any
                                   .last_line = std::numeric_limits<int>::max(),
                                   .action = look.action},
                        .name = std::string(look.name) + "  left out",
                        .reason = ""});
  }
  return suspects;
}

}  // namespace ombus::model

// The ring in torture: a producer and readers as processes of their own that are stopped, killed
// and started again, while readers check every byte and hold what they miss against what they were
// told. See docs/torture.md.
//
//   ombus_torture [--records N | --seconds N] [--seed N] [--only TEXT]
//
// In rounds of several plans, until N records in all were published, or for about N seconds, five
// if not said. Exit code 1 with the first fault.
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/torture/round.h"

namespace ombus::torture {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;

constexpr Plan kPlans[] = {
    {.name = "steady", .share = 640, .capacity = 16384},
    {.name = "full most of the time, sealed",
     .share = 6,
     .capacity = 16,
     .slot_size = 232,
     .crc32c = true},
    {.name = "sleepers", .share = 30, .sleepers = true, .stalls = true},
    {.name = "killed readers",
     .share = 105,
     .capacity = 512,
     .kills_readers = true,
     .stalls = true},
    {.name = "killed producers", .share = 90, .capacity = 512, .kills_producer = true},
    {.name = "killed, stopped and asleep, all of them",
     .share = 30,
     .capacity = 128,
     .crc32c = true,
     .sleepers = true,
     .kills_readers = true,
     .kills_producer = true,
     .stalls = true},
    {.name = "replaced by another object",
     .share = 15,
     .capacity = 128,
     .sleepers = true,
     .stalls = true,
     .replaces = true},
    {.name = "eviction storm", .share = 42, .capacity = 64, .staleness_ns = kMs, .stalls = true},
    {.name = "eviction storm with kills",
     .share = 42,
     .crc32c = true,
     .staleness_ns = kMs,
     .sleepers = true,
     .kills_readers = true,
     .kills_producer = true,
     .stalls = true},
};

struct Options {
  uint64_t records = 0;  // 0: by time
  uint64_t seconds = 5;
  uint64_t seed = 1;
  std::string_view only;
};

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (i + 1 == argc) return false;
    if (flag == "--only") {
      options->only = argv[i + 1];
      continue;
    }
    char* end = nullptr;
    const uint64_t value = strtoull(argv[i + 1], &end, 10);
    if (*end != '\0' || argv[i + 1][0] == '-' || end == argv[i + 1]) return false;
    if (flag == "--records" && value > 0) {
      options->records = value;
    } else if (flag == "--seconds" && value > 0 && value < 1'000'000) {
      options->seconds = value;
    } else if (flag == "--seed") {
      options->seed = value;
    } else {
      return false;
    }
  }
  return true;
}

void Print(const char* name, const Sums& sums) {
  std::printf(
      "%s\n"
      "  rounds %" PRIu64 ", %" PRIu64 " of them over 2^64; published %" PRIu64
      ", delivered and checked %" PRIu64
      "\n"
      "  kills %" PRIu64 ", stalls %" PRIu64 ", takeovers %" PRIu64 ", replacements %" PRIu64
      ", joins %" PRIu64 ", epoch changes told %" PRIu64
      "\n"
      "  evictions told %" PRIu64 ", records lost and told %" PRIu64 ", torn views told %" PRIu64
      "\n",
      name, sums.rounds, sums.wraps, sums.published, sums.delivered, sums.kills, sums.stalls,
      sums.takeovers, sums.replacements, sums.joins, sums.epochs, sums.evictions, sums.lost,
      sums.torn_told);
  std::fflush(stdout);
}

void Add(const Sums& from, Sums* to) {
  static_assert(sizeof(Sums) == 13 * sizeof(uint64_t));
  to->rounds += from.rounds, to->wraps += from.wraps;
  to->published += from.published, to->delivered += from.delivered, to->lost += from.lost;
  to->evictions += from.evictions, to->joins += from.joins, to->epochs += from.epochs;
  to->torn_told += from.torn_told, to->takeovers += from.takeovers;
  to->replacements += from.replacements, to->kills += from.kills, to->stalls += from.stalls;
}

const char* NameOf(const Round& round) {
  if (round.hung()) return "hang";
  if (round.fault() == Fault::kTornRead) return "undetected torn read";
  return round.fault() == Fault::kSilentGap ? "silent gap" : "other";
}

// One plan's part, in rounds that are long enough to settle and short enough to be many; every
// other one goes over 2^64.
bool RunPlan(const Plan& plan, uint64_t records, uint64_t time_ns, uint64_t seed, Sums* sums) {
  const uint64_t rounds = records == 0 ? 2 : std::clamp<uint64_t>(records / 2'000'000, 2, 100);
  for (uint64_t i = 0; i < rounds; ++i) {
    const uint64_t part =
        records == 0 ? ~uint64_t{0} >> 1 : records / rounds + (i < records % rounds ? 1 : 0);
    Round round(plan, part, time_ns / rounds, seed + i, i % 2 == 1);
    if (round.Run(sums)) continue;
    std::printf("FAULT in \"%s\", seed %" PRIu64 " (%s): %s\n", plan.name, seed + i, NameOf(round),
                round.text());
    return false;
  }
  return true;
}

bool Chosen(const Options& options, const Plan& plan) {
  return std::string_view(plan.name).find(options.only) != std::string_view::npos;
}

int Run(const Options& options) {
  Sums all;
  uint64_t seed = options.seed;
  uint64_t shares = 0, plans = 0;
  for (const Plan& plan : kPlans) {
    if (!Chosen(options, plan)) continue;
    shares += plan.share;
    ++plans;
  }
  for (const Plan& plan : kPlans) {
    seed += 1000;
    if (!Chosen(options, plan)) continue;
    const uint64_t records = options.records * plan.share / shares;
    const uint64_t time_ns = options.records != 0 ? 0 : options.seconds * kSecond / plans;
    Sums sums;
    if (!RunPlan(plan, records, time_ns, seed, &sums)) return 1;
    Print(plan.name, sums);
    Add(sums, &all);
  }
  if (shares == 0) {
    std::fprintf(stderr, "--only: no plan has that in its name\n");
    return 2;
  }
  Print("in all", all);
  std::printf("undetected torn reads 0, silent gaps 0, hangs 0\n");
  return 0;
}

}  // namespace
}  // namespace ombus::torture

int main(int argc, char** argv) {
  ombus::torture::Options options;
  if (!ombus::torture::Parse(argc, argv, &options)) {
    std::fprintf(stderr,
                 "usage: ombus_torture [--records N | --seconds N] [--seed N] [--only TEXT]\n");
    return 2;
  }
  return ombus::torture::Run(options);
}

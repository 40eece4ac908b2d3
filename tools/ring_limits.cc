// Running the contenders in turn, and putting their figures side by side.
#include "tools/ring_limits.h"

#include <algorithm>
#include <cstdio>

#include "tools/json.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

constexpr int kAttempts = 5;  // at a slice that the host spoils

// All of one contender, a value per run in each figure.
struct Standing {
  std::vector<Figure> metrics;
  Figure round_trip{"round_trip_ns", {}};
  uint32_t spoiled = 0;  // runs that the host spoiled at every attempt
};
using Standings = std::vector<Standing>;  // one per contender

Status RunOnce(const Workload& workload, const Contender& contender, Standing* standing) {
  for (int attempt = 1;; ++attempt) {
    const Result<Slice> slice = contender.run();
    if (!slice.ok()) {
      return {slice.status().code(),
              workload.name + ": " + contender.name + ": " + slice.status().message()};
    }
    const RoundTrip& trip = (*slice).round_trip;
    if (trip.spoils() && attempt < kAttempts) continue;
    standing->spoiled += trip.spoils();
    if (trip.before_ns != 0) standing->round_trip.values.push_back(trip.worse_ns());
    standing->metrics.resize(workload.metrics.size());
    for (size_t m = 0; m < workload.metrics.size(); ++m) {
      standing->metrics[m].name = workload.metrics[m];
      standing->metrics[m].values.push_back((*slice).values[m]);
    }
    return {};
  }
}

// The fastest of a role in one run; 0 if there is none.
double Best(const Workload& workload, const Standings& all, Role role, size_t metric, size_t run) {
  double best = 0;
  for (size_t c = 0; c < all.size(); ++c) {
    if (workload.contenders[c].role != role) continue;
    const double value = all[c].metrics[metric].values[run];
    if (best == 0 || value < best) best = value;
  }
  return best;
}

// Whether a contender's ratios to the yardsticks are shown.
bool IsCompared(Role role) {
  return role == Role::kOmbus || role == Role::kLeast || role == Role::kBareSum;
}

// One contender against the others of its runs, for one metric.
struct Comparison {
  Figure ns;
  Figure bare_ratio{"bare_ratio", {}};          // × the faster bare one
  Figure classic_ratio{"classic_ratio", {}};    // how many times as long the classic one takes
  Figure baseline_ratio{"baseline_ratio", {}};  // × the baseline
  Figure extra_ns{"extra_ns", {}};              // over the baseline
  Target target;
};

Comparison Compare(const Workload& workload, const Standings& all, size_t contender,
                   size_t metric) {
  Comparison result;
  result.ns = all[contender].metrics[metric];
  const std::vector<Target>& targets = workload.contenders[contender].targets;
  if (metric < targets.size()) result.target = targets[metric];
  for (size_t run = 0; run < result.ns.values.size(); ++run) {
    const double ns = result.ns.values[run];
    const double bare = Best(workload, all, Role::kBare, metric, run);
    const double classic = Best(workload, all, Role::kClassic, metric, run);
    const bool is_sum = workload.contenders[contender].role == Role::kBareSum;
    const double baseline = is_sum ? bare : Best(workload, all, Role::kBaseline, metric, run);
    if (bare > 0) result.bare_ratio.values.push_back(ns / bare);
    if (classic > 0) result.classic_ratio.values.push_back(classic / ns);
    if (baseline > 0) result.baseline_ratio.values.push_back(ns / baseline);
    if (baseline > 0) result.extra_ns.values.push_back(ns - baseline);
  }
  return result;
}

std::string Spread(const Figure& figure, int decimals) {
  if (figure.values.empty()) return "";
  return Fixed(figure.median(), decimals) + " (" + Fixed(figure.min(), decimals) + "–" +
         Fixed(figure.max(), decimals) + ")";
}

std::string Judged(const Figure& figure, double limit, bool at_most, int decimals) {
  std::string text = Spread(figure, decimals);
  if (limit == 0 || figure.values.empty()) return text;
  const bool met = at_most ? figure.median() <= limit : figure.median() >= limit;
  return text + (at_most ? " ≤ " : " ≥ ") + Fixed(limit, decimals) + (met ? "" : " MISSED");
}

void AddRow(const Workload& workload, size_t contender, const Comparison& c, Table* table) {
  const Role role = workload.contenders[contender].role;
  std::string bare, classic, baseline;
  if (IsCompared(role)) {
    bare = Judged(c.bare_ratio, c.target.bare_at_most, true, 2);
    classic = Judged(c.classic_ratio, c.target.classic_at_least, false, 2);
    baseline = c.target.extra_ns_at_most > 0
                   ? "+ " + Judged(c.extra_ns, c.target.extra_ns_at_most, true, 1) + " ns"
                   : Judged(c.baseline_ratio, c.target.baseline_at_most, true, 2);
  }
  table->Add({"  " + workload.contenders[contender].name, c.ns.name, Spread(c.ns, 1), bare, classic,
              baseline});
}

void Print(const Workload& workload, const Standings& all) {
  std::printf("%s\n", workload.name.c_str());
  Table table(
      {"  contender", "figure", "median (min–max)", "× bare", "classic ÷ it", "to baseline"});
  uint32_t spoiled = 0;
  Figure trips;
  for (size_t c = 0; c < all.size(); ++c) {
    spoiled += all[c].spoiled;
    const std::vector<double>& some = all[c].round_trip.values;
    trips.values.insert(trips.values.end(), some.begin(), some.end());
    for (size_t m = 0; m < workload.metrics.size(); ++m) {
      AddRow(workload, c, Compare(workload, all, c, m), &table);
    }
  }
  std::fputs(table.Text().c_str(), stdout);
  if (!trips.values.empty()) {
    std::printf("  round trip of a line between the two cores: %s ns\n", Spread(trips, 0).c_str());
  }
  if (spoiled > 0) {
    std::printf("  SPOILED: in %u slices the two processes did not have a core each\n", spoiled);
  }
}

void AddFigure(const Figure& figure, JsonObject* object) {
  if (figure.values.empty()) return;
  object->Add(figure.name, JsonObject()
                               .Add("median", figure.median())
                               .Add("min", figure.min())
                               .Add("max", figure.max()));
}

void PrintJson(const Workload& workload, const Standings& all) {
  for (size_t c = 0; c < all.size(); ++c) {
    const Contender& contender = workload.contenders[c];
    for (size_t m = 0; m < workload.metrics.size(); ++m) {
      const Comparison compared = Compare(workload, all, c, m);
      JsonObject object;
      object.Add("mode", "limits").Add("workload", workload.name).Add("contender", contender.name);
      object.Add("figure", compared.ns.name).Add("spoiled_slices", all[c].spoiled);
      AddFigure({"ns", compared.ns.values}, &object);
      AddFigure(all[c].round_trip, &object);
      if (IsCompared(contender.role)) {
        for (const Figure* figure : {&compared.bare_ratio, &compared.classic_ratio,
                                     &compared.baseline_ratio, &compared.extra_ns}) {
          AddFigure(*figure, &object);
        }
      }
      std::printf("%s\n", object.text().c_str());
    }
  }
}

}  // namespace

Status RunLimits(const BenchOptions& options, bool json) {
  std::vector<Workload> workloads;
  AddThreadWorkloads(options, &workloads);
  AddPairWorkloads(options, &workloads);
  AddLatencyWorkloads(options, &workloads);
  AddConsumersWorkloads(options, &workloads);
  AddMemoryWorkloads(options, &workloads);
  std::erase_if(workloads, [&options](const Workload& workload) {
    return workload.name.find(options.only) == std::string::npos;
  });
  if (workloads.empty()) {
    return {StatusCode::kInvalidArgument, "--only \"" + options.only +
                                              "\": no workload's name has that in it; see them "
                                              "all with --runs 1 --shm-iters 1000"};
  }
  std::vector<Standings> standings;
  for (const Workload& workload : workloads) standings.emplace_back(workload.contenders.size());
  for (uint32_t run = 0; run < options.runs; ++run) {
    for (size_t w = 0; w < workloads.size(); ++w) {
      const std::vector<Contender>& contenders = workloads[w].contenders;
      for (size_t i = 0; i < contenders.size(); ++i) {
        const size_t c = (i + run) % contenders.size();  // nobody always goes first
        Status status = RunOnce(workloads[w], contenders[c], &standings[w][c]);
        if (!status.ok()) return status;
      }
    }
  }
  for (size_t w = 0; w < workloads.size(); ++w) {
    json ? PrintJson(workloads[w], standings[w]) : Print(workloads[w], standings[w]);
  }
  return {};
}

}  // namespace ombus::tools

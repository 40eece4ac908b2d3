// The model's program: explores every scenario with the ring as it is, then with each change that
// mutants.h finds, until a scenario fails.
//
//   ombus_model ROOT [--more N] [--list] [--trace] [--scenario TEXT] [--only TEXT]
//
// tools/model says what they do. Exit code 0: all is as expected. What was begun stands in the last
// line of the output, so that a run that is ended from outside says where.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/model/mutants.h"
#include "tests/model/scenarios.h"

namespace ombus::model {
namespace {

struct Flags {
  std::string root;
  std::string only;      // changes whose name has this
  std::string scenario;  // scenarios whose name has this
  bool list = false;
  bool trace = false;
};

struct Explored {
  const Scenario* scenario;
  Findings findings;
};

double CpuSeconds() {
  struct timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

bool Touches(const Findings& findings, const Mutant& mutant) {
  return std::any_of(findings.places.begin(), findings.places.end(),
                     [&](const Place& place) { return Reaches(mutant, place); });
}

void SayScenario(const Findings& findings, double seconds) {
  const bool sound = !findings.failed && findings.complete;
  std::printf("%s: %llu states, %llu executions, %.1f s, %zu MiB%s%s\n", sound ? "holds" : "NOT OK",
              static_cast<unsigned long long>(findings.states),
              static_cast<unsigned long long>(findings.executions), seconds,
              (findings.bytes + (1 << 20) - 1) >> 20, sound ? "" : ": ", findings.what.c_str());
}

std::vector<const Scenario*> ScenariosWith(const std::string& text) {
  std::vector<const Scenario*> chosen;
  for (const auto& scenarios :
       {ScenariosOfOneProducer(), ScenariosOfSuccession(), ScenariosOfSleep()}) {
    for (const Scenario& scenario : scenarios) {
      if (std::string(scenario.name).find(text) != std::string::npos) chosen.push_back(&scenario);
    }
  }
  return chosen;
}

// Each chosen scenario with the code as it is, smallest first. False: one failed, or has no end.
bool ExploreAll(const Flags& flags, std::vector<Explored>* explored) {
  bool sound = true;
  for (const Scenario* const chosen : ScenariosWith(flags.scenario)) {
    const Scenario& scenario = *chosen;
    std::printf("%s: ", scenario.name);
    std::fflush(stdout);
    const double begun = CpuSeconds();
    Findings findings = Explore(scenario, Mutant());
    SayScenario(findings, CpuSeconds() - begun);
    if (findings.failed && flags.trace) TraceLastFailure(scenario, Mutant());
    sound = sound && !findings.failed && findings.complete;
    explored->push_back({&scenario, std::move(findings)});
  }
  std::sort(explored->begin(), explored->end(), [](const Explored& a, const Explored& b) {
    return a.findings.executions < b.findings.executions;
  });
  return sound;
}

// What became of a change of the ring.
struct Trial {
  const Scenario* by = nullptr;  // fails with it, or has no end with it
  Findings findings;

  bool AsExpected(const Suspect& suspect) const {
    return by == nullptr ? !suspect.reason.empty() : suspect.reason.empty() && findings.failed;
  }
};

Trial Try(const std::vector<Explored>& explored, const Suspect& suspect) {
  for (const Explored& candidate : explored) {
    if (!Touches(candidate.findings, suspect.mutant)) continue;
    if (!suspect.scenario.empty() && suspect.scenario != candidate.scenario->name) continue;
    Findings findings = Explore(*candidate.scenario, suspect.mutant);
    if (findings.failed || !findings.complete)
      return {.by = candidate.scenario, .findings = std::move(findings)};
  }
  return Trial();
}

void Say(const Suspect& suspect, const Trial& trial, double seconds) {
  std::printf("%s, %.1f s\n", trial.AsExpected(suspect) ? "ok" : "NOT OK", seconds);
  if (trial.by != nullptr) {
    std::printf("    %s: %s\n", trial.by->name, trial.findings.what.c_str());
  } else {
    std::printf("    no scenario fails; %s\n",
                suspect.reason.empty() ? "is it needed?" : suspect.reason.c_str());
  }
  if (trial.by != nullptr && !suspect.reason.empty())
    std::printf("    and mutants.cc says why none would: %s\n", suspect.reason.c_str());
}

int Run(const Flags& flags) {
  std::vector<Explored> explored;
  if (!ExploreAll(flags, &explored)) return 1;
  const std::vector<Suspect> suspects = FindSuspects(flags.root);
  if (suspects.empty()) return 1;
  int noticed = 0, kept = 0, wrong = 0;
  const double begun = CpuSeconds();
  for (const Suspect& suspect : suspects) {
    if (suspect.name.find(flags.only) == std::string::npos) continue;
    if (flags.list) std::printf("%s: ", suspect.name.c_str());
    std::fflush(stdout);
    const double suspect_begun = CpuSeconds();
    const Trial trial = Try(explored, suspect);
    const bool as_expected = trial.AsExpected(suspect);
    if (!as_expected && !flags.list) std::printf("%s: ", suspect.name.c_str());
    if (!as_expected || flags.list) Say(suspect, trial, CpuSeconds() - suspect_begun);
    if (trial.findings.failed && flags.trace) TraceLastFailure(*trial.by, suspect.mutant);
    (trial.by != nullptr ? noticed : kept) += as_expected ? 1 : 0;
    wrong += as_expected ? 0 : 1;
  }
  std::printf(
      "model: %zu scenarios hold; of the changes %d are noticed, %d are not and need not be, "
      "%d are not as expected; %.1f s\n",
      explored.size(), noticed, kept, wrong, CpuSeconds() - begun);
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ombus::model

int main(int argc, char** argv) {
  ombus::model::Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--list") {
      flags.list = true;
    } else if (word == "--trace") {
      flags.trace = true;
    } else if (word == "--only" && i + 1 < argc) {
      flags.only = argv[++i];
    } else if (word == "--scenario" && i + 1 < argc) {
      flags.scenario = argv[++i];
    } else if (word == "--more" && i + 1 < argc) {
      ombus::model::more_calls = std::atoi(argv[++i]);
    } else {
      flags.root = word;
    }
  }
  return ombus::model::Run(flags);
}

// The model's program: explores every scenario with the ring as it is, then with each change that
// mutants.h finds, until a scenario fails.
//
//   ombus_model ROOT [--more N] [--list] [--trace] [--only TEXT]      (tools/model says what they
//   do)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/model/mutants.h"
#include "tests/model/scenarios.h"

namespace ombus::model {
namespace {

constexpr uint64_t kExecutionsMax = 1'000'000'000;

struct Flags {
  std::string root;
  std::string only;  // changes whose name has this
  bool list = false;
  bool trace = false;
};

struct Explored {
  const Scenario* scenario;
  Findings findings;
};

bool Touches(const Findings& findings, const Mutant& mutant) {
  return std::any_of(findings.places.begin(), findings.places.end(),
                     [&](const Place& place) { return Reaches(mutant, place); });
}

// Every scenario with the code as it is, smallest first. False: one failed.
bool ExploreAll(const Flags& flags, std::vector<Explored>* explored) {
  bool sound = true;
  for (const Scenario& scenario : Scenarios()) {
    Findings findings = Explore(scenario, Mutant(), kExecutionsMax);
    std::printf("%s %s: %llu states, %llu executions%s%s\n", findings.failed ? "not ok" : "ok",
                scenario.name, static_cast<unsigned long long>(findings.states),
                static_cast<unsigned long long>(findings.executions), findings.failed ? ": " : "",
                findings.what.c_str());
    std::fflush(stdout);
    if (findings.failed && flags.trace) TraceLastFailure(scenario, Mutant());
    sound = sound && !findings.failed;
    explored->push_back({&scenario, std::move(findings)});
  }
  std::sort(explored->begin(), explored->end(), [](const Explored& a, const Explored& b) {
    return a.findings.executions < b.findings.executions;
  });
  return sound;
}

// Which scenario fails with the change, and how; null: none.
const Scenario* WhoNotices(const std::vector<Explored>& explored, const Suspect& suspect,
                           std::string* what) {
  for (const Explored& candidate : explored) {
    if (!Touches(candidate.findings, suspect.mutant)) continue;
    const Findings findings = Explore(*candidate.scenario, suspect.mutant, kExecutionsMax);
    if (!findings.failed) continue;
    *what = findings.what;
    return candidate.scenario;
  }
  return nullptr;
}

void Say(const Suspect& suspect, const Scenario* by, const std::string& what) {
  const bool as_expected = (by != nullptr) == suspect.reason.empty();
  std::printf("%s %s\n", as_expected ? "ok" : "not ok", suspect.name.c_str());
  if (by != nullptr) {
    std::printf("    %s: %s\n", by->name, what.c_str());
  } else {
    std::printf("    no scenario fails; %s\n",
                suspect.reason.empty() ? "is it needed?" : suspect.reason.c_str());
  }
  if (by != nullptr && !suspect.reason.empty())
    std::printf("    and mutants.cc says why none would: %s\n", suspect.reason.c_str());
  std::fflush(stdout);
}

int Run(const Flags& flags) {
  std::vector<Explored> explored;
  if (!ExploreAll(flags, &explored)) return 1;
  const std::vector<Suspect> suspects = FindSuspects(flags.root);
  if (suspects.empty()) return 1;
  int noticed = 0, kept = 0, wrong = 0;
  for (const Suspect& suspect : suspects) {
    if (suspect.name.find(flags.only) == std::string::npos) continue;
    std::string what;
    const Scenario* const by = WhoNotices(explored, suspect, &what);
    const bool as_expected = (by != nullptr) == suspect.reason.empty();
    if (!as_expected || flags.list) Say(suspect, by, what);
    if (by != nullptr && flags.trace) TraceLastFailure(*by, suspect.mutant);
    (by != nullptr ? noticed : kept) += as_expected ? 1 : 0;
    wrong += as_expected ? 0 : 1;
  }
  std::printf(
      "model: %zu scenarios hold; of the changes %d are noticed, %d are not and need not be, "
      "%d are not as expected\n",
      explored.size(), noticed, kept, wrong);
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
    } else if (word == "--more" && i + 1 < argc) {
      ombus::model::more_calls = std::atoi(argv[++i]);
    } else {
      flags.root = word;
    }
  }
  return ombus::model::Run(flags);
}

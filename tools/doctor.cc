// ombus doctor: what of this host is in ombus' way, and what helps.
#include <cstdio>
#include <string>
#include <vector>

#include "net/limits.h"
#include "tools/command.h"
#include "tools/doctor_checks.h"
#include "tools/errno_status.h"
#include "tools/json.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

constexpr CommandText kText = {
    "doctor", "[--flag value]...",
    "Looks at this host, as this user: io_uring and what blocks it, limits, /dev/shm, huge\n"
    "pages, cpus, NUMA, TCP. Each line has a verdict, ok, note, warn or FAIL, and the cure.\n"
    "Exit code 1 when something will not work (FAIL), else 0. Changes nothing."};

struct Options {
  DoctorNeeds needs;
  bool json = false, quiet = false;
};

FlagTable FlagsOf(Options* o) {
  return {
      {"clients", "N", "so many TCP clients are to be served",
       Number{&o->needs.clients, 1, net::kClientsMax}},
      {"log-bytes", "BYTES", "size of the relay's broadcast log", Bytes{&o->needs.log_bytes}},
      {"ring-bytes", "BYTES", "size of all streams in /dev/shm", Bytes{&o->needs.ring_bytes}},
      {"quiet", "", "leave out what is ok", &o->quiet},
      {"json", "", "an object a line", &o->json},
  };
}

std::vector<Finding> Examine(const DoctorNeeds& needs) {
  std::vector<Finding> findings = CheckIoUring();
  findings.push_back(CheckShm("/dev/shm", needs.ring_bytes));
  for (Finding& finding : CheckHost("", ReadHostLimits(), needs)) {
    findings.push_back(std::move(finding));
  }
  return findings;
}

void Print(const std::vector<Finding>& findings, bool json) {
  for (const Finding& finding : findings) {
    if (json) {
      const std::string object = JsonObject()
                                     .Add("check", finding.check)
                                     .Add("verdict", NameOf(finding.health))
                                     .Add("fact", finding.fact)
                                     .Add("cure", finding.cure)
                                     .text();
      std::printf("%s\n", object.c_str());
      continue;
    }
    std::printf("%-5s%-16s%s\n", NameOf(finding.health), finding.check.c_str(),
                finding.fact.c_str());
    if (!finding.cure.empty()) std::printf("%21s-> %s\n", "", finding.cure.c_str());
  }
}

}  // namespace

int RunDoctor(Arguments args) {
  Options options;
  int exit_code = kExitOk;
  if (!ParseOrExplain(kText, FlagsOf(&options), args, &exit_code)) return exit_code;
  std::vector<Finding> findings = Examine(options.needs);
  for (const Finding& finding : findings) {
    if (finding.health == Health::kFail) exit_code = kExitFailure;
  }
  if (options.quiet) {
    std::erase_if(findings, [](const Finding& f) { return f.health == Health::kOk; });
  }
  Print(findings, options.json);
  const int flushed = FlushStandardOutput(kText.name);
  return flushed == kExitOk ? exit_code : flushed;
}

}  // namespace ombus::tools

// ombus: one command, its subcommands by name.
#include <fcntl.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tools/bus_error.h"
#include "tools/command.h"

namespace ombus::tools {
namespace {

struct Command {
  std::string_view name;
  const char* summary;
  int (*run)(Arguments);
};

constexpr Command kCommands[] = {
    {"pub", "publish lines, or a generated order flow, to a stream", RunPub},
    {"sub", "print the records of a stream, from this host or over TCP", RunSub},
    {"relay", "broadcast streams over TCP", RunRelay},
    {"stat", "show a stream's head, consumers and rates", RunStat},
    {"bench", "measure this host", RunBench},
    {"doctor", "say what of this host is in the way, and what helps", RunDoctor},
};

void PrintUsage(std::FILE* file) {
  std::fprintf(file, "usage: ombus COMMAND [--flag value]...\n\n");
  for (const Command& command : kCommands) {
    std::fprintf(file, "  %-7s%s\n", command.name.data(), command.summary);
  }
  std::fprintf(file,
               "\n`ombus help COMMAND` lists a command's flags; `ombus --version` the version.\n"
               "Exit codes: 0 well, 1 failed while running, 2 wrong command line,\n"
               "3 records missing or wrong (with --strict or --verify).\n");
}

int RunNamed(std::string_view name, Arguments args) {
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) {
    if (command.name == name) return command.run(args);
    names.push_back(command.name);
  }
  const std::string_view near = NearestWord(name, names);
  std::fprintf(
      stderr, "ombus: command \"%s\": no such command; %s\n", std::string(name).c_str(),
      near.empty() ? "see ombus --help" : ("did you mean " + std::string(near) + "?").c_str());
  return kExitUsage;
}

// Whoever starts us with a standard descriptor closed must not have a ring or a socket take its
// number, and then our output go there. What stands in refuses reads and writes as a closed one
// does.
void FillStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is fd: those below were filled.
    (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
  }
}

int Main(Arguments args) {
  FillStandardDescriptors();
  if (args.empty()) {
    PrintUsage(stderr);
    return kExitUsage;
  }
  if (args[0] == "--version") {
    std::printf("ombus %s\n", OMBUS_VERSION);
    return FlushStandardOutput(args[0]);
  }
  const bool help = args[0] == "help" || args[0] == "--help" || args[0] == "-h";
  if (help && args.size() == 1) {
    PrintUsage(stdout);
    return FlushStandardOutput(args[0]);
  }
  if (help) {
    constexpr std::string_view kHelp[] = {"--help"};
    return RunNamed(args[1], kHelp);
  }
  return RunNamed(args[0], args.subspan(1));
}

}  // namespace
}  // namespace ombus::tools

int main(int argc, char** argv) {
  // A reader of our output that goes away is an error of write, not the end of this process.
  std::signal(SIGPIPE, SIG_IGN);
  ombus::tools::ExplainBusErrors();
  const std::vector<std::string_view> args(argv + 1, argv + argc);
  return ombus::tools::Main(args);
}

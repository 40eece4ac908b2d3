// What every subcommand is: a name, a line of help, and a function from arguments to an exit code.
#ifndef OMBUS_TOOLS_COMMAND_H_
#define OMBUS_TOOLS_COMMAND_H_

#include <span>
#include <string>
#include <string_view>

#include "ombus/status.h"
#include "tools/flags.h"

namespace ombus::tools {

// Exit codes of all commands; docs/command-line.md promises them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;   // something failed while running
inline constexpr int kExitUsage = 2;     // the command line is wrong
inline constexpr int kExitDataLoss = 3;  // --strict or --verify: records missing, doubled or wrong

using Arguments = std::span<const std::string_view>;

struct CommandText {
  std::string_view name;
  std::string_view synopsis;     // after "ombus name"
  std::string_view description;  // whole sentences; lines of at most 90 columns
};

// Parses, or answers --help. True: go on. False: return *exit_code.
bool ParseOrExplain(const CommandText& text, const FlagTable& flags, Arguments args,
                    int* exit_code);

// Prints `ombus NAME: message` to stderr and returns the exit code that fits the status.
int Fail(const CommandText& text, const Status& status);
int FailUsage(const CommandText& text, const std::string& message);

// Writes out what was printed. kExitOk, or says on stderr why it could not be.
int FlushStandardOutput(std::string_view command);

int RunPub(Arguments args);
int RunSub(Arguments args);
int RunRelay(Arguments args);
int RunStat(Arguments args);
int RunBench(Arguments args);
int RunDoctor(Arguments args);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_COMMAND_H_

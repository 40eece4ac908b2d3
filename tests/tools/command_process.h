// CommandProcess: the built ombus command as a child, its output in files of a folder of its own.
//
// The program is named by the environment variable OMBUS. Threads: one. Every wait is bounded by
// kPatience, which no assertion depends on: it only turns a hang into a failure.
#ifndef OMBUS_TESTS_TOOLS_COMMAND_PROCESS_H_
#define OMBUS_TESTS_TOOLS_COMMAND_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ombus::tools {

class CommandProcess {
 public:
  // How the child's standard input and output are connected; paths, or empty for the default:
  // /dev/null in, a file out.
  struct Redirect {
    std::string in, out;
    bool close_out = false;
  };

  CommandProcess(const std::string& folder, std::vector<std::string> args, Redirect redirect);
  CommandProcess(const std::string& folder, std::vector<std::string> args)
      : CommandProcess(folder, std::move(args), Redirect()) {}
  ~CommandProcess();  // kills what still runs
  CommandProcess(const CommandProcess&) = delete;
  CommandProcess& operator=(const CommandProcess&) = delete;

  // The exit code; 128 + n for signal n; -1 if it did not end.
  int Wait();
  void Signal(int number);
  std::string Out() const;
  std::string Err() const;
  pid_t pid() const { return pid_; }
  bool Running();
  // Until Out() contains the text; false if it ended or time passed without.
  bool WaitForOut(std::string_view text);

 private:
  std::string out_, err_;
  pid_t pid_;
  int code_ = -1;
  bool ended_ = false;
};

// Until the condition holds; false if it never does.
bool Eventually(const std::function<bool()>& condition);

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, std::string_view bytes);

}  // namespace ombus::tools

#endif  // OMBUS_TESTS_TOOLS_COMMAND_PROCESS_H_

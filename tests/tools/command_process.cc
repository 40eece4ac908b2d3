#include "command_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

namespace ombus::tools {
namespace {

constexpr std::chrono::seconds kPatience{20};

void Reopen(const std::string& path, int flags, int fd) {
  const int opened = open(path.c_str(), flags, 0600);
  if (opened < 0 || dup2(opened, fd) < 0) _exit(127);
  if (opened != fd) close(opened);
}

}  // namespace

CommandProcess::CommandProcess(const std::string& folder, std::vector<std::string> args,
                               Redirect redirect) {
  static int number = 0;
  const std::string base = folder + "/" + std::to_string(++number);
  out_ = redirect.out.empty() ? base + ".out" : redirect.out;
  err_ = base + ".err";
  const char* program = std::getenv("OMBUS");
  if (program == nullptr) ADD_FAILURE() << "OMBUS does not name the program";
  std::vector<char*> argv{const_cast<char*>("ombus")};
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Reopen(redirect.in.empty() ? "/dev/null" : redirect.in, O_RDONLY, STDIN_FILENO);
  Reopen(out_, O_WRONLY | O_CREAT, STDOUT_FILENO);
  Reopen(err_, O_WRONLY | O_CREAT, STDERR_FILENO);
  if (redirect.close_out) close(STDOUT_FILENO);
  execv(program != nullptr ? program : "", argv.data());
  _exit(127);
}

CommandProcess::~CommandProcess() {
  if (ended_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool CommandProcess::Running() {
  int how = 0;
  if (!ended_ && waitpid(pid_, &how, WNOHANG) == pid_) {
    ended_ = true;
    code_ = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
  }
  return !ended_;
}

int CommandProcess::Wait() {
  return Eventually([this] { return !Running(); }) ? code_ : -1;
}

void CommandProcess::Signal(int number) {
  if (Running()) kill(pid_, number);
}

std::string CommandProcess::Out() const { return ReadFile(out_); }
std::string CommandProcess::Err() const { return ReadFile(err_); }

bool CommandProcess::WaitForOut(std::string_view text) {
  bool found = false;
  (void)Eventually([&] {
    const bool running = Running();  // before the look, so that last words are not missed
    found = Out().find(text) != std::string::npos;
    return found || !running;
  });
  return found;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteFile(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace ombus::tools

// Runs a fuzz target without libFuzzer: over the files of a corpus, then over seeded mutations of
// them, the same ones in every run, and then over others, of a seed drawn anew, which is printed.
// What it cannot do is to look for new paths: that is tools/fuzz's.
//
//   frame_fuzz [--mutations N] [--seed N] [--fresh-mutations N] FOLDER|FILE…
//
// An input that ends the process, or takes longer than a minute, is left in ./crash-PROGRAM.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz_input.h"

// The sanitizers', where there are any.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace ombus {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr unsigned kSecondsMax = 60;  // for one input: many orders of magnitude more than it takes
constexpr size_t kBytesMax = 4096;

// What a handler has to reach.
const Bytes* running = nullptr;
std::string crash_file;

void SaveRunning() {
  if (running == nullptr) return;
  const int fd = open(crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return;
  const auto written = write(fd, running->data(), running->size());
  close(fd);
  constexpr char kText[] = "the input is left in ";
  if (written >= 0 && write(2, kText, sizeof kText - 1) > 0) {
    (void)!write(2, crash_file.data(), crash_file.size());
    (void)!write(2, "\n", 1);
  }
  running = nullptr;
}

void OnSignal(int number) {
  SaveRunning();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void RunOne(const Bytes& input) {
  running = &input;
  alarm(kSecondsMax);
  // A copy of exactly its size, so that ASan sees a read beyond it.
  const Bytes copy(input.begin(), input.end());
  (void)LLVMFuzzerTestOneInput(copy.data(), copy.size());
  alarm(0);
  running = nullptr;
}

Bytes ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
    std::exit(2);
  }
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

std::vector<Bytes> ReadCorpus(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.emplace_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());  // the order of a folder is its file system's
  std::vector<Bytes> corpus;
  for (const auto& file : files) corpus.push_back(ReadFile(file));
  return corpus;
}

class Mutator {
 public:
  Mutator(const std::vector<Bytes>& corpus, uint64_t seed) : corpus_(corpus), random_(seed) {}

  Bytes Next() {
    Bytes bytes = corpus_.empty() ? Bytes() : corpus_[Below(corpus_.size())];
    for (uint64_t n = 1 + Below(8); n > 0; --n) Mutate(&bytes);
    if (bytes.size() > kBytesMax) bytes.resize(kBytesMax);
    return bytes;
  }

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }
  static auto At(Bytes* bytes, uint64_t offset) {
    return bytes->begin() + static_cast<ptrdiff_t>(offset);
  }

  void Mutate(Bytes* bytes) {
    const uint64_t kind = Below(7);
    if (bytes->empty() || kind == 0) {
      bytes->insert(At(bytes, Below(bytes->size() + 1)), 1 + Below(8),
                    static_cast<uint8_t>(random_()));
      return;
    }
    const uint64_t at = Below(bytes->size());
    if (kind == 1) {
      (*bytes)[at] ^= static_cast<uint8_t>(1u << Below(8));
    } else if (kind == 2) {
      (*bytes)[at] = static_cast<uint8_t>(random_());
    } else if (kind == 3) {
      SetNumber(bytes, at);
    } else if (kind == 4) {
      bytes->erase(At(bytes, at),
                   At(bytes, at + 1 + Below(std::min<uint64_t>(32, bytes->size() - at))));
    } else if (kind == 5) {  // a piece of it again
      const Bytes piece(At(bytes, at),
                        At(bytes, at + 1 + Below(std::min<uint64_t>(64, bytes->size() - at))));
      bytes->insert(At(bytes, Below(bytes->size() + 1)), piece.begin(), piece.end());
    } else {  // the beginning of one, the end of another
      const Bytes& other = corpus_.empty() ? *bytes : corpus_[Below(corpus_.size())];
      const Bytes tail(other.begin() + static_cast<ptrdiff_t>(Below(other.size() + 1)),
                       other.end());
      bytes->resize(at);
      bytes->insert(bytes->end(), tail.begin(), tail.end());
    }
  }

  // One of those at which something ends.
  void SetNumber(Bytes* bytes, uint64_t at) {
    constexpr uint64_t kNumbers[] = {0,      1,      16,         64,         255,
                                     0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, ~uint64_t{0}};
    const uint64_t value = kNumbers[Below(std::size(kNumbers))] + Below(3) - 1;
    const uint64_t width = std::min<uint64_t>(uint64_t{1} << Below(4), bytes->size() - at);
    std::memcpy(bytes->data() + at, &value, width);
  }

  const std::vector<Bytes>& corpus_;
  std::mt19937_64 random_;
};

void RunMutations(const std::vector<Bytes>& corpus, uint64_t count, uint64_t seed) {
  Mutator mutator(corpus, seed);
  for (uint64_t i = 0; i < count; ++i) RunOne(mutator.Next());
}

// Says before what would repeat it: an input may end the process.
void RunFresh(const std::vector<Bytes>& corpus, uint64_t count) {
  const uint64_t seed = std::random_device()();
  std::printf("now with --mutations %llu --seed %llu\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  RunMutations(corpus, count, seed);
}

int Main(int argc, char** argv) {
  uint64_t mutations = 0, seed = 1, fresh = 0;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    uint64_t* const number = arg == "--mutations"         ? &mutations
                             : arg == "--seed"            ? &seed
                             : arg == "--fresh-mutations" ? &fresh
                                                          : nullptr;
    if (number != nullptr && i + 1 < argc) {
      *number = std::strtoull(argv[++i], nullptr, 10);
    } else if (arg.starts_with("--")) {
      std::fprintf(stderr,
                   "usage: %s [--mutations N] [--seed N] [--fresh-mutations N] FOLDER|FILE...\n",
                   argv[0]);
      return 2;
    } else {
      paths.emplace_back(arg);
    }
  }
  crash_file = "crash-" + std::filesystem::path(argv[0]).filename().string();
  for (const int number : {SIGABRT, SIGALRM}) std::signal(number, OnSignal);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(SaveRunning);  // their reports of these two say more
  } else {
    for (const int number : {SIGSEGV, SIGBUS}) std::signal(number, OnSignal);
  }
  const std::vector<Bytes> corpus = ReadCorpus(paths);
  for (const Bytes& input : corpus) RunOne(input);
  RunOne({});
  RunMutations(corpus, mutations, seed);
  std::printf("%zu inputs, %llu mutations, seed %llu\n", corpus.size(),
              static_cast<unsigned long long>(mutations), static_cast<unsigned long long>(seed));
  if (fresh > 0) RunFresh(corpus, fresh);
  return 0;
}

}  // namespace
}  // namespace ombus

int main(int argc, char** argv) { return ombus::Main(argc, argv); }

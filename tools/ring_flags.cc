#include "tools/ring_flags.h"

#include <cstdio>

#include "tools/table.h"

namespace ombus::tools {
namespace {

constexpr int kNumaNodeMax = 1023;

}  // namespace

void RingFlags::AddTo(FlagTable* flags, Side side) {
  flags->push_back({"profile", "WORD", "tuned for throughput or for latency",
                    Choice{&profile_, {"throughput", "latency"}}});
  flags->push_back({"huge-pages", "", "the ring in pages of 2 MiB", &memory_.huge_pages});
  flags->push_back({"lock", "", "the ring is never swapped out", &memory_.lock});
  if (side == Side::kConsumer) return;
  flags->push_back({"numa-node", "N", "where the ring's memory lies; -1: anywhere",
                    Integer{&memory_.numa_node, -1, kNumaNodeMax}});
  flags->push_back({"prefetch-ahead", "N",
                    "slots prefetched ahead for writing, 0 to 64; -1: by the profile",
                    Integer{&prefetch_ahead_, -1, int{kPrefetchAheadSlotsMax}}});
}

RingProfile RingFlags::Profile() const {
  return profile_ == "latency" ? RingProfile::kLatency : RingProfile::kThroughput;
}

void RingFlags::Set(ProducerOptions* options) const {
  options->profile = Profile();
  options->memory = memory_;
  options->prefetch_ahead_slots =
      prefetch_ahead_ < 0 ? kByProfile : static_cast<uint32_t>(prefetch_ahead_);
}

void RingFlags::Set(ConsumerOptions* options) const {
  options->profile = Profile();
  options->memory = memory_;
}

void TellMemory(std::string_view command, const MemoryOptions& asked, const MemoryReport& got) {
  const int length = static_cast<int>(command.size());
  for (const std::string& warning : got.warnings) {
    std::fprintf(stderr, "ombus %.*s: warning: %s\n", length, command.data(), warning.c_str());
  }
  if (!asked.huge_pages && !asked.lock && asked.numa_node < 0 && got.huge_bytes == 0) return;
  std::fprintf(stderr, "ombus %.*s: ring of %s bytes: %s in huge pages, %s locked, node %s\n",
               length, command.data(), WithThousands(got.mapped_bytes).c_str(),
               WithThousands(got.huge_bytes).c_str(), WithThousands(got.locked_bytes).c_str(),
               got.numa_node < 0 ? "unknown" : std::to_string(got.numa_node).c_str());
}

}  // namespace ombus::tools

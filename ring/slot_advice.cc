#include "ombus/slot_advice.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <span>
#include <string_view>

#include "ring/geometry.h"
#include "ring/replace_file.h"
#include "ring/system_error.h"

namespace ombus {
namespace {

constexpr uint32_t kLineBytes = 64;
constexpr size_t kFileBytesMax = 16 << 20;  // a million lines; more is no histogram

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

Result<std::string> ReadAll(const std::string& path) {
  constexpr const char* kRemedy = "name a file of payload sizes that can be read";
  const File file(std::fopen(path.c_str(), "re"), std::fclose);
  if (file == nullptr) return SystemError("open", path, errno, kRemedy);
  std::string text;
  char chunk[65536];
  size_t got;
  while ((got = std::fread(chunk, 1, sizeof chunk, file.get())) > 0) {
    text.append(chunk, got);
    if (text.size() > kFileBytesMax) {
      return Status(StatusCode::kInvalidArgument,
                    "payload sizes \"" + path + "\": more than 16 MiB; give SIZE COUNT lines");
    }
  }
  if (std::ferror(file.get()) != 0) return SystemError("read", path, errno, kRemedy);
  return text;
}

std::string_view NextWord(std::string_view* line) {
  const size_t begin = std::min(line->find_first_not_of(" \t\r"), line->size());
  const size_t end = std::min(line->find_first_of(" \t\r", begin), line->size());
  const std::string_view word = line->substr(begin, end - begin);
  line->remove_prefix(end);
  return word;
}

bool ParseWhole(std::string_view word, uint64_t* value) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *value);
  return !word.empty() && error == std::errc() && end == word.data() + word.size();
}

// True also for lines without anything in them.
bool RecordLine(std::string_view line, PayloadHistogram* histogram) {
  line = line.substr(0, line.find('#'));
  const std::string_view size_word = NextWord(&line);
  if (size_word.empty()) return true;
  const std::string_view count_word = NextWord(&line);
  uint64_t size = 0, count = 1;
  if (!ParseWhole(size_word, &size) || size > kPayloadBytesMax) return false;
  if (!count_word.empty() && !ParseWhole(count_word, &count)) return false;
  if (!NextWord(&line).empty() || count == 0 || count > ~uint64_t{0} - histogram->count()) {
    return false;
  }
  histogram->Record(static_cast<uint32_t>(size), count);
  return true;
}

SlotAdvice AdviceOf(const PayloadHistogram& sizes, const Geometry& geometry) {
  SlotAdvice advice = {.slot_size = geometry.slot_size,
                       .capacity = geometry.capacity,
                       .total_bytes = geometry.total_bytes()};
  double fit = 0, lines = 0, bytes = 0;
  for (const auto& [size, count] : sizes.counts()) {
    if (size > geometry.payload_max()) {
      advice.too_large += count;
      continue;
    }
    const auto weight = static_cast<double>(count);
    const uint32_t occupied = size + kSlotHeaderBytes;
    fit += weight;
    const uint32_t touched = (occupied + kLineBytes - 1) / kLineBytes;
    lines += weight * touched;
    bytes += weight * occupied;
  }
  if (fit > 0) {
    advice.lines_per_record = lines / fit;
    advice.used = bytes / fit / geometry.slot_size;
  }
  return advice;
}

}  // namespace

void PayloadHistogram::Record(uint32_t size, uint64_t count) {
  if (count == 0) return;
  counts_[std::min(size, kPayloadBytesMax)] += count;
  count_ += count;
}

uint32_t PayloadHistogram::Percentile(double percent) const {
  const double wanted = static_cast<double>(count_) * percent / 100;
  uint64_t seen = 0;
  for (const auto& [size, count] : counts_) {
    seen += count;
    if (static_cast<double>(seen) >= wanted) return size;
  }
  return max();
}

Status PayloadHistogram::Save(const std::string& path) const {
  if (Status status = CheckFilePath("payload sizes", path); !status.ok()) return status;
  std::string text = "# payload bytes, records\n";
  for (const auto& [size, count] : counts_) {
    text += std::to_string(size) + " " + std::to_string(count) + "\n";
  }
  return ReplaceFile(path, std::as_bytes(std::span(text)));
}

Result<PayloadHistogram> PayloadHistogram::Load(const std::string& path) {
  const Result<std::string> text = ReadAll(path);
  if (!text.ok()) return text.status();
  PayloadHistogram histogram;
  std::string_view rest = *text;
  for (uint64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (!RecordLine(rest.substr(0, end), &histogram)) {
      return Status(StatusCode::kInvalidArgument,
                    "payload sizes \"" + path + "\": line " + std::to_string(number) +
                        " is not SIZE or SIZE COUNT, with a size of at most 65535 bytes");
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return histogram;
}

Result<std::vector<SlotAdvice>> CompareSlotSizes(const PayloadHistogram& sizes, uint32_t capacity,
                                                 uint32_t max_consumers) {
  if (sizes.empty()) {
    return Status(StatusCode::kInvalidArgument,
                  "payload sizes: none recorded; record some, or give slot_size");
  }
  std::vector<SlotAdvice> all;
  for (const uint32_t slot_size : kSlotClassBytes) {
    const Geometry geometry = {.capacity = CapacityOf(capacity, slot_size),
                               .slot_size = slot_size,
                               .max_consumers = max_consumers};
    if (Status status = CheckGeometry(geometry); !status.ok()) return status;
    all.push_back(AdviceOf(sizes, geometry));
  }
  return all;
}

Result<SlotAdvice> AdviseSlotSize(const PayloadHistogram& sizes, uint32_t capacity,
                                  uint32_t max_consumers) {
  const Result<std::vector<SlotAdvice>> all = CompareSlotSizes(sizes, capacity, max_consumers);
  if (!all.ok()) return all.status();
  for (const SlotAdvice& advice : *all) {
    if (advice.too_large == 0) return advice;
  }
  return Status(StatusCode::kInvalidArgument,
                "payload sizes: up to " + std::to_string(sizes.max()) +
                    " bytes, more than a slot of 4096 holds; give slot_size, at least " +
                    std::to_string((sizes.max() + kSlotHeaderBytes + 7) / 8 * 8));
}

}  // namespace ombus

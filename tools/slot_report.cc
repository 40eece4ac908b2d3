#include "tools/slot_report.h"

#include "tools/flags.h"
#include "tools/json.h"
#include "tools/table.h"

namespace ombus::tools {
namespace {

std::string JsonOf(const SlotAdvice& advice, bool advised) {
  return JsonObject()
             .Add("slot_size", advice.slot_size)
             .Add("capacity", advice.capacity)
             .Add("total_bytes", advice.total_bytes)
             .Add("lines_per_record", advice.lines_per_record)
             .Add("used", advice.used)
             .Add("records_too_large", advice.too_large)
             .Add("advised", advised)
             .text() +
         "\n";
}

std::string SizesText(const PayloadHistogram& sizes) {
  return "payloads of " + WithThousands(sizes.count()) + " records: median " +
         std::to_string(sizes.Percentile(50)) + " bytes, 99 % up to " +
         std::to_string(sizes.Percentile(99)) + ", largest " + std::to_string(sizes.max()) + "\n";
}

}  // namespace

Result<std::string> SlotReport(const PayloadHistogram& sizes, uint32_t capacity,
                               uint32_t max_consumers, bool json) {
  const auto all = CompareSlotSizes(sizes, capacity, max_consumers);
  if (!all.ok()) return all.status();
  const auto advised = AdviseSlotSize(sizes, capacity, max_consumers);
  std::string lines;
  Table table({"slot size", "slots", "ring, bytes", "lines per record", "used", "too large", ""});
  for (const SlotAdvice& advice : *all) {
    const bool is_it = advised.ok() && (*advised).slot_size == advice.slot_size;
    lines += JsonOf(advice, is_it);
    table.Add({std::to_string(advice.slot_size), WithThousands(advice.capacity),
               WithThousands(advice.total_bytes), Fixed(advice.lines_per_record, 2),
               Fixed(100 * advice.used, 0) + " %", WithThousands(advice.too_large),
               is_it ? "advised" : ""});
  }
  if (json) return lines;
  return SizesText(sizes) + table.Text() + (advised.ok() ? "" : advised.status().message() + "\n");
}

Result<uint32_t> ChooseSlotSize(const std::string& text, const std::string& sizes_path,
                                uint32_t capacity, uint32_t max_consumers) {
  if (text == "auto") {
    if (sizes_path.empty()) {
      return Status(StatusCode::kInvalidArgument,
                    "--slot-size auto: needs --sizes FILE, as pub --record-sizes or stat "
                    "--save-sizes write it");
    }
    const auto sizes = PayloadHistogram::Load(sizes_path);
    if (!sizes.ok()) return sizes.status();
    const auto advice = AdviseSlotSize(*sizes, capacity, max_consumers);
    if (!advice.ok()) return advice.status();
    return (*advice).slot_size;
  }
  uint64_t bytes = 0;
  if (ParseBytes(text, &bytes) && bytes <= kSlotBytesMax) return static_cast<uint32_t>(bytes);
  return Status(StatusCode::kInvalidArgument, "--slot-size \"" + text +
                                                  "\": give auto, or bytes from 64 to " +
                                                  std::to_string(kSlotBytesMax));
}

}  // namespace ombus::tools

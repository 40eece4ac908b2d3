// Slot sizes as the commands speak of them: the table of what each class would cost, and the choice
// that `--slot-size auto` takes.
#ifndef OMBUS_TOOLS_SLOT_REPORT_H_
#define OMBUS_TOOLS_SLOT_REPORT_H_

#include <cstdint>
#include <string>

#include "ombus/slot_advice.h"
#include "ombus/status.h"

namespace ombus::tools {

// Lines of text, or an object a line, one per class; the advised one is marked.
Result<std::string> SlotReport(const PayloadHistogram& sizes, uint32_t capacity,
                               uint32_t max_consumers, bool json);

// What `--slot-size TEXT --sizes FILE` ask for: a number, or auto, which takes the advice for the
// sizes in the file.
Result<uint32_t> ChooseSlotSize(const std::string& text, const std::string& sizes_path,
                                uint32_t capacity, uint32_t max_consumers);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_SLOT_REPORT_H_

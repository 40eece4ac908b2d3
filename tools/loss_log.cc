#include "tools/loss_log.h"

namespace ombus::tools {

bool LossLog::Worth(const std::string& why, uint64_t now_ns) {
  if (told_.contains(why)) return false;
  const auto before = told_ns_.find(why);
  if (before != told_ns_.end() && now_ns - before->second < kAgainNs) return false;
  if (told_ns_.size() == kReasonsMax) told_ns_.clear();
  if (told_.size() == kReasonsMax) told_.clear();
  told_ns_[why] = now_ns;
  told_.insert(why);
  return true;
}

std::string LossLog::Away(const std::string& why, uint64_t now_ns) {
  if (!Worth(why, now_ns)) return {};
  return "connection lost: " + why + "; trying again\n";
}

std::string LossLog::Back(const std::string& why, const std::string& back, uint64_t now_ns) {
  std::string lines = told_.empty() ? Away(why, now_ns) : "";
  if (told_.empty()) {
    ++untold_;
    return {};
  }
  told_.clear();
  lines += back;
  if (untold_ != 0) lines += " (and " + std::to_string(untold_) + " times more before that)";
  untold_ = 0;
  return lines + "\n";
}

}  // namespace ombus::tools

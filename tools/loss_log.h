// LossLog: which losses of a connection are worth a line on stderr. Each reason once an outage, and
// not again within ten seconds of other outages: a relay that takes and drops a client all the time
// does not fill a log. Pure; one thread.
#ifndef OMBUS_TOOLS_LOSS_LOG_H_
#define OMBUS_TOOLS_LOSS_LOG_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace ombus::tools {

class LossLog {
 public:
  static constexpr uint64_t kAgainNs = 10'000'000'000;

  // The connection is away, and why, at each look: the line to say, or nothing.
  std::string Away(const std::string& why, uint64_t now_ns);
  // It is back, after `why`: the lines to say, or nothing. `back` is the second of them.
  std::string Back(const std::string& why, const std::string& back, uint64_t now_ns);

 private:
  static constexpr size_t kReasonsMax = 32;  // a server makes them up

  bool Worth(const std::string& why, uint64_t now_ns);

  std::map<std::string, uint64_t> told_ns_;
  std::set<std::string> told_;  // of this outage
  uint64_t untold_ = 0;         // outages since the last that was told
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_LOSS_LOG_H_

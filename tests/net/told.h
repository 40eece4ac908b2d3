// Told: what a client got, in one line: W<epoch> for WELCOME, G<from>-<to> for GAP, ! for the
// warning of the older protocol, B for BYE, H for a heartbeat, and sequences.
#ifndef OMBUS_TESTS_NET_TOLD_H_
#define OMBUS_TESTS_NET_TOLD_H_

#include <string>
#include <vector>

#include "net/frame.h"

namespace ombus::net {

inline std::string Told(const Frame& frame) {
  Welcome welcome;
  Gap gap;
  Bye bye;
  SlowWarningFrame warning;
  if (ParseWelcome(frame, &welcome)) return "W" + std::to_string(welcome.epoch);
  if (ParseGap(frame, &gap)) return "G" + std::to_string(gap.from) + "-" + std::to_string(gap.to);
  if (ParseBye(frame, &bye)) return "B";
  if (frame.control()) return "H";
  if (ParseSlowWarning(frame, &warning)) return "!";
  return std::to_string(frame.wal_seq);
}

inline std::string Told(const std::vector<Frame>& frames) {
  std::string all;
  for (const Frame& frame : frames) all += Told(frame) + " ";
  return all;
}

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_TOLD_H_

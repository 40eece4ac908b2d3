// The flags by which commands that publish or poll set a ring's profile and memory: the same words
// everywhere.
#ifndef OMBUS_TOOLS_RING_FLAGS_H_
#define OMBUS_TOOLS_RING_FLAGS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "ombus/consumer.h"
#include "ombus/producer.h"
#include "tools/flags.h"

namespace ombus::tools {

class RingFlags {
 public:
  enum class Side { kProducer, kConsumer };
  void AddTo(FlagTable* flags, Side side);  // this must outlive the parsing

  // What was parsed, into options.
  void Set(ProducerOptions* options) const;
  void Set(ConsumerOptions* options) const;

 private:
  RingProfile Profile() const;

  std::string profile_ = "throughput";
  MemoryOptions memory_;
  int prefetch_ahead_ = -1;
};

// On stderr what was asked for and is missing, and where anything was asked for, what was got.
void TellMemory(std::string_view command, const MemoryOptions& asked, const MemoryReport& got);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_RING_FLAGS_H_

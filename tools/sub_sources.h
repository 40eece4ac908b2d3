// The two places `ombus sub` receives from: a ring of this host, a relay over TCP.
#ifndef OMBUS_TOOLS_SUB_SOURCES_H_
#define OMBUS_TOOLS_SUB_SOURCES_H_

#include <cstdint>
#include <string>

#include "ombus/client.h"
#include "ombus/consumer.h"
#include "ombus/status.h"
#include "tools/record_sink.h"

namespace ombus::tools {

struct SubOptions {
  ConsumerOptions consumer;
  ClientOptions client;
  std::string connect;      // HOST:PORT, instead of a stream
  uint64_t wait_ns = 0;     // for the stream or the server to appear
  uint64_t timeout_ns = 0;  // without any record: give up; 0: never
  bool once = false;        // no reconnect, no second producer
  bool busy = false;        // never sleep
};

// Both receive until the stream ends, the sink is done, a stop signal, or an error.
Status ReceiveFromRing(const SubOptions& options, RecordSink* sink, Output* output);
Status ReceiveFromServer(const SubOptions& options, RecordSink* sink, Output* output);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_SUB_SOURCES_H_

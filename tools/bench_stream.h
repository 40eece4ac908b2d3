// The stream of a benchmark and how it is filled.
#ifndef OMBUS_TOOLS_BENCH_STREAM_H_
#define OMBUS_TOOLS_BENCH_STREAM_H_

#include <cstdint>

#include "ombus/producer.h"
#include "tools/bench.h"

namespace ombus::tools {

ProducerOptions BenchStream(const BenchOptions& options, uint32_t payload_bytes);

// Publishes `count` records as BenchReader expects them, waiting for room.
Status PublishBenchRecords(const BenchOptions& options, uint64_t count, uint32_t batch,
                           Producer* producer);

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_BENCH_STREAM_H_

// A stream and its readers for tests of the C API. Threads: one.
#ifndef OMBUS_TESTS_ENGINE_C_RING_H_
#define OMBUS_TESTS_ENGINE_C_RING_H_

#include <ombus/ombus_consumer.h>
#include <ombus/ombus_producer.h>

#include "c_check.h"

static inline ombus_producer_options producer_options(void) {
  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  options.name = test_stream();
  options.capacity = 8;
  return options;
}

static inline ombus_producer* new_producer(const ombus_producer_options* options) {
  ombus_error error;
  ombus_producer* producer = ombus_producer_create(options, &error);
  if (producer == NULL) printf("%s\n", error.message);
  REQUIRE(producer != NULL);
  return producer;
}

static inline ombus_consumer_options consumer_options(void) {
  ombus_consumer_options options;
  ombus_consumer_options_init(&options, sizeof options);
  options.name = test_stream();
  return options;
}

static inline ombus_consumer* new_consumer(void) {
  const ombus_consumer_options options = consumer_options();
  ombus_error error;
  ombus_consumer* consumer = ombus_consumer_open(&options, &error);
  if (consumer == NULL) printf("%s\n", error.message);
  REQUIRE(consumer != NULL);
  return consumer;
}

// A record whose payload is its own sequence, which must outlive the call that takes it.
static inline ombus_record record_of(const uint64_t* seq) {
  const ombus_record record = {
      .wal_seq = *seq, .payload = seq, .size = sizeof *seq, .type = 1, .flags = 0, .reserved = 0};
  return record;
}

static inline ombus_publish_result publish(ombus_producer* producer, uint64_t seq) {
  const ombus_record record = record_of(&seq);
  return ombus_producer_try_publish(producer, &record);
}

static inline uint64_t payload_of(const ombus_record* record) {
  uint64_t value = 0;
  if (record->size == sizeof value) memcpy(&value, record->payload, sizeof value);
  return value;
}

#endif  // OMBUS_TESTS_ENGINE_C_RING_H_

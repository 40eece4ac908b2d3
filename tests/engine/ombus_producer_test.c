// The producer's part of the C API.
#include "c_ring.h"

static void the_defaults_are_those_of_the_header(void) {
  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  CHECK_EQ(options.size, sizeof options);
  CHECK(options.name == NULL);
  CHECK_EQ(options.capacity, 0);
  CHECK_EQ(options.slot_size, 256);
  CHECK_EQ(options.max_consumers, 8);
  CHECK_EQ(options.crc32c, 0);
  CHECK_EQ(options.staleness_ns, 0);
  CHECK_EQ(options.permissions, 0600);
  CHECK_EQ(options.unlink_on_close, 1);
  CHECK_EQ(options.profile, OMBUS_PROFILE_THROUGHPUT);
  CHECK_EQ(options.prefetch_ahead_slots, OMBUS_PREFETCH_BY_PROFILE);
  CHECK_EQ(options.huge_pages, 0);
  CHECK_EQ(options.lock_memory, 0);
  CHECK_EQ(options.numa_node, -1);
}

static void a_slot_size_is_chosen_for_the_payloads_expected(void) {
  ombus_error error;
  ombus_producer_options options = producer_options();
  const uint32_t sizes[] = {8, 100, 40};
  const uint64_t counts[] = {900, 0, 100};
  CHECK_EQ(ombus_producer_options_fit(&options, sizes, NULL, 3, &error), OMBUS_OK);
  CHECK_EQ(options.slot_size, 128);
  CHECK_EQ(ombus_producer_options_fit(&options, sizes, counts, 3, &error), OMBUS_OK);
  CHECK_EQ(options.slot_size, 64);
  ombus_producer* producer = new_producer(&options);
  CHECK_EQ(ombus_producer_payload_max(producer), 40);
  ombus_producer_close(producer);

  const uint32_t too_large[] = {4073, 65536};
  CHECK_EQ(ombus_producer_options_fit(&options, too_large, NULL, 1, &error),
           OMBUS_INVALID_ARGUMENT);
  CHECK_SAYS(error.message, "give slot_size, at least 4104");
  CHECK_EQ(ombus_producer_options_fit(&options, too_large, NULL, 2, &error),
           OMBUS_INVALID_ARGUMENT);
  CHECK_SAYS(error.message, "at most 65535");
  CHECK_EQ(ombus_producer_options_fit(&options, sizes, NULL, 0, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_SAYS(error.message, "none recorded");
  CHECK_EQ(ombus_producer_options_fit(&options, NULL, NULL, 1, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_producer_options_fit(NULL, sizes, NULL, 1, NULL), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(options.slot_size, 64);
}

static void a_profile_or_a_prefetch_that_is_none_is_refused(void) {
  ombus_error error;
  ombus_producer_options options = producer_options();
  options.profile = 7;
  CHECK(ombus_producer_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "profile 7");
  options = producer_options();
  options.prefetch_ahead_slots = 65;
  CHECK(ombus_producer_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "prefetch_ahead_slots 65");
}

static void what_came_of_the_memory_asked_for_is_reported(void) {
  ombus_producer_options options = producer_options();
  options.profile = OMBUS_PROFILE_LATENCY;
  options.prefetch_ahead_slots = 0;
  options.capacity = 64;
  options.huge_pages = 1;  // too small for one
  options.numa_node = 5000;
  ombus_producer* producer = new_producer(&options);
  ombus_memory_report report = {.size = sizeof report};
  CHECK_EQ(ombus_producer_memory(producer, &report), OMBUS_OK);
  CHECK(report.mapped_bytes >= 4096 + 8 * 64 + 64 * 256);
  CHECK_EQ(report.huge_bytes, 0);
  CHECK_EQ(report.warnings, 2);
  CHECK_SAYS(ombus_producer_memory_warning(producer, 0), "smaller than a page of 2 MiB");
  CHECK_SAYS(ombus_producer_memory_warning(producer, 1), "at most 1023");
  CHECK(ombus_producer_memory_warning(producer, 2) == NULL);
  report.size = 8;
  CHECK_EQ(ombus_producer_memory(producer, &report), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_producer_memory(producer, NULL), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_producer_memory(NULL, &report), OMBUS_INVALID_ARGUMENT);
  CHECK(ombus_producer_memory_warning(NULL, 0) == NULL);
  ombus_producer_close(producer);
}

static void bad_options_are_refused_by_name(void) {
  ombus_error error;
  CHECK(ombus_producer_create(NULL, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  CHECK(ombus_producer_create(NULL, NULL) == NULL);

  ombus_producer_options options = producer_options();
  options.name = NULL;
  CHECK(ombus_producer_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "name");
  options.name = "no-slash";
  CHECK(ombus_producer_create(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);

  options = producer_options();
  options.capacity = 100;
  CHECK(ombus_producer_create(&options, &error) == NULL);
  CHECK_SAYS(error.message, "power of two");
  options = producer_options();
  options.slot_size = 60;
  CHECK(ombus_producer_create(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  options = producer_options();
  options.max_consumers = 0;
  CHECK(ombus_producer_create(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
}

static void calls_without_a_producer_or_a_record_are_refused(void) {
  const uint64_t seq = 1;
  ombus_record record = record_of(&seq);
  size_t published = 9;
  CHECK_EQ(ombus_producer_try_publish(NULL, &record), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_publish(NULL, &record, 0), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_try_publish_batch(NULL, &record, 1, &published), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(published, 0);
  published = 9;
  CHECK_EQ(ombus_producer_publish_batch(NULL, &record, 1, 0, &published), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(published, 0);
  CHECK(ombus_producer_try_reserve(NULL) == NULL);
  CHECK_EQ(ombus_producer_commit(NULL, 1, 1, 1), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_wait_for_room(NULL, 0), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_head(NULL), 0);
  CHECK_EQ(ombus_producer_epoch(NULL), 0);
  CHECK_EQ(ombus_producer_payload_max(NULL), 0);
  CHECK_EQ(ombus_producer_capacity(NULL), 0);
  CHECK_EQ(ombus_producer_live_consumers(NULL), 0);
  CHECK_EQ(ombus_producer_min_tail(NULL), 0);
  CHECK_EQ(ombus_producer_superseded(NULL), 0);
  ombus_producer_end(NULL);
  ombus_producer_close(NULL);

  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  CHECK_EQ(ombus_producer_try_publish(producer, NULL), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_publish(producer, NULL, 0), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_publish_batch(producer, NULL, 1, 0, NULL), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_try_publish_batch(producer, NULL, 1, NULL), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_publish_batch(producer, NULL, 0, 0, NULL), OMBUS_PUBLISH_OK);
  record.payload = NULL;
  CHECK_EQ(ombus_producer_try_publish(producer, &record), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_publish_batch(producer, &record, 1, 0, NULL), OMBUS_PUBLISH_INVALID);
  CHECK_EQ(ombus_producer_head(producer), 0);
  record.size = 0;
  CHECK_EQ(ombus_producer_try_publish(producer, &record), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_producer_head(producer), 1);
  ombus_producer_close(producer);
}

static void a_full_ring_refuses_waits_and_times_out(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  CHECK_EQ(ombus_producer_live_consumers(producer), 1);
  for (uint64_t seq = 1; seq <= 8; ++seq) CHECK_EQ(publish(producer, seq), OMBUS_PUBLISH_OK);
  const uint64_t seq = 9;
  const ombus_record record = record_of(&seq);
  CHECK_EQ(publish(producer, seq), OMBUS_PUBLISH_FULL);
  CHECK_EQ(ombus_producer_publish(producer, &record, 1000000), OMBUS_PUBLISH_TIMED_OUT);
  CHECK_EQ(ombus_producer_wait_for_room(producer, 1000000), OMBUS_PUBLISH_TIMED_OUT);
  CHECK(ombus_producer_try_reserve(producer) == NULL);
  CHECK_EQ(ombus_producer_head(producer), 8);
  ombus_record read;
  CHECK_EQ(ombus_consumer_poll(consumer, &read), OMBUS_POLL_RECORD);
  ombus_consumer_release(consumer);
  CHECK_EQ(ombus_producer_min_tail(producer), 1);
  CHECK_EQ(ombus_producer_wait_for_room(producer, 0), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_producer_publish(producer, &record, OMBUS_WAIT_FOREVER), OMBUS_PUBLISH_OK);
  ombus_consumer_close(consumer);
  CHECK_EQ(ombus_producer_live_consumers(producer), 0);
  ombus_producer_close(producer);
}

static void a_batch_is_published_in_order_as_far_as_there_is_room(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  uint64_t seqs[12];
  ombus_record records[12];
  for (size_t i = 0; i < 12; ++i) {
    seqs[i] = i + 1;
    records[i] = record_of(&seqs[i]);
  }
  size_t published = 0;
  CHECK_EQ(ombus_producer_publish_batch(producer, records, 12, 1000000, &published),
           OMBUS_PUBLISH_TIMED_OUT);
  CHECK_EQ(published, 8);
  CHECK_EQ(ombus_producer_try_publish_batch(producer, records + 8, 4, &published),
           OMBUS_PUBLISH_FULL);
  CHECK_EQ(published, 0);
  ombus_record read[12];
  ombus_poll_result end;
  CHECK_EQ(ombus_consumer_poll_batch(consumer, read, 12, &end), 8);
  CHECK_EQ(end, OMBUS_POLL_EMPTY);
  for (size_t i = 0; i < 8; ++i) CHECK_EQ(payload_of(&read[i]), i + 1);
  ombus_consumer_release(consumer);
  CHECK_EQ(ombus_producer_try_publish_batch(producer, records + 8, 4, &published),
           OMBUS_PUBLISH_OK);
  CHECK_EQ(published, 4);
  CHECK_EQ(ombus_consumer_poll_batch(consumer, read, 12, NULL), 4);
  CHECK_EQ(payload_of(&read[3]), 12);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_record_too_large_is_refused_before_anything_is_written(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  CHECK_EQ(ombus_producer_payload_max(producer), 256 - 24);
  CHECK_EQ(ombus_producer_capacity(producer), 8);
  static const char large[300];
  const uint64_t seq = 1;
  ombus_record records[2] = {record_of(&seq), record_of(&seq)};
  records[1].payload = large;
  records[1].size = 233;
  CHECK_EQ(ombus_producer_try_publish(producer, &records[1]), OMBUS_PUBLISH_TOO_LARGE);
  CHECK_EQ(ombus_producer_publish_batch(producer, records, 2, 0, NULL), OMBUS_PUBLISH_TOO_LARGE);
  CHECK(ombus_producer_try_reserve(producer) != NULL);
  CHECK_EQ(ombus_producer_commit(producer, 1, 1, 233), OMBUS_PUBLISH_TOO_LARGE);
  CHECK_EQ(ombus_producer_head(producer), 0);
  records[1].size = 232;
  CHECK_EQ(ombus_producer_try_publish(producer, &records[1]), OMBUS_PUBLISH_OK);
  ombus_producer_close(producer);
}

static void a_reservation_is_written_in_place_and_seen_after_its_commit(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  void* room = ombus_producer_try_reserve(producer);
  REQUIRE(room != NULL);
  CHECK_EQ((uintptr_t)room % 8, 0);
  CHECK(ombus_producer_try_reserve(producer) == room);
  memcpy(room, "in place", 8);
  ombus_record read;
  CHECK_EQ(ombus_consumer_poll(consumer, &read), OMBUS_POLL_EMPTY);
  CHECK_EQ(ombus_producer_commit(producer, 5, 3, 8), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_consumer_poll(consumer, &read), OMBUS_POLL_RECORD);
  CHECK_EQ(read.wal_seq, 5);
  CHECK_EQ(read.type, 3);
  CHECK_EQ(read.size, 8);
  CHECK(memcmp(read.payload, "in place", 8) == 0);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_commit_of_nothing_reserved_is_refused(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  CHECK_EQ(ombus_producer_commit(producer, 1, 1, 6), OMBUS_PUBLISH_NOT_RESERVED);
  CHECK(ombus_producer_try_reserve(producer) != NULL);
  CHECK_EQ(publish(producer, 1), OMBUS_PUBLISH_OK);  // into the room reserved
  CHECK_EQ(ombus_producer_commit(producer, 2, 1, 6), OMBUS_PUBLISH_NOT_RESERVED);
  CHECK(ombus_producer_try_reserve(producer) != NULL);
  CHECK_EQ(ombus_producer_commit(producer, 2, 1, 6), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_producer_commit(producer, 3, 1, 6), OMBUS_PUBLISH_NOT_RESERVED);
  CHECK_EQ(ombus_producer_head(producer), 2);
  CHECK(ombus_producer_try_reserve(producer) != NULL);
  ombus_producer_end(producer);
  CHECK_EQ(ombus_producer_commit(producer, 3, 1, 6), OMBUS_PUBLISH_CLOSED);
  CHECK_EQ(ombus_producer_head(producer), 2);
  ombus_producer_close(producer);
}

static void count_call(uint64_t head, uint64_t min_tail, void* context) {
  CHECK_EQ(head - min_tail, 8);
  ++*(int*)context;
}

static void a_publish_that_waits_for_long_says_so(void) {
  int calls = 0;
  ombus_producer_options options = producer_options();
  options.backpressure = count_call;
  options.backpressure_context = &calls;
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  for (uint64_t seq = 1; seq <= 8; ++seq) CHECK_EQ(publish(producer, seq), OMBUS_PUBLISH_OK);
  const uint64_t seq = 9;
  const ombus_record record = record_of(&seq);
  CHECK_EQ(ombus_producer_publish(producer, &record, 50000000), OMBUS_PUBLISH_TIMED_OUT);
  CHECK(calls > 0);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_producer_that_ended_or_was_superseded_is_closed(void) {
  ombus_producer_options options = producer_options();
  ombus_producer* first = new_producer(&options);
  ombus_producer* second = new_producer(&options);
  CHECK(ombus_producer_epoch(first) != ombus_producer_epoch(second));
  CHECK_EQ(ombus_producer_superseded(first), 1);
  CHECK_EQ(ombus_producer_superseded(second), 0);
  for (int i = 0; i < 8; ++i) (void)!publish(first, 1);  // what had room may go
  CHECK_EQ(publish(first, 1), OMBUS_PUBLISH_CLOSED);
  ombus_producer_close(first);
  CHECK_EQ(publish(second, 1), OMBUS_PUBLISH_OK);
  ombus_producer_end(second);
  ombus_producer_end(second);
  CHECK_EQ(publish(second, 2), OMBUS_PUBLISH_CLOSED);
  CHECK(ombus_producer_try_reserve(second) == NULL);
  CHECK_EQ(ombus_producer_wait_for_room(second, OMBUS_WAIT_FOREVER), OMBUS_PUBLISH_CLOSED);
  ombus_producer_close(second);
}

static void a_name_is_removed_at_the_end_unless_it_is_to_stay(void) {
  ombus_producer_options options = producer_options();
  ombus_producer_close(new_producer(&options));
  CHECK(shm_unlink(test_stream()) != 0);
  options.unlink_on_close = 0;
  ombus_producer_close(new_producer(&options));
  CHECK_EQ(shm_unlink(test_stream()), 0);
}

int main(void) {
  RUN(the_defaults_are_those_of_the_header);
  RUN(bad_options_are_refused_by_name);
  RUN(a_slot_size_is_chosen_for_the_payloads_expected);
  RUN(a_profile_or_a_prefetch_that_is_none_is_refused);
  RUN(what_came_of_the_memory_asked_for_is_reported);
  RUN(calls_without_a_producer_or_a_record_are_refused);
  RUN(a_full_ring_refuses_waits_and_times_out);
  RUN(a_batch_is_published_in_order_as_far_as_there_is_room);
  RUN(a_record_too_large_is_refused_before_anything_is_written);
  RUN(a_reservation_is_written_in_place_and_seen_after_its_commit);
  RUN(a_commit_of_nothing_reserved_is_refused);
  RUN(a_publish_that_waits_for_long_says_so);
  RUN(a_producer_that_ended_or_was_superseded_is_closed);
  RUN(a_name_is_removed_at_the_end_unless_it_is_to_stay);
  return end_of_tests();
}
